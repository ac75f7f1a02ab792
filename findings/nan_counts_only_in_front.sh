#!/usr/bin/env bash
# One would guess: a maximum over numbers with a NaN among them is either always NaN or always the largest number.
#
# What happens: ReduceMax and ReduceMin give NaN if it is the first of the numbers, and otherwise overlook it. Max of
# two tensors gives NaN wherever it stands, TopK puts NaN before all numbers, and ArgMax never chooses it unless it is
# the first.
#
# Seen with onnxruntime 1.32.0 on the CPU: ReduceMax of [NaN, 1, 3] is NaN, of [1, NaN, 3] it is 3; TopK of the second
# begins with index 1, ArgMax is 2.
#
# Why it matters: a check for NaN by the maximum of a tensor depends on the order of its elements, and a greedy decoder
# chooses another token with ArgMax than with TopK. NumPy and the ONNX reference evaluator give NaN for the maximum.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import checker, parser

text = """
<ir_version: 10, opset_import: ["": 21]>
largest (float[3] x, float[3] other) => (float[1] most, float[1] least, float[3] pairs, float[1] top, int64[1] place, int64[1] index)
{
    one = Constant <value = int64[1] {1}> ()
    most = ReduceMax (x)
    least = ReduceMin (x)
    pairs = Max (x, other)
    top, place = TopK (x, one)
    index = ArgMax (x)
}
"""
model = parser.parse_model(text)
checker.check_model(model, full_check=True)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
other = np.zeros(3, np.float32)
front, inside = (
    session.run(None, {"x": np.array(x, np.float32), "other": other}) for x in ([np.nan, 1, 3], [1, np.nan, 3])
)
print(front)
print(inside)
assert np.isnan(front[0]) and np.isnan(front[1])
assert inside[0] == 3 and inside[1] == 1, "ReduceMax and ReduceMin see every NaN now"
assert np.isnan(inside[2][1]) and np.isnan(inside[3]) and inside[4] == 1
assert inside[5] == 2, "ArgMax chooses the NaN now, as TopK does"
PROGRAM
