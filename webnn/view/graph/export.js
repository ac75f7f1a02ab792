"use strict";
// The drawing as an SVG file that needs no style sheet, for other programs: every colour is written as rgb.

const DRAWN = ["fill", "stroke", "stroke-width", "fill-opacity", "opacity", "paint-order", "font-size", "font-family", "font-weight", "text-anchor"];

function exportedSvg(pane) {
  const { w, h } = pane.graph.root;
  const copy = svg("svg", { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${w} ${h}`, width: w, height: h });
  svg("title", {}, copy).textContent = pane.graph.name;
  const marker = svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, svg("defs", {}, copy));
  svg("path", { d: "M0 0.5 8 4 0 7.5z", fill: rgb(getComputedStyle(root).getPropertyValue("--edge")) }, marker);
  svg("rect", { width: w, height: h, fill: rgb(getComputedStyle(document.body).backgroundColor) }, copy);
  for (const layer of [pane.frames, pane.edges, pane.names, pane.layer]) copy.append(plain(layer));
  return new XMLSerializer().serializeToString(copy);
}

/** A copy of an element with its style as attributes. */
function plain(element) {
  const copy = element.cloneNode(false);
  for (const name of ["class", "style", "role", "aria-label", "data-node", "data-block"]) copy.removeAttribute(name);
  if (["rect", "path", "text", "circle"].includes(element.tagName)) {
    const style = getComputedStyle(element);
    for (const name of DRAWN) {
      const value = style.getPropertyValue(name);
      if (name === "fill" || name === "stroke") copy.setAttribute(name, rgb(value));
      else if ((element.tagName === "text") === (name.startsWith("font") || ["text-anchor", "paint-order", "stroke-width"].includes(name)) || name === "opacity") copy.setAttribute(name, value);
    }
    if (element.classList.contains("to")) copy.setAttribute("marker-end", "url(#arrow)");
  }
  for (const child of element.childNodes) copy.append(child.nodeType === Node.TEXT_NODE ? child.cloneNode() : plain(child));
  return copy;
}

const swatch = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const known = new Map([["none", "none"]]);

/** A colour of CSS as programs other than browsers read it. */
function rgb(colour) {
  if (!known.has(colour)) {
    swatch.clearRect(0, 0, 1, 1);
    swatch.fillStyle = colour;
    swatch.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = swatch.getImageData(0, 0, 1, 1).data;
    known.set(colour, alpha ? `#${[red, green, blue].map((part) => part.toString(16).padStart(2, "0")).join("")}` : "none");
  }
  return known.get(colour);
}

function download(pane) {
  const address = URL.createObjectURL(new Blob([exportedSvg(pane)], { type: "image/svg+xml" }));
  html("a", { href: address, download: `${pane.graph.name.replace(/\.\w+$/, "")}.svg` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
