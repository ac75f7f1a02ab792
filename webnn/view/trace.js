"use strict";
// The trace is data in the page; nothing is fetched. Names come from programs: they are only ever set as text.
const data = JSON.parse(document.getElementById("data").textContent);
const events = data.events;
const byNumber = new Map(events.map((event) => [event.number, event]));
const [stage, canvas, panel, tip, legend] = ["stage", "canvas", "panel", "tip", "legend"].map((id) => document.getElementById(id));
const pen = canvas.getContext("2d");
const LEFT = 178, RULER = 26, QUEUE = 46, SLICE = 22, GAP = 16, ARROWS = 1500;
const KINDS = {
  write: { hue: 255, text: "write" }, read: { hue: 145, text: "read" }, compile: { hue: 75, text: "compile" },
  call: { hue: 310, text: "call" }, wait: { hue: 0, text: "wait" }, other: { hue: 200, text: "other" },
};
const GRAPHS = [25, 55, 350, 285, 110, 180, 225, 330];
const graphs = [...new Set(events.filter((event) => event.kind === "task").map((event) => event.name))];
const hueOf = (event) => event.kind === "task" ? GRAPHS[graphs.indexOf(event.name) % GRAPHS.length] : KINDS[event.kind].hue;

const digits = (n, many = 3) => `${+n.toPrecision(many)}`;
const time = (us) => us === null || us === undefined ? "–" : Math.abs(us) < 1000 ? `${digits(us)} µs` : Math.abs(us) < 1e6 ? `${digits(us / 1e3)} ms` : `${digits(us / 1e6)} s`;
const exact = (us) => us === null ? "–" : `${digits(us / 1e3, 7)} ms`;

// What there is to draw: bars on tracks. A task is up to two: its call, and its run.

const bars = [];
for (const event of events) {
  if (event.track !== null && event.ended !== null && event.kind !== "wait") {
    const began = event.began ?? event.ended;
    bars.push({ event, track: event.track, depth: event.depth ?? 0, began, ended: event.ended, hue: hueOf(event), dropped: event.began === null });
  }
  if (event.kind === "task" && event.call_track !== null && event.called >= 0)
    bars.push({ event, track: event.call_track, depth: 0, began: event.called, ended: event.call_ended ?? event.called, hue: KINDS.call.hue, call: true });
}
bars.sort((a, b) => a.began - b.began);
const runBar = new Map(), callBar = new Map();
for (const bar of bars) (bar.call ? callBar : runBar).set(bar.event.number, bar);
const users = new Map();
for (const event of events) for (const number of event.after) users.set(number, [...(users.get(number) ?? []), event.number]);

const depths = data.tracks.map((_, track) => 1 + Math.max(0, ...bars.filter((bar) => bar.track === track).map((bar) => bar.depth)));
const tops = [];
let bottom = RULER + QUEUE + GAP;
for (const depth of depths) {
  tops.push(bottom);
  bottom += depth * SLICE + GAP;
}
const first = Math.min(0, ...bars.map((bar) => bar.began)), last = Math.max(1, ...bars.map((bar) => bar.ended));

const queue = [];
{
  const changes = [];
  for (const event of events)
    if (event.kind === "task" && event.called !== null) {
      changes.push([event.called, 1]);
      const left = event.began ?? event.ended;
      if (left !== null) changes.push([left, -1]);
    }
  changes.sort((a, b) => a[0] - b[0] || b[1] - a[1]);
  let length = 0;
  for (const [at, change] of changes) queue.push([at, (length += change)]);
}
const longest = Math.max(1, ...queue.map(([, length]) => length));

// Where one looks.

let from = first, to = last, width = 0, scheduled = 0, hovered = null, chosen = null, allArrows = false;
const x = (us) => LEFT + ((us - from) / (to - from)) * (width - LEFT);
const at = (px) => from + ((px - LEFT) / (width - LEFT)) * (to - from);
const y = (bar) => tops[bar.track] + bar.depth * SLICE;

