"use strict";
// The graph is data in the page; nothing is fetched. Names come from models: they are only ever set as text.
const data = JSON.parse(document.getElementById("data").textContent);
const boxes = data.boxes;
const root = document.documentElement;
const [canvas, view, edges, lit, layer, panel, map, search, count] =
  ["canvas", "view", "edges", "lit", "boxes", "panel", "map", "search", "count"].map((id) => document.getElementById(id));
const HEIGHT = 44;
const HUES = {
  convolution: 255, matrix: 255, recurrent: 285, activation: 25, elementwise: 145, logic: 170, pooling: 205,
  normalization: 75, reduction: 110, movement: 330, gathering: 350, resampling: 225, quantization: 310,
};

function svg(tag, attributes, parent) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}

function html(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const amount = (n) => {
  for (const [step, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (n >= step) return `${+(n / step).toPrecision(3)} ${unit}`;
  return `${n}`;
};
const shaped = (d) => `${d.type} [${d.shape.join(", ")}]`;
const named = (box) => box.label || `${box.op} ${boxes.indexOf(box)}`;
const hue = (box) => HUES[box.family] ?? 0;

// Drawing.

const readers = boxes.map(() => []);
boxes.forEach((box, i) => box.reads.forEach((source) => readers[source].push(i)));

/** The line from box `a` to box `b`, along the trunk of `a`; from its point `from` on. */
function line(a, b, from = 0) {
  const trunk = boxes[a].trunk.filter(([, y]) => y < boxes[b].y - 1);
  const points = [[boxes[a].x, boxes[a].y + HEIGHT / 2], ...trunk, [boxes[b].x, boxes[b].y - HEIGHT / 2 - 1]].slice(from);
  let path = `M${points[0]}`;
  for (let i = 1; i < points.length; i++) {
    const [[x0, y0], [x1, y1]] = [points[i - 1], points[i]];
    const middle = (y0 + y1) / 2;
    path += x0 === x1 ? `V${y1}` : `C${x0},${middle} ${x1},${middle} ${x1},${y1}`;
  }
  return path;
}

boxes.forEach((box, i) => {
  // What goes furthest draws the trunk; the others only where they leave it.
  const far = [...readers[i]].sort((a, b) => boxes[b].y - boxes[a].y);
  far.forEach((reader, k) => {
    const passed = box.trunk.filter(([, y]) => y < boxes[reader].y - 1).length;
    svg("path", { d: line(i, reader, k ? passed : 0), "marker-end": "url(#arrow)" }, edges);
  });
});

const elements = boxes.map((box, i) => {
  const group = svg("g", {
    class: box.kind === "operator" ? "box" : "box end", "data-node": i, transform: `translate(${box.x} ${box.y})`,
    style: `--hue: ${hue(box)}`, role: "button", "aria-label": `${box.op} ${box.label}`,
  }, layer);
  svg("rect", { x: -box.w / 2, y: -HEIGHT / 2, width: box.w, height: HEIGHT }, group);
  box.lines.forEach((text, k) => (svg("text", { y: k ? 14 : -3 }, group).textContent = text));
  if (box.label) svg("title", {}, group).textContent = box.label;
  return group;
});

// Where one looks.

let scale = 1, left = 0, top_ = 0, moved = 0;

function place() {
  view.setAttribute("transform", `translate(${left} ${top_}) scale(${scale})`);
  if (!moved) moved = requestAnimationFrame(() => ((moved = 0), drawMap()));
}
function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const to = Math.min(4, Math.max(0.002, scale * factor));
  left = x - ((x - left) * to) / scale;
  top_ = y - ((y - top_) * to) / scale;
  scale = to;
  place();
}
function fit(smallest = 0.002) {
  const [w, h] = [canvas.clientWidth, canvas.clientHeight];
  scale = Math.max(smallest, Math.min(1, (w - 40) / data.width, (h - 40) / data.height));
  left = (w - data.width * scale) / 2;
  if (data.width * scale > w && boxes.length) left = w / 2 - boxes[0].x * scale;
  top_ = data.height * scale > h ? 20 : (h - data.height * scale) / 2;
  place();
}
function centre(box) {
  if (scale < 0.5) scale = 0.8;
  left = canvas.clientWidth / 2 - box.x * scale;
  top_ = canvas.clientHeight / 2 - box.y * scale;
  place();
}

function drawMap() {
  const pen = map.getContext("2d");
  const by = Math.min(map.width / data.width, map.height / data.height);
  const [dx, dy] = [(map.width - data.width * by) / 2, (map.height - data.height * by) / 2];
  const style = getComputedStyle(root);
  pen.clearRect(0, 0, map.width, map.height);
  boxes.forEach((box, i) => {
    const found = elements[i].classList.contains("match") || i === chosen;
    pen.fillStyle = found ? style.getPropertyValue("--mark") : box.family ? `oklch(0.65 0.12 ${hue(box)})` : "gray";
    const [w, h] = [Math.max(found ? 3 : 1.5, box.w * by), Math.max(found ? 3 : 1, HEIGHT * by)];
    pen.fillRect(dx + box.x * by - w / 2, dy + box.y * by - h / 2, w, h);
  });
  pen.strokeStyle = style.getPropertyValue("--ink");
  pen.strokeRect(dx + (-left / scale) * by, dy + (-top_ / scale) * by,
    (canvas.clientWidth / scale) * by, (canvas.clientHeight / scale) * by);
  map.go = (x, y) => {
    left = canvas.clientWidth / 2 - ((x - dx) / by) * scale;
    top_ = canvas.clientHeight / 2 - ((y - dy) / by) * scale;
    place();
  };
}

const pointers = new Map();
let travelled = 0;
canvas.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  if (!pointers.size) travelled = 0;
  pointers.set(event.pointerId, event);
});
canvas.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const others = [...pointers.values()].filter((other) => other.pointerId !== event.pointerId);
  const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
  travelled += Math.abs(dx) + Math.abs(dy);
  if (travelled < 5) return;
  canvas.setPointerCapture(event.pointerId);
  canvas.classList.add("dragging");
  if (others.length) {
    const apart = (p) => Math.hypot(p.clientX - others[0].clientX, p.clientY - others[0].clientY);
    const area = canvas.getBoundingClientRect();
    zoom(apart(event) / Math.max(1, apart(before)),
      (event.clientX + others[0].clientX) / 2 - area.left, (event.clientY + others[0].clientY) / 2 - area.top);
  } else {
    left += dx;
    top_ += dy;
    place();
  }
  pointers.set(event.pointerId, event);
});
for (const end of ["pointerup", "pointercancel"])
  canvas.addEventListener(end, (event) => {
    pointers.delete(event.pointerId);
    canvas.classList.remove("dragging");
  });
