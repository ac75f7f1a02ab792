"use strict";
// Shows the server's figures, and sends a request that was typed. Names of models only ever become text.

const PERIOD = 1000;
const byId = (id) => document.getElementById(id);
let earlier = new Map();

function cell(row, text, kind) {
  const made = row.insertCell();
  made.textContent = text;
  if (kind) made.className = kind;
}

function ports(list) {
  return list.map((port) => `${port.name} ${port.datatype} [${port.shape.join(", ")}]`).join("\n");
}

function time(seconds) {
  if (seconds === null) return "";
  return seconds < 1 ? `${(seconds * 1000).toPrecision(2)} ms` : `${seconds.toPrecision(2)} s`;
}

function show(status) {
  const now = performance.now();
  const rows = document.createElement("tbody");
  rows.id = "models";
  const next = new Map();
  for (const model of status.models) {
    const counts = Object.entries(model.requests);
    const total = counts.reduce((sum, [, many]) => sum + many, 0);
    const answered = model.requests["200"] || 0;
    const before = earlier.get(model.path);
    const rate = before ? (total - before.total) / ((now - before.now) / 1000) : 0;
    next.set(model.path, { total, now });
    const row = rows.insertRow();
    cell(row, `${model.name} ${model.versions[0]}`);
    cell(row, ports(model.inputs), "port");
    cell(row, ports(model.outputs), "port");
    cell(row, rate.toFixed(rate < 10 ? 1 : 0), "number");
    cell(row, String(answered), "number");
    cell(row, String(total - answered), "number");
    cell(row, time(model.median), "number");
    cell(row, time(model.p99), "number");
    cell(row, `${model.queue} of ${model.max_queue}`, "number");
  }
  byId("models").replaceWith(rows);
  earlier = next;
  if (!byId("model").options.length) {
    for (const model of status.models) byId("model").add(new Option(`${model.name} ${model.versions[0]}`, model.path));
    choose();
  }
}

async function refresh() {
  const state = byId("state");
  try {
    const answer = await fetch("/status.json");
    const status = await answer.json();
    show(status);
    state.className = status.ready ? "" : "bad";
    state.textContent = status.ready
      ? `ready, ${status.in_progress} requests in progress, batches of ${status.batch_size ?? 1} on average`
      : "shutting down";
  } catch (error) {
    state.className = "bad";
    state.textContent = "the server does not answer";
  }
  setTimeout(refresh, PERIOD);
}

async function choose() {
  const answer = await fetch(`/example.json?path=${encodeURIComponent(byId("model").value)}`);
  byId("request").value = answer.ok ? await answer.text() : "";
}

async function send() {
  const outcome = byId("outcome");
  const began = performance.now();
  byId("send").disabled = true;
  try {
    const answer = await fetch(byId("model").value, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: byId("request").value,
    });
    byId("answer").value = await answer.text();
    outcome.className = answer.ok ? "" : "bad";
    outcome.textContent = `${answer.status}, ${time((performance.now() - began) / 1000)}`;
  } catch (error) {
    outcome.className = "bad";
    outcome.textContent = String(error);
  }
  byId("send").disabled = false;
}

byId("model").addEventListener("change", choose);
byId("send").addEventListener("click", send);
refresh();
