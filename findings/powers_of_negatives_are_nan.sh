#!/usr/bin/env bash
# One would guess: Pow raises negative numbers to whole exponents, as the C function and NumPy do: (-2)**2 is 4, and
# 0**0 is 1. An exponent gives the same result, whether it is a constant or an input of the model.
#
# What happens: compiled by IREE for the CPU, Pow of two inputs is NaN for each base that is negative or zero with
# exponent 0, as if it were exp(y * log(x)). With the same exponent as a constant, the results are right.
#
# Seen with iree-base-compiler and iree-base-runtime 3.13.0 (target llvm-cpu): (-2)**2, (-2)**3, (-0.5)**2 and 0**0 are
# NaN, and 2**2 is 4; with the constant 2 the squares are 4, 4 and 0.25.
#
# Why it matters: normalizations and losses square differences, of which half are negative. Whether a model works then
# depends on whether its exporter wrote the exponent into the file.
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
powers (float[5] x, float[5] y) => (float[5] power, float[5] square)
{
    two = Constant <value = float {2.0}> ()
    power = Pow (x, y)
    square = Pow (x, two)
}
"""
model = onnx.parser.parse_model(text)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "powers.onnx")
subprocess.run(["iree-import-onnx", "powers.onnx", "-o", "powers.mlir"], check=True)
options = ["--iree-hal-target-backends=llvm-cpu", "--iree-llvmcpu-target-cpu=host"]
subprocess.run(["iree-compile", "powers.mlir", *options, "-o", "powers.vmfb"], check=True)
context = iree.SystemContext(config=iree.Config("local-sync"))
module = iree.VmModule.copy_buffer(context.instance, open("powers.vmfb", "rb").read())
context.add_vm_module(module)

x, y = np.array([2, -2, -2, -0.5, 0], np.float32), np.array([2, 2, 3, 2, 0], np.float32)
power, square = (np.asarray(z.to_host()) for z in context.modules[module.name].powers(x, y))
print(power, np.power(x, y), square, sep="\n")
np.testing.assert_allclose(square, [4, 4, 4, 0.25, 0])
assert power[0] == 4
assert np.isnan(power[1:]).all(), "whole powers of negative numbers are right now"
PROGRAM