canvas.addEventListener("click", (event) => {
  if (travelled >= 5) return;
  const hit = event.target.closest(".box");
  select(hit ? Number(hit.dataset.node) : -1);
});
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const area = canvas.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX - area.left, event.clientY - area.top);
}, { passive: false });
const goOnMap = (event) => event.buttons & 1 && map.go(event.offsetX, event.offsetY);
map.addEventListener("pointerdown", goOnMap);
map.addEventListener("pointermove", goOnMap);

// What one looks at.

let chosen = -1;

function select(i, show = false) {
  elements[chosen]?.classList.remove("selected");
  chosen = boxes[i] ? i : -1;
  lit.replaceChildren();
  if (chosen >= 0) {
    elements[i].classList.add("selected");
    for (const source of boxes[i].reads) svg("path", { d: line(source, i) }, lit);
    for (const reader of readers[i]) svg("path", { d: line(i, reader) }, lit);
    if (show) centre(boxes[i]);
  }
  remember();
  tell();
  place();
}

const link = (i) => html("button", { className: "link", onclick: () => select(i, true) }, named(boxes[i]));
const list = (entries) => html("dl", {}, ...entries.flatMap(([name, value]) => [html("dt", {}, name), html("dd", {}, value)]));

function toldConstant(constant) {
  const parts = [html("p", { className: "faint" }, `constant, ${amount(constant.bytes)}B`)];
  if (constant.values) return [...parts, html("p", { className: "value" }, constant.values.join(", "))];
  const s = constant.statistics;
  if (s.histogram) {
    const most = Math.max(...s.histogram);
    const bars = s.histogram.map((n) => {
      const bar = html("i", { title: `${n}` });
      bar.style.height = `${(100 * n) / most}%`;
      return bar;
    });
    parts.push(html("div", { className: "histogram" }, ...bars));
  }
  const digits = (n) => `${+n.toPrecision(5)}`;
  const rows = [];
  if (s.min !== undefined)
    rows.push(["min .. max", `${digits(s.min)} .. ${digits(s.max)}`], ["mean", digits(s.mean)], ["deviation", digits(s.deviation)]);
  if (s.zeros) rows.push(["zeros", `${s.zeros}`]);
  if (s.not_finite) rows.push(["not finite", `${s.not_finite}`]);
  return [...parts, list(rows)];
}

