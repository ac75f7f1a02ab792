// The page of `webnn.browsers.chromium`: builds one graph and runs it once.
//
// A request has `inputs` and `constants` (id, dataType, shape, base64 little-endian data), `calls` (op, args, options,
// results: the ids of the operands that it gives) and `outputs` (name to id). Arguments are JSON, and {"$operand": id},
// {"$number": "NaN"} and {"$bigint": "1"}.
//
// An answer has `outputs` (name to dataType, shape, data), or `refused` (which call, what it threw), or `failed`
// (what build, or running, threw); `lost` with it says that the page is of no use any more.

"use strict";

let context;
let lost = false;

async function start() {
  context = await navigator.ml.createContext();
  context.lost.then(() => {
    lost = true;
  });
  return context.opSupportLimits();
}

// Which comes some time after what it makes fail.
const newsOfLoss = () => Promise.race([context.lost, new Promise((passed) => setTimeout(passed, 100))]);

const bytes = (text) => Uint8Array.fromBase64(text).buffer;

function argument(value, operands) {
  if (Array.isArray(value)) return value.map((item) => argument(item, operands));
  if (value === null || typeof value !== "object") return value;
  if ("$operand" in value) return operands.get(value.$operand);
  if ("$number" in value) return Number(value.$number);
  return BigInt(value.$bigint);
}

function call(builder, { op, args, options }, operands) {
  const given = Object.entries(options).map(([name, value]) => [name, argument(value, operands)]);
  const result = builder[op](...argument(args, operands), Object.fromEntries(given));
  return Array.isArray(result) ? result : [result];
}

async function run(request) {
  const builder = new MLGraphBuilder(context);
  const operands = new Map();
  for (const [index, made] of [...request.inputs, ...request.constants].entries()) {
    const { id, data, ...descriptor } = made;
    try {
      const isInput = index < request.inputs.length;
      operands.set(id, isInput ? builder.input(id, descriptor) : builder.constant(descriptor, bytes(data)));
    } catch (error) {
      return { refused: { call: -1, error: `${id}: ${error}` } };
    }
  }
  for (const [index, step] of request.calls.entries()) {
    try {
      const results = call(builder, step, operands);
      step.results.forEach((id, i) => operands.set(id, results[i]));
    } catch (error) {
      return { refused: { call: index, error: `${error}` } };
    }
  }
  if (Object.keys(request.outputs).length === 0) return {};
  const outputs = Object.fromEntries(Object.entries(request.outputs).map(([name, id]) => [name, operands.get(id)]));
  const descriptors = Object.entries(outputs).map(([name, { dataType, shape }]) => [name, { dataType, shape }]);
  const tensors = [];
  let graph;
  try {
    graph = await builder.build(outputs);
    const tensor = async (descriptor, options) => {
      tensors.push(await context.createTensor({ ...descriptor, ...options }));
      return tensors.at(-1);
    };
    const feeds = {};
    for (const { id, data, dataType, shape } of request.inputs) {
      if (!request.used.includes(id)) continue;
      feeds[id] = await tensor({ dataType, shape }, { writable: true });
      context.writeTensor(feeds[id], bytes(data));
    }
    const results = {};
    for (const [name, descriptor] of descriptors) results[name] = await tensor(descriptor, { readable: true });
    context.dispatch(graph, feeds, results);
    const answer = {};
    for (const [name, descriptor] of descriptors) {
      const data = new Uint8Array(await context.readTensor(results[name]));
      answer[name] = { ...descriptor, data: data.toBase64() };
    }
    return { outputs: answer };
  } catch (error) {
    await newsOfLoss();
    return { failed: `${error}`, lost };
  } finally {
    for (const tensor of tensors) tensor.destroy();
    graph?.destroy();
  }
}

async function answerTo(request) {
  return JSON.stringify(await run(request));
}
