"use strict";
// Elements, and numbers in words, for both pages. Names come from models: they are only ever set as text.

const root = document.documentElement;
const byId = (id) => document.getElementById(id);

function svg(tag, attributes, parent) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent?.append(element);
  return element;
}

function html(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties))
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const list = (entries) => html("dl", {}, ...entries.flatMap(([name, value]) => [html("dt", {}, name), html("dd", {}, value)]));
const faint = (...parts) => html("p", { className: "faint" }, ...parts);
const title = (text) => html("h3", {}, text);
const button = (text, action, properties = {}) => html("button", { onclick: action, ...properties }, text);

const amount = (n) => {
  for (const [step, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (n >= step) return `${+(n / step).toPrecision(3)} ${unit}`;
  return `${+n.toPrecision(3)}`;
};
const bytes = (n) => (n >= 1000 ? `${amount(n)}B` : `${n} B`);
const milliseconds = (n) => (n >= 1 ? `${+n.toPrecision(3)} ms` : `${+(n * 1000).toPrecision(3)} µs`);
const counted = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;
