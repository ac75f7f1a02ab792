#!/usr/bin/env bash
# One would guess: `Unique` finds NaN as an element of its own, once or as often as it is there, and the others as if it
# were not there.
#
# What happens: onnxruntime looks the numbers up in an ordered map, where NaN is neither below nor above another one. So it
# is taken for the number that happens to be compared with it, and if NaN comes first, all numbers are taken for it. The
# indices and the counts say the same.
#
# Seen with onnxruntime 1.32.0, in float32 and float64, sorted or not: [3, NaN, 1] has the elements 1, 3 and counts 3 twice;
# [NaN, 3, 1] has the element NaN alone, three times. NumPy 2.4.6 and the reference evaluator of onnx 1.23.2 give 1, 3 and
# NaN once each for both.
#
# Why it matters: categories and cluster labels are found in this way, and a missing one is NaN. One row without a value
# changes the counts of others, and one at the beginning leaves a single category for the whole table.
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


def elements(numbers, data_type, is_sorted):
    """The elements and their counts: in onnxruntime, and in the reference evaluator."""
    model = parser.parse_model(f"""
    <ir_version: 10, opset_import: ["": 21]>
    unique ({data_type}[n] x) => ({data_type}[m] y, int64[m] counts)
    {{ y, indices, inverse, counts = Unique <sorted = {is_sorted}> (x) }}
    """)
    checker.check_model(model, full_check=True)
    x = np.array(numbers, np.float32 if data_type == "float" else np.float64)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    results = (session.run(None, {"x": x}), ReferenceEvaluator(model).run(None, {"x": x}))
    return [{str(y): int(count) for y, count in zip(*result)} for result in results]


nan = float("nan")
for data_type in ("float", "double"):
    for is_sorted in (1, 0):
        for numbers, wrong in (
            ([3, nan, 1], {"1.0": 1, "3.0": 2}),
            ([nan, 3, 1], {"nan": 3}),
            ([1, 2, nan, 2], {"1.0": 2, "2.0": 2}),
        ):
            seen, expected = elements(numbers, data_type, is_sorted)
            print(data_type, is_sorted, numbers, seen, "in the reference", expected)
            right = {str(float(number)): numbers.count(number) for number in numbers}
            assert expected == right, expected
            assert seen == wrong, "NaN is an element of its own now"
        seen, expected = elements([3, 1, 3], data_type, is_sorted)
        assert seen == expected == {"1.0": 1, "3.0": 2}
PROGRAM
