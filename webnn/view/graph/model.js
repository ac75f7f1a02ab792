"use strict";
// The graph as objects: boxes (inputs, operators, outputs), and blocks that hold boxes and other blocks.

const COSTS = {
  time: { name: "time", text: milliseconds },
  macs: { name: "multiply-adds", text: amount },
  bytes: { name: "bytes", text: bytes },
  weights: { name: "weights", text: bytes },
};

class Item {
  parent = null;
  differing = 0;

  /** The blocks around it, innermost first, with the graph as the last. */
  get ancestors() {
    const found = [];
    for (let block = this.parent; block; block = block.parent) found.push(block);
    return found;
  }

  /** What stands for it in the drawing: itself, or the outermost folded block around it. */
  get shown() {
    return this.ancestors.findLast((block) => !block.open) ?? this;
  }
}

class Box extends Item {
  isBlock = false;

  constructor(graph, number, data) {
    super();
    Object.assign(this, { label: "", ins: [], outs: [], attributes: {} }, data);
    this.graph = graph;
    this.number = number;
    this.isEnd = this.op === "input" || this.op === "output";
    this.reads = [...new Set(this.ins.filter((read) => read.from !== undefined).map((read) => graph.boxes[read.from]))];
    this.readers = [];
    for (const source of this.reads) source.readers.push(this);
    const constants = this.ins.filter((read) => read.constant !== undefined);
    this.costs = {
      macs: data.macs ?? 0,
      bytes: data.bytes ?? 0,
      weights: constants.reduce((sum, read) => sum + graph.constants[read.constant].bytes, 0),
      time: data.time ?? 0,
    };
    this.problems = [];
    this.notes = [];
    const shapes = (this.outs.length ? this.outs : this.ins.map((read) => read.d)).map((d) => graph.shape(d));
    const told = shapes.slice(0, 2).join(", ") + (shapes.length > 2 ? ", …" : "");
    this.lines = this.isEnd ? [this.label, `${graph.descriptors[(this.outs[0] ?? this.ins[0]?.d)][0]} ${told}`] : [this.op, told];
    const [largest] = [...constants].sort((a, b) => graph.elements(b.d) - graph.elements(a.d));
    if (largest && graph.elements(largest.d) > 1) this.lines.push(`${largest.name} ${graph.shape(largest.d)}`);
  }

  get name() {
    return this.label || `${this.op} ${this.node}`;
  }

  /** The number of an operator in the graph, as `webnn check` gives it. */
  get node() {
    return this.number - this.graph.inputs;
  }

  get boxes() {
    return [this];
  }
}

class Block extends Item {
  isBlock = true;
  children = [];
  links = [];
  open = false;

  constructor(graph, number, data) {
    super();
    Object.assign(this, data);
    this.graph = graph;
    this.number = number;
  }

  /** Fill in what follows from the children, which are complete. */
  complete() {
    this.boxes = this.children.flatMap((child) => child.boxes);
    this.costs = {};
    for (const cost of Object.keys(COSTS)) this.costs[cost] = this.boxes.reduce((sum, box) => sum + box.costs[cost], 0);
    this.operators = new Map();
    for (const box of this.boxes) if (!box.isEnd) this.operators.set(box.op, (this.operators.get(box.op) ?? 0) + 1);
    this.lines = [this.name, counted(this.boxes.length, "operator")];
  }
}

