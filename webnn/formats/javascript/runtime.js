// From here on, every module that webnn writes is the same.

/** @typedef {{ op: string, label: string, args: unknown[], results: MLOperand[] }} Call */
/** @typedef {(calls: readonly Call[], outputs: Record<string, MLOperand>) => Record<string, MLOperand>} Choose */

/** The array type of each data type. Without Float16Array, float16 is its bits. */
const ARRAYS = {
  float32: Float32Array,
  float16: /** @type {any} */ (globalThis).Float16Array ?? Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  int8: Int8Array,
  uint8: Uint8Array,
};

/** What a browser said of one operator, input or constant. */
export class RefusedError extends Error {
  /**
   * @param {string} operator - its method
   * @param {string} label - its label or name; may be empty
   * @param {unknown} cause - what the browser threw
   */
  constructor(operator, label, cause) {
    const where = label ? `[${label}] ${operator}` : operator;
    super(`${where}: refused by this browser: ${cause}`, { cause });
    this.name = "RefusedError";
    this.operator = operator;
    this.label = label;
  }
}

/**
 * A context of this browser.
 * @param {MLContextOptions} [options]
 * @returns {Promise<MLContext>}
 */
export async function createContext(options) {
  if (!globalThis.isSecureContext) {
    throw new Error("WebNN is for secure contexts: serve this from https:, from localhost, or open it as a file");
  }
  if (!navigator.ml) {
    throw new Error(
      "this browser has no WebNN, or it is off; in Chrome and Edge it is chrome://flags/#web-machine-learning-neural-network",
    );
  }
  return navigator.ml.createContext(options);
}

/**
 * Refuse a browser that lacks an operator, before anything is built.
 * @param {MLContext} context
 */
function checkSupport(context) {
  const limits = context.opSupportLimits();
  const missing = OPERATORS.filter((operator) => !(operator in limits));
  if (missing.length > 0) throw new RefusedError(missing[0], "", `it does not have: ${missing.join(", ")}`);
}

/**
 * A builder whose errors name the operator and its label.
 * @param {MLContext} context
 * @param {Choose} [choose] - which operands become outputs in place of the graph's own
 * @returns {MLGraphBuilder}
 */
function graphBuilder(context, choose) {
  checkSupport(context);
  /** @type {Call[]} */
  const calls = [];
  return new Proxy(new MLGraphBuilder(context), {
    get(builder, op) {
      const method = Reflect.get(builder, op);
      if (typeof method !== "function") return method;
      if (op === "build") {
        return (/** @type {Record<string, MLOperand>} */ outputs) =>
          builder.build(choose ? choose(calls, outputs) : outputs);
      }
      const name = String(op);
      return (/** @type {any[]} */ ...args) => {
        const label = name === "input" ? args[0] : (args.at(-1)?.label ?? "");
        try {
          const result = method.apply(builder, args);
          if (name !== "input" && name !== "constant") {
            calls.push({ op: name, label, args: args.flat(), results: [result].flat() });
          }
          return result;
        } catch (error) {
          throw new RefusedError(name, label, error);
        }
      };
    },
  });
}

/**
 * Name the operator that a browser cannot build, where it says so only once it builds the graph.
 * @param {MLContext} context
 * @param {ArrayBuffer | undefined} weights
 * @param {unknown} error - what building threw
 * @returns {Promise<unknown>} the better error, or the same
 */
