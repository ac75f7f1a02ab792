"use strict";
// The panel: about the graph, about what is chosen, the costs as a table, what targets refuse, how two graphs differ.

const link = (item) => button(item.name, () => choose(item, true), { className: "link" });

function row(item, text, number, action) {
  const element = button("", action, { className: "link row" });
  element.append(html("i"), html("span", {}, text), html("b", {}, number));
  element.style.setProperty("--hue", hue(item));
  element.classList.toggle("plain", !(families[item.op] in HUES));
  return element;
}

// About the graph.

function overview() {
  return graphs.flatMap((graph) => [...(graphs.length > 1 ? [html("h2", {}, graph.name)] : []), ...aboutGraph(graph)]);
}

function aboutGraph(graph) {
  const facts = Object.entries(graph.about);
  facts.push(["operators", `${graph.operators.length}`]);
  facts.push(["parameters", `${amount(graph.parameters)} in ${counted(graph.constants.length, "constant")}, ${bytes(graph.weights)}`]);
  if (graph.root.costs.macs) facts.push(["multiply-adds", amount(graph.root.costs.macs)]);
  if (graph.root.costs.time) facts.push(["sum of operators", milliseconds(graph.root.costs.time)]);
  const parts = [list(facts)];
  for (const kind of ["input", "output"]) {
    const ends = graph.boxes.filter((box) => box.op === kind);
    const rows = ends.map((box) => html("p", { className: "value" }, link(box), ` ${graph.described(box.outs[0] ?? box.ins[0].d)}`));
    if (!ends.length) continue;
    const many = rows.length > 12 ? [html("details", {}, html("summary", {}, `${rows.length} ${kind}s`), ...rows)] : rows;
    parts.push(title(ends.length === 1 ? kind : `${kind}s`), ...many);
  }
  for (const target of graph.targets) parts.push(title(target.name), ...verdict(graph, target));
  const kinds = new Map();
  for (const box of graph.operators) kinds.set(box.op, [...(kinds.get(box.op) ?? []), box]);
  const rows = [...kinds].sort((a, b) => b[1].length - a[1].length).map(([op, alike]) => row(alike[0], op, `${alike.length}`, () => searchFor(`op:${op}`)));
  return [...parts, title("operators"), ...rows];
}

const FEW_PROBLEMS = 200;

function verdict(graph, target) {
  const refused = [...new Set(target.problems.map((problem) => graph.boxes[problem.box]))];
  const inner = refused.filter((box) => !box.isEnd), ends = refused.length - inner.length;
  const told = [`refuses ${inner.length} of ${counted(graph.operators.length, "operator")}`, ...(ends ? [counted(ends, "input or output", "inputs and outputs")] : [])];
  const parts = [faint(target.description), html("p", { className: target.builds ? "good" : "bad" }, target.builds ? "builds" : told.join(" and "))];
  const finding = (found, kind) => html("div", { className: `finding ${kind}` },
    html("p", {}, link(graph.boxes[found.box])), html("p", {}, found.text),
    ...(found.proposal ? [faint(found.proposal)] : []), ...(found.answer ? [html("p", { className: "value" }, found.answer)] : []));
  const findings = [...target.problems.map((each) => finding(each, "refused")), ...target.notes.map((each) => finding(each, "noted"))];
  parts.push(...findings.slice(0, FEW_PROBLEMS));
  if (findings.length > FEW_PROBLEMS) parts.push(faint(`and ${findings.length - FEW_PROBLEMS} more: webnn check --all`));
  return parts;
}

// About what is chosen.

function aboutChosen(item) {
  if (!item) return [faint("Nothing is chosen. Click a box, or go to one with the arrow keys.")];
  return item.isBlock ? aboutBlock(item) : aboutBox(item);
}

const costsOf = (item) => Object.entries(COSTS).filter(([key]) => item.costs[key]).map(([key, cost]) => [cost.name, cost.text(item.costs[key])]);

function around(item) {
  const blocks = item.ancestors.filter((block) => block.parent);
  if (!blocks.length) return [];
  return [faint("in ", ...blocks.reverse().flatMap((block, i) => [...(i ? [" / "] : []), link(block)]))];
}

function aboutBlock(block) {
  const parts = [html("h2", {}, block.name), ...around(block), button(block.open ? "fold" : "unfold", () => fold(block))];
  const alike = block.graph.blocks.filter((other) => other.alike === block.alike);
  if (alike.length > 1) {
    parts.push(faint(`${alike.length} blocks have these operators: `, button("unfold", () => foldAll(alike, true), { className: "link" }), " or ", button("fold", () => foldAll(alike, false), { className: "link" }), " all of them"));
  }
  parts.push(list([["operators", `${block.boxes.length}`], ...costsOf(block)]), title("operators"));
  for (const [op, count] of [...block.operators].sort((a, b) => b[1] - a[1])) {
    const first = block.boxes.find((box) => box.op === op);
    parts.push(row(first, op, `${count}`, () => choose(first, true)));
  }
  return parts;
}

