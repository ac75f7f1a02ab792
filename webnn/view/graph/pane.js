"use strict";
// One graph on the screen: its drawing, where one looks, and its map, which has a strip of its own.

const HUES = {
  convolution: 255, matrix: 275, recurrent: 295, activation: 25, elementwise: 145, logic: 170, pooling: 205,
  normalization: 75, reduction: 110, movement: 330, gathering: 350, resampling: 225, quantization: 310,
};
const NARROWEST_MAP = 44, WIDEST_MAP = 150;

class Pane {
  /** @param act what to do with what is clicked: `choose(item)` and `fold(block)`. */
  constructor(graph, host, act) {
    this.graph = graph;
    this.act = act;
    const name = `${graph.name}; arrow keys go from node to node, enter folds and unfolds`;
    this.element = html("section", { className: "pane" });
    this.element.append(html("h2", { className: "name" }, graph.name, html("span", {}, graph.figures)));
    this.canvas = svg("svg", { class: "canvas", role: "application", "aria-label": name, tabindex: 0 }, this.element);
    this.view = svg("g", {}, this.canvas);
    [this.frames, this.edges, this.lit, this.names, this.layer] = ["frames", "edges", "lit", "names", "boxes"].map((each) => svg("g", { class: each }, this.view));
    this.map = html("canvas", { className: "map", title: "the whole graph; click to go there" });
    this.map.setAttribute("aria-hidden", "true");
    this.element.append(this.map);
    host.append(this.element);
    [this.scale, this.left, this.top] = [1, 0, 0];
    this.listen();
  }

  // Drawing.

  draw() {
    const { root } = this.graph;
    if (!root.routes) arrange(root);
    for (const part of [this.frames, this.edges, this.lit, this.names, this.layer]) part.replaceChildren();
    this.elements = new Map();
    this.visible = [];
    this.drawBlock(root, 0, 0);
    this.colour();
    this.highlight();
    this.place();
  }

  drawBlock(block, x, y) {
    for (const child of block.children) {
      [child.X, child.Y] = [x + child.x, y + child.y];
      if (child.isBlock && child.open) {
        this.drawFrame(child);
        this.drawBlock(child, child.X - child.w / 2, child.Y - child.h / 2);
      } else this.drawBox(child);
    }
    [block.left, block.up] = [x, y];
    const drawn = new Set();
    for (const route of block.routes) {
      const path = curve(route, x, y);
      if (drawn.has(path)) continue;
      drawn.add(path);
      svg("path", route.to && !(route.to.isBlock && route.to.open) ? { d: path, class: "to" } : { d: path }, this.edges);
    }
  }

  drawFrame(block) {
    const at = { "data-block": block.number, transform: `translate(${block.X - block.w / 2} ${block.Y - block.h / 2})` };
    const group = svg("g", { class: "frame", ...at }, this.frames);
    svg("rect", { width: block.w, height: block.h, rx: 9 }, group);
    const name = svg("g", { class: "frame", ...at }, this.names); // above the lines
    svg("text", { x: 30, y: 18 }, name).textContent = cut(block.name);
    this.drawToggle(block, name, 15, 14);
    this.elements.set(block, group);
  }

  drawBox(item) {
    const kind = item.isBlock ? "box folded" : item.isEnd ? "box end" : "box";
    const refused = item.refused ? `, ${item.isBlock ? `${item.refused} ` : ""}refused` : "";
    const told = item.isBlock ? `block ${item.name}, ${item.lines[1]}, folded` : `${item.op} ${item.label}`;
    const group = svg("g", { class: kind, role: "button", "aria-label": told + refused, transform: `translate(${item.X} ${item.Y})` }, this.layer);
    group.dataset[item.isBlock ? "block" : "node"] = item.number;
    const rect = { x: -item.w / 2, y: -item.h / 2, width: item.w, height: item.h, rx: item.isEnd ? 18 : 7 };
    if (item.isBlock) svg("rect", { ...rect, x: rect.x + 4, y: rect.y + 4, class: "behind" }, group);
    svg("rect", rect, group);
    item.lines.forEach((line, i) => {
      const at = { x: item.isBlock ? 9 : 0, y: -item.h / 2 + 18 + i * LINE };
      svg("text", i ? { ...at, class: "more" } : at, group).textContent = cut(line);
    });
    if (item.isBlock) this.drawToggle(item, group, -item.w / 2 + 15, 0);
    this.drawMarks(item, group, item.w / 2 - 2, -item.h / 2 + 2);
    const words = [item.name, ...(item.problems ?? []).map((each) => `${each.target}: ${each.text}`)];
    svg("title", {}, group).textContent = words.join("\n");
    this.elements.set(item, group);
    this.visible.push(item);
  }

  drawToggle(block, group, x, y) {
    const toggle = svg("g", { class: "toggle", role: "button", "aria-label": `${block.open ? "fold" : "unfold"} ${block.name}` }, group);
    svg("circle", { cx: x, cy: y, r: 8 }, toggle);
    svg("path", { d: `M${x - 4},${y}h8${block.open ? "" : `M${x},${y - 4}v8`}` }, toggle);
  }

