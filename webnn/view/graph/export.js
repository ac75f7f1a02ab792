"use strict";
// The drawing as an SVG file that needs no style sheet, for other programs: every colour is written as rgb.

const OF_SHAPES = ["stroke-width", "opacity"];
const OF_TEXTS = [...OF_SHAPES, "font-size", "font-family", "font-weight", "text-anchor", "paint-order"];
const PLACES = ["d", "transform", "x", "y", "width", "height", "cx", "cy"];

function exportedSvg(pane) {
  const [width, height] = [Math.ceil(pane.graph.root.w), Math.ceil(pane.graph.root.h)];
  const copy = svg("svg", { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${width} ${height}`, width, height });
  svg("title", {}, copy).textContent = pane.graph.name;
  const marker = svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, svg("defs", {}, copy));
  paint(svg("path", { d: "M0 0.5 8 4 0 7.5z" }, marker), "fill", getComputedStyle(root).getPropertyValue("--edge"));
  paint(svg("rect", { width, height }, copy), "fill", getComputedStyle(document.body).backgroundColor);
  for (const layer of [pane.frames, pane.edges, pane.names, pane.layer]) copy.append(plain(layer));
  return new XMLSerializer().serializeToString(copy);
}

/** A copy of an element with its style as attributes. */
function plain(element) {
  const copy = element.cloneNode(false);
  for (const name of ["class", "style", "role", "aria-label", "data-node", "data-block"]) copy.removeAttribute(name);
  for (const name of PLACES)
    if (copy.hasAttribute(name)) copy.setAttribute(name, copy.getAttribute(name).replace(/(\.\d)\d+/g, "$1"));
  if (["rect", "path", "text", "circle"].includes(element.tagName)) {
    const style = getComputedStyle(element);
    for (const name of ["fill", "stroke"]) paint(copy, name, style[name]);
    for (const name of element.tagName === "text" ? OF_TEXTS : OF_SHAPES) copy.setAttribute(name, style.getPropertyValue(name));
    if (element.classList.contains("to")) copy.setAttribute("marker-end", "url(#arrow)");
  }
  for (const child of element.childNodes) copy.append(child.nodeType === Node.TEXT_NODE ? child.cloneNode() : plain(child));
  return copy;
}

const swatch = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const known = new Map();

/** Write a colour of CSS as programs other than browsers read it; what is translucent gets an opacity. */
function paint(element, attribute, colour) {
  if (!known.has(colour)) {
    swatch.clearRect(0, 0, 1, 1);
    swatch.fillStyle = "transparent";
    swatch.fillStyle = colour; // stays as it was for "none"
    swatch.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = swatch.getImageData(0, 0, 1, 1).data;
    const hex = [red, green, blue].map((part) => part.toString(16).padStart(2, "0")).join("");
    known.set(colour, [alpha ? `#${hex}` : "none", alpha / 255]);
  }
  const [told, opacity] = known.get(colour);
  element.setAttribute(attribute, told);
  if (told !== "none" && opacity < 1) element.setAttribute(`${attribute}-opacity`, opacity.toFixed(3));
}

function download(pane) {
  const address = URL.createObjectURL(new Blob([exportedSvg(pane)], { type: "image/svg+xml" }));
  html("a", { href: address, download: `${pane.graph.name.replace(/\.\w+$/, "")}.svg` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
