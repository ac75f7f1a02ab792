#!/usr/bin/env bash
# One would guess: QuantizeLinear saturates: values above the range of int8 become 127, however large they are.
#
# What happens: the reference evaluator of ONNX goes through int32 before it saturates. From 2**31 steps on a large
# positive value becomes the smallest number.
#
# Seen with onnx 1.23.2: with a scale of 0.001, 1e6 becomes 127 and 3e6 becomes -128; as uint8, 255 and 0. onnxruntime
# 1.32.0 gives 127 and 255 for both.
#
# Why it matters: masks are often large numbers, such as 1e9 and 3.4e38, and turn into their opposite. Constant folding
# with the evaluator writes that into the model.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import checker, parser
from onnx.reference import ReferenceEvaluator

text = """
<ir_version: 10, opset_import: ["": 21]>
quantized (float[3] x) => (int8[3] signed, uint8[3] unsigned)
{
    scale = Constant <value = float {0.001}> ()
    zero = Constant <value = int8 {0}> ()
    signed = QuantizeLinear (x, scale, zero)
    unsigned = QuantizeLinear (x, scale)
}
"""
model = parser.parse_model(text)
checker.check_model(model, full_check=True)
x = np.array([0.1, 1e6, 3e6], np.float32)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
wanted = session.run(None, {"x": x})
seen = ReferenceEvaluator(model).run(None, {"x": x})
print(wanted, seen)
np.testing.assert_array_equal(wanted[0], [100, 127, 127])
np.testing.assert_array_equal(wanted[1], [100, 255, 255])
np.testing.assert_array_equal(seen[0], [100, 127, -128], "the evaluator saturates large values now")
np.testing.assert_array_equal(seen[1], [100, 255, 0])
PROGRAM