async function located(context, weights, error) {
  if (error instanceof RefusedError) return error;
  /** @type {Call | undefined} */
  let last;
  let count = 0;
  // The first `n` operators alone: their results that are not read among themselves become the outputs.
  const builds = async (/** @type {number} */ n) => {
    try {
      const graph = await build(context, weights, (calls) => {
        count = calls.length;
        last = calls[n - 1];
        const first = calls.slice(0, n);
        const read = new Set(first.flatMap((call) => [...call.args, ...Object.values(Object(call.args.at(-1)))]));
        const open = first.flatMap((call) => call.results).filter((operand) => !read.has(operand));
        return Object.fromEntries(open.map((operand, i) => [`output ${i}`, operand]));
      });
      graph.destroy();
      return undefined;
    } catch (thrown) {
      return thrown;
    }
  };
  let [good, bad] = [0, 0];
  await builds(1);
  bad = count;
  let found = await builds(bad);
  if (found === undefined) return error;
  let culprit = last;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    const thrown = await builds(middle);
    if (thrown === undefined) good = middle;
    else [bad, found, culprit] = [middle, thrown, last];
  }
  return culprit ? new RefusedError(culprit.op, culprit.label, found) : error;
}

/**
 * The arrays of a SafeTensors file.
 * @param {ArrayBuffer} file
 * @returns {{ metadata: Record<string, string>, bytes(key: string): ArrayBuffer }}
 */
function readSafeTensors(file) {
  const length = file.byteLength < 8 ? -1 : Number(new DataView(file).getBigUint64(0, true));
  if (length < 0 || 8 + length > file.byteLength) throw new Error("the weights are not a whole SafeTensors file");
  const { __metadata__: metadata = {}, ...rows } = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 8, length)));
  return {
    metadata,
    bytes(key) {
      if (!Object.hasOwn(rows, key)) throw new Error(`the weights have no array ${JSON.stringify(key)}`);
      const [begin, end] = rows[key].data_offsets;
      return file.slice(8 + length + begin, 8 + length + end);
    },
  };
}

/**
 * A function that makes constants of the weights: through constant tensors, or as copies where a browser has none.
 * @param {MLContext} context
 * @param {MLGraphBuilder} builder
 * @param {ArrayBuffer} [weights]
 * @returns {(key: string, dataType: MLOperandDataType, shape: number[]) => Promise<MLOperand>}
 */
function constantsOf(context, builder, weights) {
  if (!weights) throw new Error(`build: the weights are missing: the content of ${WEIGHTS}`);
  const stored = readSafeTensors(weights);
  const mark = stored.metadata["webnn.weights"];
  if (mark !== MARK) throw new Error(`the weights do not belong to this module: their mark is ${mark}, not ${MARK}`);
  let tensors = typeof context.createConstantTensor === "function";
  return async (key, dataType, shape) => {
    const bytes = stored.bytes(key);
    if (tensors) {
      try {
        return builder.constant(await context.createConstantTensor({ dataType, shape }, bytes));
      } catch {
        tensors = false;
      }
    }
    return builder.constant({ dataType, shape }, bytes);
  };
}