class Graph {
  constructor(data, number) {
    Object.assign(this, { name: data.name, about: data.about, constants: data.constants, descriptors: data.descriptors });
    Object.assign(this, { parameters: data.parameters, weights: data.weights, targets: data.targets, number });
    this.boxes = [];
    this.inputs = data.boxes.filter((box) => box.op === "input").length;
    data.boxes.forEach((box, i) => this.boxes.push(new Box(this, i, box)));
    this.root = new Block(this, -1, { name: data.name, kind: "graph", open: true });
    this.blocks = data.blocks.map((block, i) => new Block(this, i, block));
    for (const block of this.blocks) this.adopt(block, data.blocks[block.number].parent);
    for (const box of this.boxes) this.adopt(box, box.block ?? -1);
    for (const block of [...this.blocks].reverse()) block.complete();
    this.root.complete();
    this.connect();
    for (const target of this.targets) {
      for (const problem of target.problems) this.boxes[problem.box].problems.push({ ...problem, target: target.name });
      for (const note of target.notes) this.boxes[note.box].notes.push({ ...note, target: target.name });
    }
    for (const box of this.boxes) {
      for (const item of [box, ...box.ancestors]) {
        item.refused = (item.refused ?? 0) + (box.problems.length ? 1 : 0);
        item.noted = (item.noted ?? 0) + (box.notes.length ? 1 : 0);
        item.differing += box.differs ? 1 : 0;
      }
    }
    this.operators = this.boxes.filter((box) => !box.isEnd);
    this.costs = Object.keys(COSTS).filter((cost) => this.root.costs[cost] > 0);
    const figures = [counted(this.operators.length, "node"), `${amount(this.parameters)} ${this.parameters === 1 ? "parameter" : "parameters"}`];
    this.figures = [...figures, ...(this.root.refused ? [`${this.root.refused} refused`] : [])].join(", ");
    this.unfoldAtFirst();
  }

  adopt(item, number) {
    item.parent = this.blocks[number] ?? this.root;
    item.parent.children.push(item);
  }

  shape(d) {
    const sizes = this.descriptors[d][1];
    return sizes.length ? sizes.join("×") : "scalar";
  }
  elements(d) {
    return this.descriptors[d][1].reduce((product, size) => product * size, 1);
  }
  described(d) {
    const [type, sizes] = this.descriptors[d];
    return `${type} [${sizes.join(", ")}]`;
  }

  /** Give each block its links: a value goes from one child to another, or comes in from outside, or goes out. */
  connect() {
    const seen = new Set();
    const add = (block, value, from, to) => {
      const key = [block.number, value.number, name(from), name(to)].join();
      if (!seen.has(key)) block.links.push({ value, from, to });
      seen.add(key);
    };
    const name = (item) => (item ? (item.isBlock ? `b${item.number}` : item.number) : "");
    for (const box of this.boxes)
      for (const source of box.reads) for (const step of this.way(source, box)) add(...step);
  }

  /** The steps of a value from one box to another: [block, value, child it comes from, child it goes to]. */
  way(source, reader) {
    const [up, down] = [[source, ...source.ancestors], [reader, ...reader.ancestors]];
    const meeting = up.find((item) => item.isBlock && down.includes(item));
    const steps = [];
    for (let i = 1; up[i - 1] !== meeting && up[i] !== meeting; i++) steps.push([up[i], source, up[i - 1], null]);
    steps.push([meeting, source, up[up.indexOf(meeting) - 1], down[down.indexOf(meeting) - 1]]);
    for (let i = down.indexOf(meeting) - 1; i > 0; i--) steps.push([down[i], source, null, down[i - 1]]);
    return steps;
  }

  /** Unfold from the outside in while that leaves few enough to look at; and what differs, in any case. */
  unfoldAtFirst() {
    let shown = this.root.children.length;
    const alike = new Map(); // blocks with the same operators, at the same depth, are all unfolded or all folded
    for (const block of this.blocks) {
      const key = `${String(block.ancestors.length).padStart(6)} ${block.alike}`;
      alike.set(key, [...(alike.get(key) ?? []), block]);
    }
    for (const key of [...alike.keys()].sort()) {
      const blocks = alike.get(key);
      const more = blocks.reduce((sum, block) => sum + block.children.length - 1, 0);
      if (!blocks.every((block) => block.parent.open) || shown + more > Graph.FEW) continue;
      for (const block of blocks) block.open = true;
      shown += more;
    }
    for (const box of this.operators.filter((each) => each.differs || each.problems.length).slice(0, Graph.FEW))
      for (const block of box.ancestors) block.open = true;
  }
}
/** Up to so many items are shown at first. */
Graph.FEW = 130;
