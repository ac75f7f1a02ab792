"use strict";
// Where everything stands. Each unfolded block is laid out by itself, by dagre, and is then one box of its parent.
//
// A value that comes into a block from outside enters at its top, above the place where it is read, and leaves at its
// bottom. A value that many read from afar, such as a mask, has a rail at the left, from which lines lead to its readers:
// dagre would place a line of its own for each of them.

const LINE = 16, PADDING = 14, HEADER = 26, CHARACTER = 7.3, WIDEST = 36;
const FAR = 3; // so many readers below the next row share a rail
const RAIL = 12; // from one rail to the next
const TALL = 8; // a row at least so high has boxes in it

const cut = (text) => (text.length <= WIDEST ? text : `${text.slice(0, WIDEST - 1)}…`);

/** The size of what is not unfolded. */
function size(item) {
  const longest = Math.max(...item.lines.map((line) => cut(line).length));
  return { w: longest * CHARACTER + (item.isBlock ? 44 : 26), h: item.lines.length * LINE + 12 };
}

/** Lay out an unfolded block, and the unfolded blocks in it, if they have changed. */
function arrange(block) {
  for (const child of block.children) {
    if (child.isBlock && child.open) {
      if (!child.routes) arrange(child);
    } else Object.assign(child, size(child));
  }
  const parts = separate(block).map((children) => {
    const links = block.links.filter((link) => children.has(link.from ?? link.to));
    const plan = new Plan(block, [...children], links);
    plan.place();
    plan.write();
    return { children: plan.children, w: block.w, h: block.h, routes: block.routes };
  });
  if (parts.length > 1) pack(block, parts);
}

/** The children of a block, in parts that nothing connects. */
function separate(block) {
  if (block.links.some((link) => !link.from || !link.to)) return [new Set(block.children)];
  const part = new Map(block.children.map((child) => [child, new Set([child])]));
  for (const { from, to } of block.links) {
    let [more, fewer] = [part.get(from), part.get(to)];
    if (more === fewer) continue;
    if (more.size < fewer.size) [more, fewer] = [fewer, more];
    for (const child of fewer) {
      more.add(child);
      part.set(child, more);
    }
  }
  return [...new Set(part.values())];
}

/** Put the parts of a block beside each other, in as many rows as make it look like a page. */
function pack(block, parts) {
  const area = parts.reduce((sum, { w, h }) => sum + w * h, 0);
  const width = Math.max(Math.sqrt(area * 1.4), ...parts.map(({ w }) => w));
  let [x, y, high] = [0, 0, 0];
  [block.w, block.h, block.routes] = [0, 0, []];
  for (const { children, w, h, routes } of parts) {
    if (x > 0 && x + w > width) [x, y, high] = [0, y + high, 0];
    for (const child of children) [child.x, child.y] = [child.x + x, child.y + y];
    for (const route of routes) {
      route.points = route.points.map(([left, top]) => [left + x, top + y]);
      if (route.rail) route.rail = { x: route.rail.x + x, start: route.rail.start + y, since: route.rail.since + y, end: route.rail.end + y };
      block.routes.push(route);
    }
    x += w;
    high = Math.max(high, h);
    block.w = Math.max(block.w, x);
    block.h = y + high;
  }
}

/** Forget the places of a block and of everything around it. */
function disarrange(block) {
  for (const each of [block, ...block.ancestors]) each.routes = null;
}

class Plan {
  constructor(block, children, links) {
    this.block = block;
    this.children = children;
    this.nodes = children.map((child) => ({ item: child, w: child.w, h: child.h }));
    this.edges = [];
    const numbers = new Map(children.map((child, i) => [child, i]));
    this.entries = new Map();
    this.exits = new Map();
    const passing = (where, value) => {
      if (!where.has(value)) where.set(value, this.nodes.push({ w: 6, h: 1 }) - 1);
      return where.get(value);
    };
    const ends = new Map();
    this.links = links.map((link) => {
      const from = link.from ? numbers.get(link.from) : passing(this.entries, link.value);
      const to = link.to ? numbers.get(link.to) : passing(this.exits, link.value);
      const key = `${from},${to}`;
      if (!ends.has(key)) ends.set(key, { from, to });
      return { ...link, ends: ends.get(key) };
    });
    this.lines = [...ends.values()];
    this.makeRails();
    for (const [passages, down] of [[this.entries, true], [this.exits, false]]) {
      if (!passages.size) continue;
      const border = this.nodes.push({ w: 1, h: 1, border: true }) - 1;
      for (const node of passages.values()) this.edges.push(down ? [border, node, 100] : [node, border, 100]);
    }
  }