function look(begin, end) {
  const span = Math.min(Math.max(end - begin, 0.2), 4 * (last - first));
  from = Math.min(Math.max(begin, first - span * 0.8), last - span * 0.2);
  to = from + span;
  schedule();
}
const zoom = (factor, px = (LEFT + width) / 2) => {
  const middle = at(px);
  look(middle - (middle - from) / factor, middle + (to - middle) / factor);
};
function fit() {
  const margin = (last - first) * 0.01;
  look(first - margin, last + margin);
}
function show(bar) {
  const span = Math.min(to - from, Math.max((bar.ended - bar.began) * 12, (last - first) / 200));
  if (bar.began < from || bar.ended > to) look((bar.began + bar.ended) / 2 - span / 2, (bar.began + bar.ended) / 2 + span / 2);
}
function schedule() {
  if (!scheduled) scheduled = requestAnimationFrame(() => ((scheduled = 0), draw()));
}

// Drawing.

function draw() {
  const style = getComputedStyle(root);
  const [ink, faint, line, paper, mark, edge] = ["--ink", "--faint", "--line", "--paper", "--mark", "--edge"].map((name) => style.getPropertyValue(name));
  const dark = style.colorScheme === "dark";
  const ratio = devicePixelRatio || 1, height = Math.max(stage.clientHeight, bottom + GAP);
  width = stage.clientWidth;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.fillStyle = paper;
  pen.fillRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "middle";

  const steps = [1, 2, 5], rough = ((to - from) / (width - LEFT)) * 95;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * (steps.find((each) => each * power >= rough) ?? 10);
  pen.lineWidth = 1;
  for (let tick = Math.ceil(Math.max(from, first) / step) * step; tick <= to; tick += step) {
    const px = Math.round(x(tick)) + 0.5;
    if (px < LEFT || px > width - 30) continue;
    pen.strokeStyle = line;
    pen.beginPath(); pen.moveTo(px, RULER - 6); pen.lineTo(px, height); pen.stroke();
    pen.fillStyle = faint;
    pen.fillText(time(+tick.toPrecision(12)), px + 4, RULER / 2);
  }

  data.tracks.forEach((name, track) => {
    pen.strokeStyle = line;
    pen.beginPath(); pen.moveTo(0, tops[track] - GAP / 2 + 0.5); pen.lineTo(width, tops[track] - GAP / 2 + 0.5); pen.stroke();
  });
  pen.save();
  pen.beginPath(); pen.rect(LEFT, 0, width - LEFT, height); pen.clip();

  pen.fillStyle = pen.strokeStyle = `oklch(0.65 0.09 310 / ${dark ? 0.5 : 0.35})`;
  let before = [first, 0];
  for (const [when, length] of [...queue, [last, queue.at(-1)?.[1] ?? 0]]) {
    const h = (before[1] / longest) * (QUEUE - 10);
    if (h && when >= from && before[0] <= to) pen.fillRect(x(before[0]), RULER + QUEUE - h, Math.max(0.5, x(when) - x(before[0])), h);
    before = [when, length];
  }

  const related = new Set();
  const focus = hovered?.event ?? chosen;
  if (focus) for (const number of [focus.number, ...focus.after, ...(users.get(focus.number) ?? [])]) related.add(number);
  for (const bar of bars) {
    if (bar.ended < from || bar.began > to) continue;
    const left = x(bar.began), w = Math.max(bar.call || bar.dropped ? 2 : 1.5, x(bar.ended) - left), top = y(bar);
    const lit = focus && related.has(bar.event.number);
    pen.globalAlpha = focus && !lit ? 0.45 : 1;
    pen.fillStyle = `oklch(${dark ? 0.5 : 0.8} ${bar.event.kind === "wait" ? 0 : 0.1} ${bar.hue})`;
    pen.strokeStyle = bar.event === chosen ? mark : `oklch(0.62 0.13 ${bar.hue})`;
    const failed = bar.event.kind === "task" && !bar.call && bar.event.details.outcome !== "done";
    if (failed) pen.strokeStyle = pen.fillStyle = mark;
    pen.lineWidth = bar.event === chosen ? 2.5 : 1;
    pen.beginPath();
    if (w < 5) pen.rect(left, top, w, SLICE - 4);
    else pen.roundRect(left + 0.5, top + 0.5, w - 1, SLICE - 5, 3.5);
    pen.fill();
    if (w >= 3) pen.stroke();
    if (w > 34) {
      pen.fillStyle = ink;
      const begin = Math.max(left, LEFT) + 5;
      pen.fillText(clipped(bar.call ? `call ${bar.event.name}` : bar.event.name, left + w - begin - 5), begin, top + SLICE / 2 - 1.5);
    }
  }
  pen.globalAlpha = 1;
  const arrowed = focus ? [focus, ...(users.get(focus.number) ?? []).map((number) => byNumber.get(number))] : allArrows ? events : [];
  let drawn = 0;
  for (const event of arrowed) {
    const bar = runBar.get(event.number);
    if (!bar) continue;
    if (event.kind === "task" && callBar.has(event.number) && (!focus || event === focus)) drawn += arrow(callBar.get(event.number), bar, faint, true);
    for (const number of event.after)
      if (runBar.has(number) && (!focus || event === focus || number === focus.number)) drawn += arrow(runBar.get(number), bar, focus ? mark : edge, false);
    if (drawn > ARROWS) break;
  }
  pen.restore();

  pen.fillStyle = faint;
  pen.fillText("queued", 12, RULER + QUEUE / 2);
  pen.textAlign = "right";
  pen.fillText(`${longest}`, LEFT - 8, RULER + 10);
  pen.textAlign = "left";
  pen.fillStyle = ink;
  data.tracks.forEach((name, track) => pen.fillText(clipped(name, LEFT - 20), 12, tops[track] + SLICE / 2 - 2));
}

