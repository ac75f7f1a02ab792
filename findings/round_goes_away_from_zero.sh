#!/usr/bin/env bash
# One would guess: Round takes halves to the nearest even number, as the operator's documentation says, and as NumPy,
# WebNN and IEEE 754 do.
#
# What happens: MNN rounds halves away from zero, as the C function `round` does.
#
# Seen with MNN 3.6.1: [0.5, 1.5, 2.5, -0.5, -2.5] gives [1, 2, 3, -1, -3]; the documented result is [0, 2, 2, -0, -2].
#
# Why it matters: simulated quantization (scale, Round, Clip) hits halves whenever the scale is a power of two; the integers
# are then one off, with a bias away from zero that adds up in sums.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check MNN==3.6.1 onnx==1.23.2 numpy==2.4.6

cd "$folder"
"$folder/venv/bin/python" - <<'PROGRAM'
import _tools  # the command mnnconvert installs packages, see converter_installs_packages.sh
import MNN
import MNN.expr as expr
import numpy as np
import onnx

text = '<ir_version: 8, opset_import: ["": 13]> rounded (float[1, 5] x) => (float[1, 5] y) { y = Round (x) }'
model = onnx.parser.parse_model(text)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "rounded.onnx")
files = ["--modelFile", "rounded.onnx", "--MNNModel", "rounded.mnn"]
_tools.mnnconvert(["mnnconvert", "-f", "ONNX", *files, "--bizCode", "MNN"])
network = MNN.nn.load_module_from_file("rounded.mnn", ["x"], ["y"])
x = np.array([[0.5, 1.5, 2.5, -0.5, -2.5]], np.float32)
result = network.onForward([expr.const(x, [1, 5], expr.NCHW, expr.float)])[0]
seen = np.array(expr.convert(result, expr.NCHW).read()).ravel()
print(seen, np.round(x))
np.testing.assert_array_equal(np.round(x).ravel(), [0, 2, 2, 0, -2])
np.testing.assert_array_equal(seen, [1, 2, 3, -1, -3], "halves go to the nearest even number now")
PROGRAM
