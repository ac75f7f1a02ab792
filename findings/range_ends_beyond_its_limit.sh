#!/usr/bin/env bash
# One would guess: `Range` from 0 to 100000 in steps of 0.1 ends with 99999.9. The standard says that each element is
# start + i * step.
#
# What happens: onnxruntime adds the step to the element before, in the type of the result. 0.1 is rounded each time, and in
# float32 the errors add up. The number of elements is right.
#
# Seen with onnxruntime 1.32.0: the last of a million elements is 100958.24, which is 958 above the limit. From 0 to 1000,
# the last is 999.80 in place of 999.90. The reference evaluator of onnx 1.23.2 is right, and float64 is off by 1e-6.
#
# Why it matters: exporters write `Range` for time axes, positions and grids. What is looked up at such a place, or divided
# by the limit to lie below 1, is another sample. It also differs from the same range that an optimizer has folded.
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


def last(data_type, limit, step):
    """The number of elements and the last one: in onnxruntime, and in the reference evaluator."""
    model = parser.parse_model(f"""
    <ir_version: 10, opset_import: ["": 21]>
    steps ({data_type} start, {data_type} limit, {data_type} step) => ({data_type}[n] y) {{ y = Range (start, limit, step) }}
    """)
    checker.check_model(model, full_check=True)
    kind = np.float32 if data_type == "float" else np.float64
    feeds = {"start": np.array(0, kind), "limit": np.array(limit, kind), "step": np.array(step, kind)}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (seen,), (expected,) = session.run(None, feeds), ReferenceEvaluator(model).run(None, feeds)
    assert len(seen) == len(expected) == round(limit / step)
    print(data_type, limit, step, len(seen), float(seen[-1]), "in the reference", float(expected[-1]))
    return float(seen[-1]), float(expected[-1])


for limit, off in ((1000, 0.05), (10000, 1), (100000, 900)):
    seen, expected = last("float", limit, 0.1)
    assert abs(expected - (limit - 0.1)) < 0.01
    assert abs(seen - expected) > off, "the elements are not added up now"
assert seen > 100000 + 900
seen, expected = last("double", 100000, 0.1)
assert abs(seen - expected) < 1e-5
seen, expected = last("float", 100000, 0.125)
assert seen == expected
PROGRAM
