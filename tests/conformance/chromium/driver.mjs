// Runs graphs in Chromium: one request a line on stdin, one answer a line on stdout, both JSON (see page.js).
//
// node driver.mjs DIRECTORY
//
// DIRECTORY holds node_modules. The first answer says which browser it is and what its WebNN supports.

import { createServer } from "node:http";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const directory = resolve(process.argv[2]);
const require = createRequire(join(directory, "package.json"));
const { chromium: playwright } = require("playwright-core");
const packed = require("@sparticuz/chromium");

// The package unpacks itself into the directory for temporary files, and takes what lies there for its own: two
// versions must not meet.
async function executable() {
  const before = process.env.TMPDIR;
  process.env.TMPDIR = join(directory, "unpacked");
  mkdirSync(process.env.TMPDIR, { recursive: true });
  const path = await packed.executablePath();
  if (before === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = before;
  return path;
}

// WebNN is for secure contexts, which 127.0.0.1 is.
function serve() {
  const script = readFileSync(new URL("page.js", import.meta.url));
  const server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : "<!doctype html><title>WebNN</title><script src=/page.js></script>");
  });
  return new Promise((listening) => server.listen(0, "127.0.0.1", () => listening(server)));
}

const ARGUMENTS = [
  "--enable-features=WebMachineLearningNeuralNetwork",
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

const server = await serve();
const executablePath = await executable();
let browser;
let page;

// Playwright gives each browser an empty profile, and removes it at the end.
async function launch() {
  await browser?.close();
  browser = await playwright.launch({ executablePath, args: ARGUMENTS });
  page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  return page.evaluate("start()");
}

const write = (text) => process.stdout.write(`${text}\n`);
const limits = await launch();
write(JSON.stringify({ version: browser.version(), limits }));
for await (const line of createInterface({ input: process.stdin })) {
  const answer = await page.evaluate((request) => answerTo(request), line).catch((error) => {
    return JSON.stringify({ failed: `${error}`, lost: true });
  });
  // Chromium gives WebNN up for good when the process that it runs in has ended a few times.
  if (JSON.parse(answer).lost) await launch();
  write(answer);
}
await browser.close();
server.close();