const widths = new Map();
function clipped(text, room) {
  const wide = (part) => {
    if (!widths.has(part)) widths.set(part, pen.measureText(part).width);
    return widths.get(part);
  };
  if (wide(text) <= room) return text;
  const fits = Math.floor((text.length * room) / wide(text)) - 1;
  return fits > 1 ? `${text.slice(0, fits)}…` : "";
}

function arrow(source, target, colour, dashed) {
  const [x0, x1] = [dashed ? x(source.began) : x(source.ended), x(target.began)];
  if (Math.max(x0, x1) < LEFT || Math.min(x0, x1) > width) return 0;
  const [y0, y1] = [y(source) + SLICE / 2 - 2, y(target) + SLICE / 2 - 2];
  const bend = Math.max(14, Math.abs(x1 - x0) / 2);
  pen.strokeStyle = pen.fillStyle = colour;
  pen.lineWidth = 1.3;
  pen.setLineDash(dashed ? [4, 3] : []);
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1 - 4, y1);
  pen.stroke();
  pen.setLineDash([]);
  pen.beginPath();
  pen.moveTo(x1, y1); pen.lineTo(x1 - 7, y1 - 3.5); pen.lineTo(x1 - 7, y1 + 3.5);
  pen.fill();
  return 1;
}

// What one points at.

function hit(px, py) {
  let best = null, nearest = 4;
  for (const bar of bars) {
    const top = y(bar);
    if (py < top || py > top + SLICE) continue;
    const [left, right] = [x(bar.began), x(bar.ended)];
    const away = px < left ? left - px : px > right ? px - right : 0;
    if (away < nearest || (away === nearest && best && bar.depth > best.depth)) [best, nearest] = [bar, Math.max(away, 0.01)];
  }
  return best;
}

function brief(bar) {
  const event = bar.event, rows = [];
  if (event.kind === "task") {
    if (event.began !== null) rows.push(`ran ${time(event.ended - event.began)} ${event.details.where === "lane" ? "on a lane" : "inline"}`);
    else rows.push(`${event.details.outcome}${event.details.reason ? `: ${event.details.reason}` : ""}`);
    if (event.called !== null && event.began !== null) rows.push(`queued ${time(event.began - event.called)} before`);
    for (const [what, us] of Object.entries(event.details["waited us"] ?? {})) if (us > 0.5) rows.push(`waited ${time(us)} for ${what}`);
  } else {
    rows.push(time(event.ended - event.began));
    if (event.called !== null && event.kind === "read") rows.push(`${time(event.ended - event.called)} after the call`);
    if (event.details.outcome && event.details.outcome !== "resolved") rows.push(event.details.outcome);
  }
  if (event.details["bytes copied"]) rows.push(`${bytes(event.details["bytes copied"])} copied`);
  return rows;
}

