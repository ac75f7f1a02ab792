"use strict";
// The page: what is chosen, searched and folded, the keys and buttons, and the address that keeps it.

const data = JSON.parse(byId("data").textContent);
const families = data.families;
const graphs = data.graphs.map((graph, i) => new Graph(graph, i));
const panes = graphs.map((graph) => new Pane(graph, byId("panes"), { choose: (item, pane) => choose(item, false, pane), fold: (block) => fold(block) }));
const [panel, search, count, colours] = ["panel", "search", "count", "colours"].map(byId);
const paneOf = (item) => panes[item.graph.number];

// Choosing and folding.

let chosen = null, active = panes[0], tab = graphs.length > 1 ? "differences" : "overview";

/** Choose a box or a block, and its counterpart in the other graph; `show` also unfolds and goes to it. */
function choose(item, show = false, pane = item ? paneOf(item) : active) {
  chosen = item ?? null;
  active = pane;
  const partner = item && !item.isBlock && item.partner !== undefined && graphs.length > 1 ? graphs[1 - item.graph.number].boxes[item.partner] : null;
  for (const each of panes) each.chosen = item && each === paneOf(item) ? item : partner && each === paneOf(partner) ? partner : null;
  if (item && show) reveal(item);
  if (partner) reveal(partner);
  for (const each of panes) {
    each.highlight();
    each.place();
  }
  if (item && tab !== "costs") tab = "chosen";
  if (!item && tab === "chosen") tab = matches.length ? "found" : "overview";
  remember();
  tell();
}

/** Unfold the blocks around a box or a block, and go there. */
function reveal(item) {
  const pane = paneOf(item);
  const folded = item.ancestors.filter((block) => !block.open);
  for (const block of folded) block.open = true;
  if (folded.length) {
    disarrange(folded[0]);
    pane.draw();
    pane.setMap();
  }
  pane.centre(item);
}

function fold(block) {
  paneOf(block).keeping(block, () => {
    block.open = !block.open;
    disarrange(block);
  });
  if (chosen && chosen.shown !== chosen) choose(block);
  else tell();
}

function foldAll(blocks, open) {
  for (const block of blocks) {
    block.open = open;
    disarrange(block);
  }
  if (chosen && chosen.shown !== chosen) choose(chosen.shown);
  for (const pane of panes) {
    pane.draw();
    pane.setMap();
    if (!chosen || paneOf(chosen) !== pane) pane.fit(0.8);
    else pane.centre(chosen);
  }
  tell();
}

// The panel.

const TABS = {
  overview: { name: "Graph", tell: overview },
  chosen: { name: "Chosen", tell: () => aboutChosen(chosen) },
  costs: { name: "Costs", tell: costTable },
  ...(graphs.length > 1 ? { differences: { name: "Differences", tell: differenceList } } : {}),
  found: { name: "Found", tell: foundList, hidden: () => !matches.length },
};

function tell() {
  const tabs = Object.entries(TABS).filter(([, each]) => !each.hidden?.());
  if (!tabs.some(([key]) => key === tab)) tab = "overview";
  byId("tabs").replaceChildren(...tabs.map(([key, each]) => {
    const element = button(each.name, () => {
      tab = key;
      if (byId("side").classList.contains("closed")) byId("toggle").click();
      tell();
    });
    element.setAttribute("role", "tab");
    element.setAttribute("aria-selected", `${key === tab}`);
    return element;
  }));
  panel.replaceChildren(...TABS[tab].tell());
  panel.scrollTop = panel.dataset.tab === tab && tab === "costs" ? panel.scrollTop : 0;
  if (panel.dataset.tab === tab) return;
  panel.dataset.tab = tab;
  byId("side").classList.toggle("broad", tab === "costs");
  resized();
}

function resized() {
  for (const pane of panes) {
    pane.setMap();
    pane.place();
  }
}

// Searching.

const texts = new Map(graphs.flatMap((graph) => graph.boxes.map((box) => [box, [
  box.op, `op:${box.op}`, box.label, families[box.op] ?? "", ...box.ins.map((read) => graph.described(read.d)), ...box.outs.map((d) => graph.described(d)),
  ...Object.entries(box.attributes).map((pair) => pair.join("=")),
].join("\n").toLowerCase()])));
let matches = [], at = -1;

function find() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (text) => words.every((word) => (word.startsWith("op:") ? text.split("\n").includes(word) : text.includes(word)));
  matches = words.length ? [...texts.keys()].filter((box) => fits(texts.get(box))) : [];
  at = -1;
  for (const pane of panes) pane.found = words.length ? new Set(matches) : null;
  count.textContent = words.length ? `${matches.length} found` : "";
  tab = matches.length ? "found" : tab === "found" ? "overview" : tab;
  choose(null);
}

function searchFor(words) {
  search.value = words;
  find();
}

function go(to) {
  if (!matches.length) return;
  at = (to + matches.length) % matches.length;
  const before = tab;
  choose(matches[at], true);
  if (before === "found" && document.activeElement === search) {
    tab = "chosen";
    tell();
  }
  count.textContent = `${at + 1} of ${matches.length}`;
}

function foundList() {
  return matches.slice(0, 300).map((box, i) => {
    const element = row(box, box.label || box.op, box.label ? box.op : `${box.node}`, () => go(i));
    element.dataset.result = box.number;
    return element;
  });
}

