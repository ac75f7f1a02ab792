#!/usr/bin/env bash
# One would guess: a sum of integers is exact, as Add and CumSum of the same integers are, and as NumPy's sum is.
#
# What happens: onnxruntime adds and multiplies the int64 of ReduceSum, ReduceProd, ReduceL1 and ReduceSumSquare up as
# float64, which has 53 bits. What does not fit into int64, or int32, becomes the nearest number that does, while Add and
# Mul wrap around.
#
# Seen with onnxruntime 1.32.0: ReduceSum of [2**53 + 1, 1] is 2**53; the sum is 2**53 + 2, as Add and CumSum say.
# ReduceProd of [3**20, 3**19] is 11 too small. ReduceSumSquare of int32 [65537] is 2147483647; Mul gives 131073.
#
# Why it matters: identifiers, hashes, counts of nanoseconds and checksums are int64 and large. They add up to other numbers
# in a reduction than in a loop.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import checker, parser


def reduced(numbers, op, kind="int64"):
    text = f"""
    <ir_version: 10, opset_import: ["": 21]>
    reduction ({kind}[{len(numbers)}] x) => ({kind} y) {{ y = {op} <keepdims = 0> (x) }}
    """
    model = parser.parse_model(text)
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return int(session.run(None, {"x": np.array(numbers, kind)})[0])


total = reduced([2**53 + 1, 1], "ReduceSum")
product = reduced([3**20, 3**19], "ReduceProd")
squares = reduced([65537], "ReduceSumSquare", "int32")
print(total - 2**53, product - 3**39, squares)
assert int(np.sum(np.array([2**53 + 1, 1]))) == 2**53 + 2
assert total == 2**53, "the sum is exact now"
assert product == 3**39 - 11, "the product is exact now"
assert squares == 2**31 - 1, "the squares wrap around now, as those of Mul do"
PROGRAM