  /** The row of each node, if each stands right below what it reads. */
  rows() {
    const rows = this.nodes.map(() => 0), waiting = this.nodes.map(() => 0);
    const below = this.nodes.map(() => []);
    for (const { from, to } of this.lines) {
      below[from].push(to);
      waiting[to]++;
    }
    const ready = [...this.nodes.keys()].filter((node) => !waiting[node]);
    while (ready.length) {
      const node = ready.pop();
      for (const reader of below[node]) {
        rows[reader] = Math.max(rows[reader], rows[node] + 1);
        if (!--waiting[reader]) ready.push(reader);
      }
    }
    return rows;
  }

  /**
   * Part the lines into those that dagre places and those along rails.
   *
   * A reader on a rail must stand below its source without that line, too: where the value enters from outside, or where
   * the reader reads it through others as well.
   */
  makeRails() {
    const rows = this.rows();
    const below = this.nodes.map(() => []), kept = new Set(this.lines);
    for (const line of this.lines) below[line.from].push(line);
    const entries = new Set(this.entries.values());
    this.rails = [];
    below.forEach((lines, from) => {
      const far = lines.filter((line) => rows[line.to] - rows[from] > 1).sort((a, b) => rows[a.to] - rows[b.to]);
      if (far.length < FAR) return;
      const rail = { from, lines: far.slice(1).filter((line) => entries.has(from) || this.isBelow(line, below, kept)) };
      for (const line of rail.lines) kept.delete(line);
      if (rail.lines.length) this.rails.push(rail);
    });
    for (const line of kept) line.edge = this.edges.push([line.from, line.to, 1]) - 1;
  }

  /** Whether the end of `line` can be reached from its start by other lines that are kept. */
  isBelow(line, below, kept) {
    const stack = [line.from], seen = new Set(stack);
    while (stack.length) {
      for (const each of below[stack.pop()]) {
        if (each === line || !kept.has(each) || seen.has(each.to)) continue;
        if (each.to === line.to) return true;
        seen.add(each.to);
        stack.push(each.to);
      }
    }
    return false;
  }

  /** Let dagre place it, or remember a block just like it. */
  place() {
    const key = JSON.stringify([this.nodes.map((node) => [node.w, node.h]), this.edges]);
    if (!Plan.known.has(key)) Plan.known.set(key, this.laidOut());
    this.places = Plan.known.get(key);
  }

  laidOut() {
    const graph = new dagre.graphlib.Graph();
    graph.setGraph({ nodesep: 24, edgesep: 14, ranksep: 34, ranker: this.nodes.length > 150 ? "longest-path" : "network-simplex" });
    this.nodes.forEach((node, i) => graph.setNode(`${i}`, { width: node.w, height: node.h }));
    for (const [from, to, weight] of this.edges) graph.setEdge(`${from}`, `${to}`, { weight });
    dagre.layout(graph);
    const nodes = this.nodes.map((_, i) => graph.node(`${i}`)).map(({ x, y }) => [x, y]);
    const edges = this.edges.map(([from, to]) => graph.edge(`${from}`, `${to}`).points.slice(1, -1).map(({ x, y }) => [x, y]));
    return { nodes, edges };
  }