function aboutBox(box) {
  const { graph } = box;
  const address = data.links[box.op];
  const section = address ? [html("a", { href: address, target: "_blank", rel: "noreferrer" }, "specification")] : [];
  const parts = [html("h2", {}, box.op, ...section), html("p", { className: "value name" }, box.label || `node ${box.node}`), ...around(box)];
  for (const each of box.problems) {
    parts.push(html("div", { className: "finding refused" }, html("p", {}, `${each.target} refuses it: ${each.text}`),
      ...(each.proposal ? [faint(each.proposal)] : []), ...(each.answer ? [html("p", { className: "value" }, each.answer)] : [])));
  }
  for (const each of box.notes) parts.push(html("div", { className: "finding noted" }, html("p", {}, `${each.target}: ${each.text}`), ...(each.proposal ? [faint(each.proposal)] : [])));
  if (box.differs) parts.push(...difference(box));
  const costs = costsOf(box);
  if (costs.length) parts.push(list(costs));
  const attributes = Object.entries(box.attributes);
  if (attributes.length) parts.push(title("attributes"), list(attributes));
  if (box.ins.length) {
    parts.push(title("operands"));
    for (const read of box.ins) {
      const source = read.from === undefined ? [] : ["from ", link(graph.boxes[read.from])];
      if (read.output !== undefined) source.push(`, output ${read.output}`);
      parts.push(html("div", { className: "operand" },
        html("p", {}, html("b", {}, read.name), " ", html("span", { className: "value" }, graph.described(read.d))),
        ...(read.constant === undefined ? [faint(...source)] : aboutConstant(graph.constants[read.constant]))));
    }
  }
  if (box.outs.length) {
    parts.push(title(box.isEnd ? "value" : "outputs"), ...box.outs.map((d) => html("p", { className: "value" }, graph.described(d))));
    const links = box.readers.slice(0, 100).flatMap((reader, i) => (i ? [", ", link(reader)] : [link(reader)]));
    if (links.length) parts.push(faint("read by ", ...links, ...(box.readers.length > 100 ? [` and ${box.readers.length - 100} more`] : [])));
  }
  return parts;
}

function aboutConstant(constant) {
  const parts = [faint(`constant, ${bytes(constant.bytes)}`)];
  if (constant.values) return [...parts, html("p", { className: "value" }, constant.values.join(", "))];
  const s = constant.statistics;
  if (!s) return parts;
  if (s.histogram) {
    const most = Math.max(...s.histogram);
    const bars = s.histogram.map((n) => {
      const bar = html("i", { title: `${n}` });
      bar.style.height = `${(100 * n) / most}%`;
      return bar;
    });
    const chart = html("div", { className: "histogram" }, ...bars);
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", "histogram");
    parts.push(chart);
  }
  const digits = (n) => `${+n.toPrecision(5)}`;
  const rows = [];
  if (s.min !== undefined)
    rows.push(["min .. max", `${digits(s.min)} .. ${digits(s.max)}`], ["mean", digits(s.mean)], ["deviation", digits(s.deviation)]);
  if (s.zeros) rows.push(["zeros", `${s.zeros}`]);
  if (s.not_finite) rows.push(["not finite", `${s.not_finite}`]);
  return [...parts, list(rows)];
}

// The costs.

const table = { by: "node", column: null, descending: true, shown: 300 };

function costTable() {
  const by = html("select", { ariaLabel: "rows", onchange: () => { table.by = by.value; tell(); } });
  for (const each of ["node", "operator", ...(graphs.some((graph) => graph.blocks.length) ? ["block"] : [])])
    by.append(html("option", { value: each, selected: table.by === each }, `by ${each}`));
  return [by, ...graphs.flatMap((graph) => [...(graphs.length > 1 ? [html("h2", {}, graph.name)] : []), tableOf(graph)])];
}

/** The rows: what a click chooses, the name, how many it stands for, the costs. */
function rowsOf(graph) {
  if (table.by === "node") return graph.operators.map((box) => ({ act: () => choose(box, true), item: box, name: box.name, op: box.op, costs: box.costs }));
  if (table.by === "block")
    return graph.blocks.map((block) => ({ act: () => choose(block, true), item: block, name: block.name, op: `${block.boxes.length}`, costs: block.costs }));
  const kinds = new Map();
  for (const box of graph.operators) {
    const kind = kinds.get(box.op) ?? { act: () => searchFor(`op:${box.op}`), item: box, name: box.op, count: 0, costs: {} };
    kind.op = `${++kind.count}`;
    for (const key of Object.keys(COSTS)) kind.costs[key] = (kind.costs[key] ?? 0) + box.costs[key];
    kinds.set(box.op, kind);
  }
  return [...kinds.values()];
}

