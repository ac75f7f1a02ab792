#!/usr/bin/env bash
# One would guess: `ConvertDivToMul` of qonnx, which replaces a division by a constant with a product, leaves divisions of
# integers alone, or computes the same.
#
# What happens: it computes one over the constant in the constant's type. In int64 this is 0 for every number but 1 and -1,
# and so is the product.
#
# Seen with qonnx 1.0.0 and onnxruntime 1.32.0: [7, -7, 100] divided by 3 in int64 is [2, -2, 33] before, and [0, 0, 0] after.
# In float32 both agree.
#
# Why it matters: sizes that depend on the input are computed in int64, such as half of a height. The transformation is
# part of the usual way to an accelerator, and the model still loads.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    qonnx==1.0.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import numpy as np
import onnxruntime
from onnx import checker, parser
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.general import ConvertDivToMul

TEXT = """
<ir_version: 8, opset_import: ["": 13]>
divided (TYPE[3] x) => (TYPE[3] y)
<TYPE[1] divisor = {3}>
{
    y = Div (x, divisor)
}
"""


def before_and_after(name, numbers):
    text = TEXT.replace("TYPE", name)
    model = parser.parse_model(text)
    checker.check_model(model, full_check=True)
    converted = ModelWrapper(model).transform(ConvertDivToMul()).model
    assert [node.op_type for node in converted.graph.node] == ["Mul"]
    results = []
    for each in (parser.parse_model(text), converted):
        session = onnxruntime.InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"])
        results.append(session.run(None, {"x": numbers})[0].tolist())
    return results


integers = before_and_after("int64", np.array([7, -7, 100]))
floats = before_and_after("float", np.array([7, -7, 100], np.float32))
print("int64", integers, "float32", floats)
np.testing.assert_allclose(floats[1], floats[0], rtol=1e-6)
assert integers[0] == [2, -2, 33]
assert integers[1] == [0, 0, 0], "integers are divided now"
PROGRAM