  drawMarks(item, group, x, y) {
    for (const [count, kind] of [[item.refused, "refused"], [item.noted, "noted"]]) {
      if (!count) continue;
      const text = item.isBlock ? `${count}` : kind === "refused" ? "✕" : "!";
      const mark = svg("g", { class: `mark ${kind}` }, group);
      const width = Math.max(16, text.length * 8 + 8);
      svg("rect", { x: x - width / 2, y: y - 8, width, height: 16, rx: 8 }, mark);
      svg("text", { x, y: y + 4 }, mark).textContent = text;
      x -= width + 2;
    }
  }

  // How it looks.

  /** Colour everything by `Pane.colouring`: the family of the operator, a cost, or nothing but the differences. */
  colour() {
    const cost = Pane.colouring in COSTS ? Pane.colouring : null;
    const value = (item) => item.costs[cost] ?? 0;
    this.most = cost ? Math.max(...this.visible.map(value)) : 0;
    for (const [item, element] of this.elements) {
      const heat = this.most > 0 ? Math.sqrt(value(item) / this.most) : 0;
      element.classList.toggle("heated", cost !== null);
      element.style.setProperty("--heat", `${Math.round(100 * heat)}%`);
      element.style.setProperty("--hue", hue(item));
      const plain = item.isBlock || Pane.colouring === "differences" || !(families[item.op] in HUES);
      element.classList.toggle("plain", plain);
      element.classList.toggle("changed", item.isBlock ? item.differing > 0 && !item.open : item.differs === "changed");
      element.classList.toggle("alone", item.differs === "alone");
      element.classList.toggle("second", this.graph.number === 1);
    }
  }

  /** Mark what is chosen, with the lines that it reads and is read by, and what was found. */
  highlight() {
    this.lit.replaceChildren();
    for (const [item, element] of this.elements) {
      element.classList.toggle("selected", item === this.chosen);
      element.classList.toggle("match", item.isBlock ? !item.open && item.boxes.some((box) => this.found?.has(box)) : this.found?.has(item) ?? false);
    }
    this.canvas.classList.toggle("searching", Boolean(this.found));
    const { chosen } = this;
    if (!chosen) return;
    const steps = chosen.isBlock
      ? chosen.parent?.links.filter((link) => link.from === chosen || link.to === chosen).map((link) => [chosen.parent, link.value, link.from, link.to]) ?? []
      : [...chosen.reads.flatMap((box) => this.graph.way(box, chosen)), ...chosen.readers.flatMap((box) => this.graph.way(chosen, box))];
    for (const [block, value, from, to] of steps) {
      if (!block.open || block.shown !== block) continue;
      const route = block.routes.find((each) => each.value === value && each.from === from && each.to === to);
      if (route) svg("path", { d: curve(route, block.left, block.up, true) }, this.lit);
    }
  }

  // Where one looks.

  get width() {
    return this.canvas.clientWidth;
  }
  get height() {
    return this.canvas.clientHeight;
  }

  place() {
    this.view.setAttribute("transform", `translate(${this.left} ${this.top}) scale(${this.scale})`);
    this.awaited ??= requestAnimationFrame(() => {
      this.awaited = undefined;
      this.drawMap();
    });
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const to = Math.min(4, Math.max(0.002, this.scale * factor));
    this.left = x - ((x - this.left) * to) / this.scale;
    this.top = y - ((y - this.top) * to) / this.scale;
    this.scale = to;
    this.place();
  }

  /** The whole graph, but no smaller than `smallest`: then from its first box on. */
  fit(smallest = 0.002) {
    const { root } = this.graph;
    this.setMap();
    this.scale = Math.max(smallest, Math.min(1, (this.width - 20) / root.w, (this.height - 20) / root.h));
    const first = this.visible.find((item) => item.y === Math.min(...root.children.map((child) => child.y))) ?? this.visible[0];
    const isWide = root.w * this.scale > this.width && first;
    this.left = isWide ? Math.min(4, this.width / 2 - first.X * this.scale) : (this.width - root.w * this.scale) / 2;
    this.top = root.h * this.scale > this.height ? 4 : (this.height - root.h * this.scale) / 2;
    this.place();
  }

  centre(item) {
    if (this.scale < 0.5) this.scale = 0.8;
    const tall = item.h * this.scale > this.height;
    this.left = this.width / 2 - item.X * this.scale;
    this.top = tall ? 20 - (item.Y - item.h / 2) * this.scale : this.height / 2 - item.Y * this.scale;
    this.place();
  }

  /** Draw again after `change`, with the upper end of `item` where it was on the screen. */
  keeping(item, change) {
    const before = [item.X, item.Y - item.h / 2];
    change();
    this.draw();
    this.left += (before[0] - item.X) * this.scale;
    this.top += (before[1] - (item.Y - item.h / 2)) * this.scale;
    this.setMap();
    this.place();
  }