function tableOf(graph) {
  const columns = [["name", table.by], ["op", table.by === "node" ? "operator" : "count"], ...graph.costs.map((key) => [key, COSTS[key].name])];
  if (!columns.some(([key]) => key === table.column)) table.column = graph.costs.includes("time") ? "time" : graph.costs[0] ?? "name";
  const value = (each) => (table.column === "name" ? each.name : table.column === "op" ? (table.by === "node" ? each.op : Number(each.op)) : each.costs[table.column]);
  const rows = rowsOf(graph);
  const order = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
  rows.sort((a, b) => (table.descending ? -1 : 1) * order(value(a), value(b)));
  const head = columns.map(([key, name]) => {
    const sorted = table.column === key;
    const isNumber = key in COSTS || (key === "op" && table.by !== "node");
    const cell = html("th", { scope: "col", className: isNumber ? "number" : "" }, button(`${name}${sorted ? (table.descending ? " ↓" : " ↑") : ""}`, () => {
      table.descending = sorted ? !table.descending : key !== "name" && !(key === "op" && table.by === "node");
      table.column = key;
      tell();
    }));
    cell.ariaSort = sorted ? (table.descending ? "descending" : "ascending") : "none";
    return cell;
  });
  const most = Object.fromEntries(graph.costs.map((key) => [key, Math.max(...rows.map((each) => each.costs[key]))]));
  const body = rows.slice(0, table.shown).map((each) => {
    const cells = graph.costs.map((key) => {
      const cell = html("td", { className: "number" }, each.costs[key] ? COSTS[key].text(each.costs[key]) : "");
      cell.style.setProperty("--share", `${Math.round((100 * each.costs[key]) / (most[key] || 1))}%`);
      return cell;
    });
    const name = html("td", {}, button(each.name, each.act, { className: "link", title: each.name }));
    const line = html("tr", { onclick: each.act }, name, html("td", { className: table.by === "node" ? "" : "number" }, each.op), ...cells);
    line.classList.toggle("chosen", each.item === chosen && table.by !== "operator");
    return line;
  });
  const parts = html("div", { className: "scroll" }, html("table", {}, html("thead", {}, html("tr", {}, ...head)), html("tbody", {}, ...body)));
  if (rows.length > table.shown) parts.append(button(`${rows.length - table.shown} more`, () => { table.shown = Infinity; tell(); }));
  return parts;
}

// Two graphs.

const FEW_CHANGES = 300;

function differenceList() {
  const lists = [["changed", graphs[0], "changed"], ["alone", graphs[0], `only in ${graphs[0].name}`], ["alone", graphs[1], `only in ${graphs[1].name}`]];
  const parts = lists.flatMap(([kind, graph, name]) => {
    const found = graph.boxes.filter((box) => box.differs === kind);
    if (!found.length) return [];
    return [title(`${name}: ${found.length}`), ...found.slice(0, FEW_CHANGES).map((box) => row(box, box.name, box.label ? box.op : "", () => choose(box, true)))];
  });
  return parts.length ? parts : [html("p", { className: "good" }, "The graphs are the same, but for labels.")];
}

/** How a box differs from its counterpart. */
function difference(box) {
  const other = graphs[1 - box.graph.number];
  if (box.partner === undefined) return [html("p", { className: "finding differs" }, `${other.name} has no such node`)];
  const there = other.boxes[box.partner];
  const rows = [];
  const compare = (name, here, elsewhere) => here !== elsewhere && rows.push([name, `${here ?? "none"} here, ${elsewhere ?? "none"} there`]);
  for (const name of new Set([...Object.keys(box.attributes), ...Object.keys(there.attributes)])) compare(name, box.attributes[name], there.attributes[name]);
  const operands = (each) => new Map(each.ins.map((read) => [read.name, each.graph.described(read.d)]));
  const [ours, theirs] = [operands(box), operands(there)];
  for (const name of new Set([...ours.keys(), ...theirs.keys()])) compare(name, ours.get(name), theirs.get(name));
  compare("output", box.outs.map((d) => box.graph.described(d)).join(", "), there.outs.map((d) => other.described(d)).join(", "));
  const parts = [html("p", {}, "differs from ", link(there), ` in ${other.name}`), rows.length ? list(rows) : faint("other constants")];
  return [html("div", { className: "finding differs" }, ...parts)];
}
