
// From here on, the page: it runs the graph on stored inputs, and compares with stored outputs.

/**
 * The bytes in the page's own data elements, which hold base64.
 * @param {string} name
 */
function stored(name) {
  const parts = [...document.querySelectorAll(`script[data-part="${name}"]`)].map((element) => {
    const text = element.textContent.trim();
    if ("fromBase64" in Uint8Array) return /** @type {any} */ (Uint8Array).fromBase64(text);
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  });
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    all.set(part, place);
    place += part.length;
  }
  return all.buffer;
}

const byId = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
const test = readSafeTensors(stored("test"));
const weights = document.querySelector('script[data-part="weights"]') ? stored("weights") : undefined;
/** @type {Record<string, number>} */
const tolerances = JSON.parse(test.metadata["webnn.tolerances"]);
const DEVICES = {
  // The names of the specification, and those of browsers that are older than these.
  cpu: { accelerated: false, deviceType: "cpu" },
  gpu: { accelerated: true, powerPreference: "high-performance", deviceType: "gpu" },
  npu: { accelerated: true, powerPreference: "low-power", deviceType: "npu" },
};

/** @param {ArrayBuffer} buffer @param {DataType} dataType */
const arrayOf = (buffer, dataType) => new ARRAYS[dataType](buffer);

/**
 * The number at a place, also of float16 in bits.
 * @param {any} array @param {DataType} dataType @param {number} i
 */
function numberAt(array, dataType, i) {
  if (dataType !== "float16" || !(array instanceof Uint16Array)) return Number(array[i]);
  const [sign, exponent, fraction] = [array[i] >> 15 ? -1 : 1, (array[i] >> 10) & 31, array[i] & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
}

/**
 * The largest error of an output, and its place.
 * @param {string} name @param {any} array
 */
function compare(name, array) {
  const { dataType, shape } = outputs[name];
  const expected = arrayOf(test.bytes(`output ${name}`), dataType);
  let [largest, place] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    if (array[i] === expected[i]) continue;
    const [here, there] = [numberAt(array, dataType, i), numberAt(expected, dataType, i)];
    if (here === there || (here !== here && there !== there)) continue;
    // An infinity or not-a-number that only one of them has is as wrong as can be.
    const error = Number.isFinite(here) && Number.isFinite(there) ? Math.abs(here - there) : Infinity;
    if (error > largest) [largest, place] = [error, i];
  }
  const at = [];
  let rest = place;
  for (const size of [...shape].reverse()) {
    at.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  const [here, there] = [numberAt(array, dataType, place), numberAt(expected, dataType, place)];
  const tolerance = tolerances[name];
  return { name, dataType, shape, error: largest, at, here, expected: there, tolerance, ok: largest <= tolerance };
}

/**
 * Build the graph, run it on the stored inputs, compare, and time it.
 * @param {{ device?: string, runs?: number }} [options]
 */
async function selfTest({ device = "", runs = 20 } = {}) {
  const start = performance.now();
  const context = await createContext(/** @type {any} */ (DEVICES)[device]);
  try {
    say("Building the graph.");
    const loaded = await Model.load({ context, weights });
    const building = performance.now() - start;
    say("Running it.");
    const values = Object.fromEntries(Object.keys(inputs).map((name) => [name, test.bytes(`input ${name}`)]));
    const before = performance.now();
    const results = await loaded.run(values);
    const first = performance.now() - before;
    const compared = Object.keys(outputs).map((name) => compare(name, results[name]));
    const times = [];
    for (const until = performance.now() + 5000; times.length < runs && performance.now() < until; ) {
      const begin = performance.now();
      await loaded.run(values, { checked: false });
      times.push(performance.now() - begin);
    }
    times.sort((a, b) => a - b);
    const [fastest, median, slowest] = [times[0], times[times.length >> 1], times[times.length - 1]];
    loaded.destroy();
    const ok = compared.every((row) => row.ok);
    return { ok, outputs: compared, building, first, median, fastest, slowest, runs: times.length };
  } finally {
    context.destroy();
  }
}

/** @param {string} text @param {string} [kind] */
function say(text, kind = "") {
  byId("status").textContent = text;
  byId("status").className = kind;
}

/** @param {string} id @param {(string | number)[][]} rows */
function fill(id, rows) {
  byId(id).replaceChildren(
    ...rows.map((cells) => {
      const row = document.createElement("tr");
      for (const cell of cells) row.insertCell().textContent = String(cell);
      return row;
    }),
  );
}

/** @param {number} value */
function short(value) {
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) < 1e-3 ? value.toExponential(3) : String(Number(value.toPrecision(6)));
}
const time = (/** @type {number} */ value) => `${value.toPrecision(3)} ms`;

async function testAndShow() {
  byId("refusal").hidden = byId("answer").hidden = true;
  say("Creating a context.");
  const options = { device: byId("device").value, runs: Number(byId("runs").value) };
  try {
    const result = await selfTest(options);
    const bad = result.outputs.filter((row) => !row.ok);
    if (result.ok) say("The outputs are as expected.", "good");
    else say(`Not as expected: ${bad.map((row) => row.name).join(", ")}.`, "bad");
    fill(
      "outputs",
      result.outputs.map((row) => {
        const numbers = row.error === 0 ? ["0", "", ""] : [short(row.error), `[${row.at.join(", ")}]`, short(row.here)];
        const shape = `[${row.shape.join(", ")}]`;
        return [row.name, row.dataType, shape, ...numbers, row.error ? short(row.expected) : "", short(row.tolerance), ""];
      }),
    );
    [...byId("outputs").rows].forEach((row, i) => {
      row.lastElementChild.textContent = result.outputs[i].ok ? "as expected" : "differs";
      row.lastElementChild.className = result.outputs[i].ok ? "good" : "bad";
    });
    const { building, first, median, fastest, slowest, runs } = result;
    fill("times", [[...[building, first, median, fastest, slowest].map(time), runs]]);
    byId("answer").hidden = false;
    return result;
  } catch (error) {
    const { message, operator, label, cause } = /** @type {any} */ (error);
    say(operator ? `This browser refuses the operator ${operator}${label ? ` [${label}]` : ""}.` : "It failed.", "bad");
    byId("refusal").textContent = message;
    byId("refusal").hidden = false;
    return { ok: false, error: String(error), operator, label, cause: cause && String(cause) };
  }
}

fill(
  "inputs",
  Object.entries(inputs).map(([name, { dataType, shape }]) => {
    const array = arrayOf(test.bytes(`input ${name}`), dataType);
    const few = Array.from({ length: Math.min(6, array.length) }, (_, i) => short(numberAt(array, dataType, i)));
    return [name, dataType, `[${shape.join(", ")}]`, few.join(", ") + (array.length > few.length ? ", …" : "")];
  }),
);
// The address can choose: page.html#device=gpu&runs=100.
for (const [id, value] of new URLSearchParams(location.hash.slice(1))) {
  if (id === "device" || id === "runs") byId(id).value = value;
}
byId("browser").textContent = navigator.userAgent;
byId("controls").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  /** @type {any} */ (globalThis).result = testAndShow();
});
/** The result of the test that began last; a promise. */
/** @type {any} */ (globalThis).result = testAndShow();