  // The map.

  /** The map is there if not all of the graph fits on the screen: at the side, or below a wide graph. */
  setMap() {
    const { w, h } = this.graph.root;
    const { clientWidth, clientHeight, classList, style } = this.element;
    const [along, across, room] = w > 2 * h ? [clientWidth, h / w, clientHeight] : [clientHeight, w / h, clientWidth];
    const size = Math.min(WIDEST_MAP, Math.max(NARROWEST_MAP, (along - 16) * across + 16), room / 5);
    classList.toggle("mapped", w > clientWidth || h > clientHeight);
    classList.toggle("wide", w > 2 * h);
    style.setProperty("--map", `${Math.round(size)}px`);
  }

  drawMap() {
    const [wide, high] = [this.map.clientWidth, this.map.clientHeight];
    if (!wide || !high) return;
    const fine = devicePixelRatio;
    [this.map.width, this.map.height] = [wide * fine, high * fine];
    const pen = this.map.getContext("2d");
    pen.scale(fine, fine);
    const { w, h } = this.graph.root;
    const by = Math.min((wide - 8) / w, (high - 8) / h);
    const [dx, dy] = [(wide - w * by) / 2, (high - h * by) / 2];
    const style = getComputedStyle(root);
    const colour = Object.fromEntries(["mark", "ink", "bad", "hot", "edge", "warn", "added"].map((name) => [name, style.getPropertyValue(`--${name}`)]));
    const heated = Pane.colouring in COSTS;
    const usual = (item) => (Pane.colouring !== "differences" && families[item.op] in HUES ? `oklch(0.65 0.12 ${hue(item)})` : colour.edge);
    const differing = { alone: this.graph.number ? colour.added : colour.bad, changed: colour.warn };
    for (const item of this.visible) {
      const found = item === this.chosen || this.elements.get(item).classList.contains("match");
      const differs = item.isBlock ? item.differing && "changed" : item.differs;
      pen.fillStyle = found ? colour.mark : differs ? differing[differs] : item.refused ? colour.bad : heated ? colour.hot : usual(item);
      pen.globalAlpha = heated && !found && !item.refused ? 0.15 + 0.85 * Math.sqrt((item.costs[Pane.colouring] ?? 0) / (this.most || 1)) : 1;
      const [width, height] = [Math.max(found ? 4 : 2, item.w * by), Math.max(found ? 3 : 1, item.h * by)];
      pen.fillRect(dx + item.X * by - width / 2, dy + item.Y * by - height / 2, width, height);
    }
    pen.globalAlpha = 1;
    pen.strokeStyle = colour.ink;
    const [x, y] = [dx + (-this.left / this.scale) * by, dy + (-this.top / this.scale) * by];
    const [x0, y0] = [Math.max(1, x), Math.max(1, y)];
    const [x1, y1] = [Math.min(wide - 1, x + (this.width / this.scale) * by), Math.min(high - 1, y + (this.height / this.scale) * by)];
    pen.strokeRect(x0, y0, Math.max(2, x1 - x0), Math.max(2, y1 - y0));
    this.goOnMap = (mapX, mapY) => {
      this.left = this.width / 2 - ((mapX - dx) / by) * this.scale;
      this.top = this.height / 2 - ((mapY - dy) / by) * this.scale;
      this.place();
    };
  }

  // The mouse and fingers.

  listen() {
    const { canvas, map } = this;
    const hasDragged = followPointers(canvas, {
      drag: (dx, dy) => {
        this.left += dx;
        this.top += dy;
        this.place();
      },
      pinch: (before, after, other) => {
        const apart = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
        const area = canvas.getBoundingClientRect();
        this.zoom(apart(after) / Math.max(1, apart(before)), (after.clientX + other.clientX) / 2 - area.left, (after.clientY + other.clientY) / 2 - area.top);
      },
    });
    canvas.addEventListener("click", (event) => {
      if (hasDragged()) return;
      const item = this.itemAt(event);
      if (item?.isBlock && event.target.closest(".toggle")) this.act.fold(item);
      else this.act.choose(item, this);
    });
    canvas.addEventListener("dblclick", (event) => {
      const item = this.itemAt(event);
      if (item?.isBlock && !event.target.closest(".toggle")) this.act.fold(item);
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const area = canvas.getBoundingClientRect();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX - area.left, event.clientY - area.top);
    }, { passive: false });
    const go = (event) => event.buttons & 1 && this.goOnMap?.(event.offsetX, event.offsetY);
    map.addEventListener("pointerdown", go);
    map.addEventListener("pointermove", go);
  }

  itemAt(event) {
    const hit = event.target.closest(".box, .frame");
    if (!hit) return null;
    return hit.dataset.node !== undefined ? this.graph.boxes[hit.dataset.node] : this.graph.blocks[hit.dataset.block];
  }
}
Pane.colouring = "family";

const hue = (item) => HUES[families[item.op]] ?? 0;
