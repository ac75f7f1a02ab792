#!/usr/bin/env bash
# One would guess: Shrink with its default bias of 0 keeps every number beyond the threshold as it is. It is defined for all
# numbers, from int8 to float64.
#
# What happens: onnxruntime computes it in float32, whatever the type is.
#
# Seen with onnxruntime 1.32.0: float64 1e200 becomes infinity, and 123.456 becomes 123.45600128173828. int32 16777217 becomes
# 16777216, and uint32 4294967295 becomes 0.
#
# Why it matters: double precision is chosen for such numbers. The declared type of the output does not show the loss.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import checker, parser


def shrunk(numbers, kind):
    text = f"""
    <ir_version: 10, opset_import: ["": 21]>
    shrinking ({kind}[{len(numbers)}] x) => ({kind}[{len(numbers)}] y) {{ y = Shrink <lambd = 0.5> (x) }}
    """
    model = parser.parse_model(text)
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    dtype = {"double": np.float64}.get(kind, kind)
    return session.run(None, {"x": np.array(numbers, dtype)})[0]


doubles, signed, unsigned = shrunk([1e200, 123.456], "double"), shrunk([16777217], "int32"), shrunk([2**32 - 1], "uint32")
print(doubles.tolist(), signed, unsigned)
assert doubles[0] == np.inf and doubles[1] == np.float32(123.456), "float64 keeps its range and its digits now"
assert signed[0] == 16777216, "int32 is exact now"
assert unsigned[0] == 0, "uint32 is exact now"
PROGRAM