search.addEventListener("input", find);
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter") go(event.shiftKey ? at - 1 : at + 1);
  if (event.key === "Escape") {
    searchFor("");
    active.canvas.focus();
  }
});
byId("next").onclick = () => go(at + 1);
byId("previous").onclick = () => go(at - 1);

// Keys and buttons.

/** What an arrow key leads to: what is read, what reads, or what stands beside. */
function neighbour(key) {
  const pane = paneOf(chosen);
  if (key === "ArrowUp" || key === "ArrowDown") {
    const boxes = chosen.isBlock
      ? chosen.boxes.flatMap((box) => (key === "ArrowUp" ? box.reads : box.readers)).filter((box) => !chosen.boxes.includes(box))
      : key === "ArrowUp" ? chosen.reads : chosen.readers;
    return boxes[0]?.shown;
  }
  const sign = key === "ArrowLeft" ? -1 : 1;
  const beside = pane.visible.filter((other) => Math.abs(other.Y - chosen.Y) < 20 && (other.X - chosen.X) * sign > 1);
  return beside.sort((a, b) => (a.X - b.X) * sign)[0];
}

document.addEventListener("keydown", (event) => {
  if (event.target.matches?.("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const isButton = event.target.matches?.("button");
  if (event.key.startsWith("Arrow") && active.visible.length) {
    const to = chosen ? neighbour(event.key) : active.visible[0];
    if (to) choose(to, true);
  } else if ((event.key === "Enter" || event.key === " ") && chosen && !isButton) {
    const block = chosen.isBlock ? chosen : chosen.ancestors.find((each) => each.parent);
    if (!block) return;
    fold(block);
    paneOf(block).centre(block);
  } else if (event.key === "/") search.focus();
  else if (event.key === "+" || event.key === "=") active.zoom(1.25);
  else if (event.key === "-") active.zoom(0.8);
  else if (event.key === "0") active.fit();
  else if (event.key === "Escape") choose(null);
  else return;
  event.preventDefault();
});
byId("zoom-in").onclick = () => active.zoom(1.25);
byId("zoom-out").onclick = () => active.zoom(0.8);
byId("fit").onclick = () => panes.forEach((pane) => pane.fit());
byId("unfold").onclick = () => foldAll(graphs.flatMap((graph) => graph.blocks), true);
byId("fold").onclick = () => foldAll(graphs.flatMap((graph) => graph.blocks), false);
byId("svg").onclick = () => download(active);
byId("toggle").onclick = () => {
  byId("side").classList.toggle("closed");
  resized();
  if (chosen) paneOf(chosen).centre(chosen.shown);
};
for (const id of ["fold", "unfold"]) byId(id).hidden = !graphs.some((graph) => graph.blocks.length);

// Colours.

const colourings = { family: "operators", ...(graphs.length > 1 ? { differences: "differences" } : {}) };
for (const graph of graphs) for (const key of graph.costs) colourings[key] = COSTS[key].name;
for (const [key, name] of Object.entries(colourings)) colours.append(html("option", { value: key }, name));

function colourBy(key) {
  Pane.colouring = key in colourings ? key : "family";
  colours.value = Pane.colouring;
  for (const pane of panes) {
    pane.colour();
    pane.place();
  }
  const cost = COSTS[Pane.colouring];
  byId("legend").hidden = !cost;
  if (cost) byId("most").textContent = cost.text(Math.max(...panes.map((pane) => pane.most)));
}
colours.onchange = () => {
  colourBy(colours.value);
  remember();
};

const dark = matchMedia("(prefers-color-scheme: dark)");
function light(mode) {
  root.classList.toggle("dark", mode === "dark");
  root.classList.toggle("light", mode === "light");
  panes.forEach((pane) => pane.place());
}
byId("theme").onclick = () => {
  dark.onchange = null;
  light(root.classList.contains("dark") ? "light" : "dark");
};
dark.onchange = () => light(dark.matches ? "dark" : "light");

// The address says what is looked at: `#search=conv2d`, `#node=12`, `#colour=macs`.

function remember() {
  const words = new URLSearchParams();
  if (search.value) words.set("search", search.value);
  if (chosen && !chosen.isBlock) words.set("node", graphs.length > 1 ? `${chosen.graph.number}.${chosen.number}` : chosen.number);
  if (Pane.colouring !== usual) words.set("colour", Pane.colouring);
  if (location.protocol === "about:") return; // a page inside of another one, as in a notebook, has no address
  try {
    history.replaceState(null, "", words.size ? `#${words}` : location.pathname + location.search);
  } catch {
    // In some frames the address may not be changed.
  }
}
function recall() {
  const words = new URLSearchParams(location.protocol === "about:" ? "" : location.hash.slice(1));
  colourBy(words.get("colour") ?? usual);
  const [node, graph] = (words.get("node") ?? "").split(".").reverse();
  searchFor(words.get("search") ?? "");
  const box = node ? graphs[graph ?? 0]?.boxes[node] : undefined;
  if (box) choose(box, true);
}

const usual = graphs.length > 1 ? "differences" : "family";
byId("title").textContent = data.title;
byId("figures").textContent = graphs.length > 1 ? "" : graphs[0].figures;
root.classList.toggle("two", graphs.length > 1);
if (innerWidth < 700) byId("side").classList.add("closed");
light(dark.matches ? "dark" : "light");
Pane.colouring = usual;
for (const pane of panes) {
  pane.draw();
  pane.fit(0.8);
}
recall();
addEventListener("hashchange", recall);
addEventListener("resize", resized);
