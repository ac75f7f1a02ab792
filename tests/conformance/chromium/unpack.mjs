// Unpacks the browsers that package.json names, each into a folder of its own with its SwiftShader files beside it.
//
// node unpack.mjs DIRECTORY
//
// DIRECTORY holds node_modules. `DIRECTORY/chromium-147/chromium` is then a program. The packages have a function that
// unpacks, but only for some versions of Node, and into the folder of temporary files, where two versions would meet.

import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { brotliDecompressSync } from "node:zlib";

const directory = resolve(process.argv[2]);
const wanted = JSON.parse(readFileSync(new URL("package.json", import.meta.url))).dependencies;

for (const name of Object.keys(wanted).filter((each) => each.startsWith("chromium-"))) {
  const packed = join(directory, "node_modules", name);
  const { version } = JSON.parse(readFileSync(join(packed, "package.json")));
  const target = join(directory, name);
  const unpacked = (file) => brotliDecompressSync(readFileSync(join(packed, "bin", file)));
  try {
    if (readFileSync(join(target, "version"), "utf8") === version) continue;
  } catch {
    // It is not there yet.
  }
  const partial = `${target}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  writeFileSync(join(partial, "chromium"), unpacked("chromium.br"));
  chmodSync(join(partial, "chromium"), 0o755);
  execFileSync("tar", ["-xC", partial], { input: unpacked("swiftshader.tar.br") });
  writeFileSync(join(partial, "version"), version);
  rmSync(target, { recursive: true, force: true });
  renameSync(partial, target);
}