function told(box, i) {
  const parts = [html("h2", {}, box.op), html("p", { className: "value" }, box.label || `node ${i}`)];
  if (box.multiply_adds) parts.push(html("p", { className: "faint" }, `${amount(box.multiply_adds)} multiply-adds`));
  const attributes = Object.entries(box.attributes ?? {});
  if (attributes.length) parts.push(html("h3", {}, "attributes"), list(attributes));
  if (box.operands) {
    parts.push(html("h3", {}, "operands"));
    for (const operand of box.operands) {
      const source = operand.from === undefined ? [] : ["from ", link(operand.from)];
      if (operand.output !== undefined) source.push(`, output ${operand.output}`);
      parts.push(html("div", { className: "operand" },
        html("p", {}, html("b", {}, operand.name), " ", html("span", { className: "value" }, shaped(operand))),
        ...(operand.constant === undefined ? [html("p", { className: "faint" }, ...source)] : toldConstant(data.constants[operand.constant]))));
    }
  }
  if (box.outputs) {
    parts.push(html("h3", {}, box.kind === "input" ? "value" : "outputs"));
    for (const output of box.outputs) parts.push(html("p", { className: "value" }, shaped(output)));
    const links = readers[i].flatMap((reader, k) => (k ? [", ", link(reader)] : [link(reader)]));
    if (links.length) parts.push(html("p", { className: "faint" }, "read by ", ...links));
  }
  return parts;
}

function row(box, text, number, action, i) {
  const button = html("button", { className: box.kind === "operator" ? "link row" : "link row end", onclick: action },
    html("i"), html("span", {}, text), html("b", {}, number));
  button.style.setProperty("--hue", hue(box));
  if (i !== undefined) button.dataset.result = i;
  return button;
}

/** Fill the panel: the chosen box, or what was found, or which operators there are. */
function tell() {
  if (chosen >= 0) return panel.replaceChildren(...told(boxes[chosen], chosen));
  if (matches.length) {
    const shown = matches.slice(0, 300).map((i) =>
      row(boxes[i], boxes[i].label || boxes[i].op, boxes[i].label ? boxes[i].op : `${i}`, () => go(matches.indexOf(i)), i));
    return panel.replaceChildren(html("h3", {}, "found"), ...shown);
  }
  const kinds = new Map();
  for (const box of boxes) kinds.set(box.op, [...(kinds.get(box.op) ?? []), box]);
  const rows = [...kinds].sort((a, b) => b[1].length - a[1].length).map(([op, alike]) =>
    row(alike[0], op, `${alike.length}`, () => { search.value = `op:${op}`; find(); }));
  panel.replaceChildren(html("h3", {}, "operators"), ...rows);
}

// Searching.

const texts = boxes.map((box) => [
  box.op, `op:${box.op}`, box.label, box.family ?? "", ...(box.operands ?? []).map(shaped), ...(box.outputs ?? []).map(shaped),
  ...Object.entries(box.attributes ?? {}).map((pair) => pair.join("=")),
].join("\n").toLowerCase());
let matches = [], at = -1;