  /** Write the places into the children, and the routes of the links into the block; all relative to its corner. */
  write() {
    const { nodes, edges } = this.places;
    const heights = new Map();
    const row = (y) => Math.round(y * 10);
    nodes.forEach(([, y], i) => heights.set(row(y), Math.max(heights.get(row(y)) ?? 0, this.nodes[i].h)));
    const passed = ([x, y]) => {
      const half = (heights.get(row(y)) ?? 0) / 2;
      return half * 2 >= TALL ? [[x, y - half - 4], [x, y + half + 4]] : [];
    };
    const bends = edges.map((points) => points.flatMap(passed));
    const inside = this.nodes.flatMap((node, i) => (node.item ? [[nodes[i], node]] : []));
    const xs = [...inside.flatMap(([[x], node]) => [x - node.w / 2, x + node.w / 2]), ...bends.flat().map(([x]) => x)];
    for (const node of [...this.entries.values(), ...this.exits.values()]) xs.push(nodes[node][0]);
    const isFrame = this.block.parent !== null;
    const half = (node) => (heights.get(row(nodes[node][1])) ?? 0) / 2;
    this.setRails(nodes, half, Math.min(...xs));
    for (const rail of this.rails) xs.push(rail.x);
    const top = Math.min(...inside.map(([[, y], node]) => y - node.h / 2)), bottom = Math.max(...inside.map(([[, y], node]) => y + node.h / 2));
    const [left, right] = [Math.min(...xs), Math.max(...xs)];
    const least = isFrame ? cut(this.block.name).length * CHARACTER + 70 : 0;
    const room = Math.max(0, least - (right - left) - 2 * PADDING) / 2;
    const [dx, dy] = [PADDING + room - left, (isFrame ? HEADER + PADDING : PADDING) - top];
    const moved = ([x, y]) => [x + dx, y + dy];
    this.block.w = right - left + 2 * (PADDING + room);
    this.block.h = bottom - top + (isFrame ? HEADER : 0) + 2 * PADDING;
    for (const [place, node] of inside) [node.item.x, node.item.y] = moved(place);
    this.block.ports = new Map();
    for (const [value, node] of this.entries) this.block.ports.set(`in ${value.number}`, nodes[node][0] + dx);
    for (const [value, node] of this.exits) this.block.ports.set(`out ${value.number}`, nodes[node][0] + dx);
    this.block.routes = this.links.map(({ value, from, to, ends }) => {
      const first = from ? [port(from, `out ${value.number}`), from.y + from.h / 2] : [nodes[ends.from][0] + dx, 0];
      const last = to ? [port(to, `in ${value.number}`), to.y - to.h / 2] : [nodes[ends.to][0] + dx, this.block.h];
      const { rail } = ends;
      if (!rail) {
        // Beside a higher box of its row, a line goes straight.
        const [floor, ceiling] = [nodes[ends.from][1] + half(ends.from) + 4 + dy, nodes[ends.to][1] - half(ends.to) - 4 + dy];
        const out = from && floor > first[1] + TALL ? [[first[0], floor]] : [];
        const into = to && ceiling < last[1] - TALL ? [[last[0], ceiling]] : [];
        return { value, from, to, points: [first, ...out, ...bends[ends.edge].map(moved), ...into, last] };
      }
      const start = from ? rail.start + dy : HEADER + 2;
      const since = ends.since === undefined ? start : ends.since + dy;
      return { value, from, to, points: [first, last], rail: { x: rail.x + dx, start, since, end: ends.leaves + dy } };
    });
  }

  /** Give each rail its place at the left, and its lines the heights at which they leave it: above their readers' rows. */
  setRails(nodes, half, left) {
    const lanes = [];
    for (const rail of this.rails) {
      rail.start = nodes[rail.from][1] + half(rail.from) + 9;
      rail.lines.sort((a, b) => nodes[a.to][1] - nodes[b.to][1]);
      let lane = lanes.findIndex((until) => until < rail.start);
      if (lane < 0) lane = lanes.length;
      lanes[lane] = nodes[rail.lines.at(-1).to][1];
      rail.x = left - RAIL * (lane + 1);
      rail.lines.forEach((line, i) => {
        const leaves = nodes[line.to][1] - half(line.to) - 12 - 3 * (lane % 4);
        Object.assign(line, { rail, leaves, since: rail.lines[i - 1]?.leaves });
      });
    }
  }
}
Plan.known = new Map();

/** Where a value enters or leaves a child, from left to right: at its middle, unless that is an unfolded block. */
function port(item, which) {
  const x = item.isBlock && item.open ? item.ports.get(which) : undefined;
  return x === undefined ? item.x : item.x - item.w / 2 + x;
}

/** The path of a route, moved by (dx, dy); only the part that no other line along its rail has, unless it is `whole`. */
function curve(route, dx, dy, whole = false) {
  if (route.rail) return railed(route, dx, dy, whole);
  const { points } = route;
  let path = `M${points[0][0] + dx},${points[0][1] + dy}`;
  for (let i = 1; i < points.length; i++) {
    const [[x0, y0], [x1, y1]] = [points[i - 1], points[i]];
    const middle = (y0 + y1) / 2 + dy;
    path += Math.abs(x0 - x1) < 0.5 ? `L${x1 + dx},${y1 + dy}` : `C${x0 + dx},${middle} ${x1 + dx},${middle} ${x1 + dx},${y1 + dy}`;
  }
  return path;
}

const CORNER = 6;

function railed({ points: [first, last], rail }, dx, dy, whole) {
  const [x, end] = [rail.x + dx, rail.end + dy];
  const way = first[0] < rail.x ? CORNER : -CORNER; // from the source to the rail
  const start = `M${first[0] + dx},${first[1] + dy}V${rail.start + dy - CORNER}q0,${CORNER} ${way},${CORNER}H${x - way}q${way},0 ${way},${CORNER}`;
  const path = whole || rail.since === rail.start ? start : `M${x},${rail.since + dy - CORNER}`;
  return `${path}V${end - CORNER}q0,${CORNER} ${CORNER},${CORNER}H${last[0] + dx - CORNER}q${CORNER},0 ${CORNER},${CORNER}V${last[1] + dy}`;
}