function point(bar, px = 0, py = 0) {
  if (bar !== hovered) {
    hovered = bar;
    canvas.classList.toggle("over", Boolean(bar));
    schedule();
  }
  tip.hidden = !bar;
  if (!bar) return;
  const name = bar.call ? `call of ${bar.event.name}` : bar.event.name;
  tip.replaceChildren(html("b", {}, `${name} `), ...brief(bar).map((row) => html("span", {}, row)));
  const room = stage.parentElement.getBoundingClientRect();
  tip.style.left = `${Math.min(px + 14, room.width - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.min(py + 16, room.height - tip.offsetHeight - 8)}px`;
}

// What one has clicked on.

const link = (number) => {
  const event = byNumber.get(number);
  return html("button", { className: "link", onclick: () => select(event, true) }, `${event.kind} ${number}: ${event.name}`);
};
function select(event, reveal = false) {
  chosen = event;
  panel.replaceChildren(...(event ? told(event) : overview()));
  if (event && reveal && runBar.has(event.number)) show(runBar.get(event.number));
  canvas.dataset.selected = event ? event.number : "";
  schedule();
}

function told(event) {
  const rows = [["number", `${event.number}`]];
  if (event.track !== null) rows.push(["thread", data.tracks[event.track]]);
  if (event.call_track !== null) rows.push(["called on", data.tracks[event.call_track]]);
  rows.push(["called", exact(event.called)], ["began", exact(event.began)], ["ended", exact(event.ended)]);
  if (event.began !== null && event.ended !== null) rows.push(["took", time(event.ended - event.began)]);
  const { "waited us": waited, ...details } = event.details;
  for (const [name, value] of Object.entries(details))
    rows.push([name, name === "bytes copied" ? bytes(value) : typeof value === "object" ? JSON.stringify(value) : `${value}`]);
  const parts = [html("h2", {}, event.name), html("p", { className: "faint" }, event.kind), list(rows)];
  if (waited) parts.push(html("h3", {}, "waited for"), list(Object.entries(waited).map(([what, us]) => [what, time(us)])));
  if (event.after.length) parts.push(html("h3", {}, "uses the result of"), ...event.after.map((number) => html("p", {}, link(number))));
  const used = users.get(event.number) ?? [];
  if (used.length) parts.push(html("h3", {}, "used by"), ...used.slice(0, 40).map((number) => html("p", {}, link(number))));
  return parts;
}

function overview() {
  const { summary } = data;
  const parts = [html("h2", {}, "Where the time went")];
  const shares = Object.entries(summary.shares);
  const bar = html("div", { className: "bar" });
  const colours = shares.map(([what], i) => what === "running" ? "oklch(0.65 0.13 25)" : `oklch(0.7 0.09 ${[255, 75, 310, 200, 145][i % 5]})`);
  shares.forEach(([what, share], i) => {
    const part = html("i", { title: what });
    part.style.width = `${100 * share}%`;
    part.style.background = colours[i];
    bar.append(part);
  });
  parts.push(html("p", { className: "faint" }, "of the runs, from call to end"), bar);
  parts.push(table([["", "share"], ...shares.map(([what, share], i) => [what, `${digits(100 * share)} %`, colours[i]])]));
  for (const graph of summary.graphs) {
    parts.push(html("h3", {}, graph.name), html("p", { className: "faint" }, `${graph.runs} runs, ${graph.operators} operators${graph.compile_ms === null ? "" : `, compiled in ${time(1e3 * graph.compile_ms)}`}`));
    const row = (what, spread) => [what, ...["median", "p90", "p99"].map((name) => time(1e3 * spread[name]))];
    parts.push(table([["", "median", "90 %", "99 %"], row("queued", graph.queued_ms), row("ran", graph.run_ms), row("whole", graph.whole_ms)]));
  }
  parts.push(html("h3", {}, "threads"), table([["", "busy"], ...summary.threads.map((each) => [each.name, `${digits(100 * each.busy)} %`])]));
  parts.push(html("h3", {}, "keys"), list([
    ["drag, wheel", "move, zoom"], ["+ − 0", "zoom, everything"], ["← →", "previous, next event"], ["a", "all arrows"], ["esc", "this overview"],
  ]));
  return parts;
}

