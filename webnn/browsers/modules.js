// The page of `webnn.browsers.modules`: loads a module that webnn has written, and runs it.
// Arrays come as SafeTensors files that the page is given, and go as base64.

"use strict";

/** What is loaded: the module, its context, the weights, and the model that was built last. */
const loaded = { app: null, context: null, weights: undefined, model: null };

const chosenFiles = document.createElement("input");
chosenFiles.type = "file";
chosenFiles.multiple = true;

const contents = () => Promise.all([...chosenFiles.files].map((file) => file.arrayBuffer()));

// News of a lost context come some time after what has lost it.
async function told(error) {
  const waited = new Promise((passed) => setTimeout(passed, 100, false));
  const lost = await Promise.race([loaded.context?.lost.then(() => true) ?? false, waited]);
  const { operator, label, cause } = error;
  if (operator === undefined) return { failed: `${error}`, answer: `${error}`, lost };
  return { failed: error.message, answer: `${cause}`, operator, label, lost };
}

// The files: the module, and its weights if it has any.
async function loadModule(contextOptions) {
  unload();
  const [source, weights] = await contents();
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  try {
    loaded.app = await import(url);
    loaded.weights = weights;
    loaded.context = await loaded.app.createContext(contextOptions);
    const start = performance.now();
    loaded.model = await loaded.app.Model.load(loaded);
    return { milliseconds: performance.now() - start };
  } catch (error) {
    return await told(error);
  } finally {
    URL.revokeObjectURL(url);
  }
}

function unload() {
  loaded.model?.destroy();
  loaded.context?.destroy();
  Object.assign(loaded, { app: null, context: null, weights: undefined, model: null });
}

// The file: the inputs by name.
async function runModule() {
  try {
    const [file] = await contents();
    const values = arraysOf(file, Object.keys(loaded.app.inputs));
    const start = performance.now();
    const outputs = await loaded.model.run(values);
    const milliseconds = performance.now() - start;
    const encoded = Object.entries(outputs).map(([name, { buffer }]) => {
      const { dataType, shape } = loaded.app.outputs[name];
      return [name, { dataType, shape, data: new Uint8Array(buffer).toBase64() }];
    });
    return { milliseconds, outputs: Object.fromEntries(encoded) };
  } catch (error) {
    return await told(error);
  }
}

function arraysOf(file, names) {
  const length = Number(new DataView(file).getBigUint64(0, true));
  const rows = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 8, length)));
  return Object.fromEntries(
    names.map((name) => {
      const [begin, end] = rows[name].data_offsets;
      return [name, file.slice(8 + length + begin, 8 + length + end)];
    }),
  );
}
