#!/usr/bin/env bash
# One would guess: Div of uint8 divides numbers from 0 to 255, and its result is uint8, as the model says.
#
# What happens: compiled by IREE, Div and Mod take the bytes for signed ones, while Max, Min, Greater and Cast of the same
# tensors take them for unsigned ones. All results arrive as int8.
#
# Seen with iree-base-compiler and iree-base-runtime 3.13.0 (target llvm-cpu): 128 / 3 is 214 (-42 as a signed byte) and
# 200 / 100 is 0; 128 % 3 is 1; the maximum of 200 and 100 is 200. The dtype of each is int8.
#
# Why it matters: pixels are unsigned bytes. Halving an image in the graph makes its bright half dark.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    iree-base-compiler==3.13.0 iree-base-runtime==3.13.0 onnx==1.23.2 numpy==2.4.6

cd "$folder"
PATH="$folder/venv/bin:$PATH" python - <<'PROGRAM'
import subprocess

import iree.runtime as iree
import numpy as np
import onnx

text = """
<ir_version: 10, opset_import: ["": 21]>
pixels (uint8[3] a, uint8[3] b) => (uint8[3] quotient, uint8[3] rest, uint8[3] greatest)
{
    quotient = Div (a, b)
    rest = Mod (a, b)
    greatest = Max (a, b)
}
"""
model = onnx.parser.parse_model(text)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "pixels.onnx")
subprocess.run(["iree-import-onnx", "pixels.onnx", "-o", "pixels.mlir"], check=True)
options = ["--iree-hal-target-backends=llvm-cpu", "--iree-llvmcpu-target-cpu=host"]
subprocess.run(["iree-compile", "pixels.mlir", *options, "-o", "pixels.vmfb"], check=True)
context = iree.SystemContext(config=iree.Config("local-sync"))
module = iree.VmModule.copy_buffer(context.instance, open("pixels.vmfb", "rb").read())
context.add_vm_module(module)

a, b = np.array([128, 200, 7], np.uint8), np.array([3, 100, 2], np.uint8)
results = [np.asarray(y.to_host()) for y in context.modules[module.name].pixels(a, b)]
quotient, rest, greatest = (y.view(np.uint8) for y in results)
print(a // b, a % b, [y.dtype for y in results], quotient, rest, greatest, sep="\n")
np.testing.assert_array_equal(greatest, [128, 200, 7])
assert quotient[2] == 3
assert quotient[0] == 214 and quotient[1] == 0 and rest[0] == 1, "unsigned bytes are divided correctly now"
PROGRAM