function table([head, ...rows]) {
  const line = (cells, tag) => html("tr", {}, ...cells.map((cell) => html(tag, {}, cell)));
  const body = rows.map((row) => {
    const colour = row[2]?.startsWith("oklch") ? row[2] : null;
    const drawn = line(colour ? row.slice(0, 2) : row, "td");
    if (colour) {
      const swatch = html("i", { className: "swatch" });
      swatch.style.background = colour;
      drawn.firstChild.prepend(swatch);
    }
    return drawn;
  });
  return html("table", {}, line(head, "th"), ...body);
}

// Hands.

const hasDragged = followPointers(canvas, {
  hover: (event) => point(hit(event.offsetX, event.offsetY), event.offsetX, event.offsetY - stage.scrollTop),
  drag: (dx, dy) => {
    point(null);
    const moved = (dx / (width - LEFT)) * (to - from);
    look(from - moved, to - moved);
    stage.scrollTop -= dy;
  },
  pinch: (before, after, other) => {
    point(null);
    const apart = (p) => Math.max(1, Math.abs(p.clientX - other.clientX));
    zoom(apart(after) / apart(before), (after.clientX + other.clientX) / 2 - canvas.getBoundingClientRect().left);
  },
});
canvas.addEventListener("pointerleave", () => point(null));
canvas.addEventListener("click", (event) => {
  if (!hasDragged()) select(hit(event.offsetX, event.offsetY)?.event ?? null);
});
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  point(null);
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    const moved = ((event.deltaX || event.deltaY) / (width - LEFT)) * (to - from);
    look(from + moved, to + moved);
  } else zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), Math.max(LEFT, event.offsetX));
}, { passive: false });

function step(by) {
  const ordered = bars.filter((bar) => !bar.call);
  if (!ordered.length) return;
  const i = ordered.findIndex((bar) => bar.event === chosen);
  const next = ordered[i < 0 ? (by > 0 ? 0 : ordered.length - 1) : Math.min(Math.max(i + by, 0), ordered.length - 1)];
  select(next.event, true);
}
function toggleArrows() {
  allArrows = !allArrows;
  document.getElementById("arrows").setAttribute("aria-pressed", allArrows);
  schedule();
}
const KEYS = {
  "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: fit, a: toggleArrows,
  ArrowRight: () => step(1), ArrowLeft: () => step(-1), Escape: () => select(null),
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});
const press = (id, action) => document.getElementById(id).addEventListener("click", action);
press("zoom-in", () => zoom(1.5));
press("zoom-out", () => zoom(1 / 1.5));
press("fit", fit);
press("arrows", toggleArrows);
const wantsDark = matchMedia("(prefers-color-scheme: dark)");
const theme = (dark) => {
  root.classList.toggle("dark", dark);
  root.classList.toggle("light", !dark);
  schedule();
};
press("theme", () => theme(!root.classList.contains("dark")));
wantsDark.addEventListener("change", () => theme(wantsDark.matches));
new ResizeObserver(schedule).observe(stage);

document.getElementById("title").textContent = data.title;
{
  const { tasks, milliseconds, bytes_copied } = data.summary;
  const many = Object.entries(tasks).map(([outcome, n]) => `${n} ${outcome}`).join(", ");
  document.getElementById("figures").textContent = `${time(1e3 * milliseconds)} · runs: ${many || "none"} · ${bytes(bytes_copied)} copied`;
  const kinds = Object.entries(KINDS).filter(([kind]) => kind === "call" ? callBar.size : kind !== "wait" && events.some((event) => event.kind === kind));
  for (const [hue, text] of [...graphs.slice(0, GRAPHS.length).map((name, i) => [GRAPHS[i], name]), ...kinds.map(([, kind]) => [kind.hue, kind.text])]) {
    const swatch = html("i");
    swatch.style.background = `oklch(0.68 0.12 ${hue})`;
    legend.append(html("span", {}, swatch, text));
  }
}
theme(wantsDark.matches);
select(null);
fit();