/** Get the weights beside this module. */
async function fetchWeights() {
  if (!WEIGHTS) return undefined;
  const url = new URL(WEIGHTS, import.meta.url);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}: it belongs beside the module`);
  return response.arrayBuffer();
}

/** A built graph with its tensors. */
export class Model {
  /** @type {Record<string, MLTensor>} */
  #feeds = {};
  /** @type {Record<string, MLTensor>} */
  #results = {};

  /**
   * @param {MLContext} context
   * @param {MLGraph} graph
   */
  constructor(context, graph) {
    this.context = context;
    this.graph = graph;
  }

  /**
   * Build the graph, and make its tensors.
   * @param {{ context?: MLContext, contextOptions?: MLContextOptions, weights?: ArrayBuffer }} [options]
   * @returns {Promise<Model>}
   */
  static async load({ context, contextOptions, weights } = {}) {
    context ??= await createContext(contextOptions);
    weights ??= await fetchWeights();
    let graph;
    try {
      graph = await build(context, weights);
    } catch (error) {
      throw await located(context, weights, error);
    }
    const model = new Model(context, graph);
    for (const [name, { dataType, shape }] of Object.entries(inputs)) {
      model.#feeds[name] = await context.createTensor({ dataType, shape: [...shape], writable: true });
    }
    for (const [name, { dataType, shape }] of Object.entries(outputs)) {
      const access = { readable: true, writable: true };
      model.#results[name] = await context.createTensor({ dataType, shape: [...shape], ...access });
    }
    return model;
  }

  /**
   * Run the graph once. Runs may overlap: each gives the outputs of its own inputs.
   * @param {Record<string, ArrayBufferView | ArrayBuffer>} values - an array for each input
   * @param {{ checked?: boolean }} [options] - whether to make sure that the device has written the outputs
   * @returns {Promise<Record<string, any>>} an array for each output
   */
  async run(values, { checked = true } = {}) {
    for (const name of Object.keys(values)) {
      if (!Object.hasOwn(inputs, name)) {
        throw new TypeError(`run: no input is called ${JSON.stringify(name)}; they are ${Object.keys(inputs).join(", ")}`);
      }
    }
    for (const [name, { dataType, shape, byteLength }] of Object.entries(inputs)) {
      if (values[name]?.byteLength !== byteLength) {
        const given = values[name] ? `${values[name].byteLength} bytes` : "nothing";
        const wanted = `${dataType} [${shape.join(", ")}], ${byteLength} bytes`;
        throw new TypeError(`run: the input ${JSON.stringify(name)} must be ${wanted}, got ${given}`);
      }
    }
    // Some browsers do not report a run that failed, and leave the old values. A marker tells, and as an output may
    // happen to hold its value, it takes a second one to be sure.
    let read = await this.#once(values, checked ? 0xa5 : undefined);
    if (checked && Object.values(read).some((buffer) => holdsOnly(buffer, 0xa5))) {
      read = await this.#once(values, 0x5a);
      for (const [name, buffer] of Object.entries(read)) {
        if (holdsOnly(buffer, 0x5a)) throw new Error(`run: the device failed: it wrote nothing into the output ${name}`);
      }
    }
    const arrays = Object.entries(read).map(([name, buffer]) => [name, new ARRAYS[outputs[name].dataType](buffer)]);
    return Object.fromEntries(arrays);
  }

  /**
   * @param {Record<string, ArrayBufferView | ArrayBuffer>} values
   * @param {number} [marker]
   * @returns {Promise<Record<string, ArrayBuffer>>}
   */
  async #once(values, marker) {
    // Everything is queued before anything is awaited, so that runs do not get into each other.
    for (const [name, tensor] of Object.entries(this.#feeds)) {
      this.context.writeTensor(tensor, /** @type {BufferSource} */ (values[name]));
    }
    if (marker !== undefined) {
      for (const [name, tensor] of Object.entries(this.#results)) {
        this.context.writeTensor(tensor, new Uint8Array(outputs[name].byteLength).fill(marker).buffer);
      }
    }
    this.context.dispatch(this.graph, this.#feeds, this.#results);
    const reads = Object.entries(this.#results).map(async ([name, tensor]) => {
      return /** @type {const} */ ([name, await this.context.readTensor(tensor)]);
    });
    return Object.fromEntries(await Promise.all(reads));
  }

  /** Give its memory back. */
  destroy() {
    for (const tensor of [...Object.values(this.#feeds), ...Object.values(this.#results)]) tensor.destroy();
    this.graph.destroy();
  }
}

/**
 * @param {ArrayBuffer} buffer
 * @param {number} byte
 */
function holdsOnly(buffer, byte) {
  return new Uint8Array(buffer).every((each) => each === byte);
}

/** @type {Promise<Model> | undefined} */
let model;

/**
 * Run the graph on a context of the browser's choice; it is built at the first call.
 * @param {Record<string, ArrayBufferView | ArrayBuffer>} values - an array for each input
 * @returns {Promise<Record<string, any>>} an array for each output
 */
export async function run(values) {
  model ??= Model.load().catch((error) => {
    model = undefined; // the next call tries again
    throw error;
  });
  return (await model).run(values);
}