function find() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (text) => words.every((word) => word.startsWith("op:") ? text.split("\n").includes(word) : text.includes(word));
  matches = words.length ? [...boxes.keys()].filter((i) => fits(texts[i])) : [];
  at = -1;
  const found = new Set(matches);
  elements.forEach((element, i) => element.classList.toggle("match", found.has(i)));
  canvas.classList.toggle("searching", words.length > 0);
  count.textContent = words.length ? `${matches.length} found` : "";
  select(-1);
}
function go(to) {
  if (!matches.length) return;
  at = (to + matches.length) % matches.length;
  select(matches[at], true);
  count.textContent = `${at + 1} of ${matches.length}`;
}
search.addEventListener("input", find);
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter") go(event.shiftKey ? at - 1 : at + 1);
  if (event.key === "Escape") {
    search.value = "";
    find();
    canvas.focus();
  }
});
document.getElementById("next").onclick = () => go(at + 1);
document.getElementById("previous").onclick = () => go(at - 1);

// Keys and buttons.

/** The box that an arrow key leads to: what is read, what reads, or what stands beside. */
function neighbour(key) {
  const box = boxes[chosen];
  if (key === "ArrowUp") return box.reads[0];
  if (key === "ArrowDown") return readers[chosen][0];
  const sign = key === "ArrowLeft" ? -1 : 1;
  let best;
  boxes.forEach((other, i) => {
    const way = (other.x - box.x) * sign;
    if (other.y === box.y && way > 0 && (best === undefined || way < (boxes[best].x - box.x) * sign)) best = i;
  });
  return best;
}
document.addEventListener("keydown", (event) => {
  if (event.target === search || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key.startsWith("Arrow") && boxes.length) {
    const to = chosen < 0 ? 0 : neighbour(event.key);
    if (to !== undefined) select(to, true);
  } else if (event.key === "/") search.focus();
  else if (event.key === "+" || event.key === "=") zoom(1.25);
  else if (event.key === "-") zoom(0.8);
  else if (event.key === "0") fit();
  else if (event.key === "Escape") select(-1);
  else return;
  event.preventDefault();
});
document.getElementById("zoom-in").onclick = () => zoom(1.25);
document.getElementById("zoom-out").onclick = () => zoom(0.8);
document.getElementById("fit").onclick = () => fit();

// The map of a tall graph is as tall as the page, and narrow.
if (data.height > 6 * data.width) map.height = Math.max(220, canvas.clientHeight - 22);
map.width = Math.max(56, Math.min(160, Math.ceil(map.height * (data.width / data.height) + 24)));

const dark = matchMedia("(prefers-color-scheme: dark)");
function colour(mode) {
  root.classList.toggle("dark", mode === "dark");
  root.classList.toggle("light", mode === "light");
  place();
}
document.getElementById("theme").onclick = () => {
  dark.onchange = null;
  colour(root.classList.contains("dark") ? "light" : "dark");
};
dark.onchange = () => colour(dark.matches ? "dark" : "light");

// The address says what is looked at: `#search=conv2d`, `#node=12`.

function remember() {
  const words = new URLSearchParams();
  if (search.value) words.set("search", search.value);
  if (chosen >= 0) words.set("node", chosen);
  history.replaceState(null, "", words.size ? `#${words}` : location.pathname + location.search);
}
function recall() {
  const words = new URLSearchParams(location.hash.slice(1));
  search.value = words.get("search") ?? "";
  const node = words.has("node") ? Number(words.get("node")) : -1;
  find();
  if (node >= 0) select(node, true);
}

const nodes = boxes.filter((box) => box.kind === "operator").length;
document.getElementById("title").textContent = data.title;
document.getElementById("figures").textContent =
  `${nodes} ${nodes === 1 ? "node" : "nodes"}, ${amount(data.parameters)} ${data.parameters === 1 ? "parameter" : "parameters"}, `
  + `${amount(data.multiply_adds)} ${data.multiply_adds === 1 ? "multiply-add" : "multiply-adds"}`;
colour(dark.matches ? "dark" : "light");
fit(0.8);
recall();
addEventListener("hashchange", recall);
addEventListener("resize", place);
