#!/usr/bin/env bash
# One would guess: `Normalizer` with the norm L2 divides a row by the root of the sum of its squares, which it computes in
# float32 like its result, and no number of the result is above 1.
#
# What happens: numbers in int32 are squared in int32. From 46341 on, the squares wrap around. Their sum may be negative or
# too small, and its root is taken all the same.
#
# Seen with onnxruntime 1.32.0: [60000, 1] becomes [1, NaN], [50000, 40000] [3.03, NaN], and [65536, 1] [0, 1]. int64 and
# float32 are right, and so are the norms L1 and MAX.
#
# Why it matters: the operator takes a table in the type that it has, before distances or a linear model. Counts, prices in
# cents and sizes in bytes are integers beyond 46341. A row may also come out finite, and wrong.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import checker, parser

rows = [[60000, 1], [50000, 40000], [65536, 1], [3, 4]]


def normalized(norm, data_type):
    model = parser.parse_model(f"""
    <ir_version: 10, opset_import: ["": 21, "ai.onnx.ml": 3]>
    normalized ({data_type}[n, 2] x) => (float[n, 2] y) {{ y = ai.onnx.ml.Normalizer <norm = "{norm}"> (x) }}
    """)
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.array(rows, "float32" if data_type == "float" else data_type)})[0]


seen = normalized("L2", "int32")
expected = np.array(rows) / np.linalg.norm(rows, axis=1, keepdims=True)
print(seen.tolist(), "in NumPy", expected.tolist())
np.testing.assert_allclose(seen[3], [0.6, 0.8], rtol=1e-6)
assert np.isnan(seen[0, 1]), "squares do not wrap around now"
assert seen[1, 0] > 3 and np.isnan(seen[1, 1])
assert seen[2].tolist() == [0, 1]
for data_type in ("int64", "float"):
    np.testing.assert_allclose(normalized("L2", data_type), expected, rtol=1e-6, err_msg=data_type)
sums = np.sum(rows, axis=1, keepdims=True)
np.testing.assert_allclose(normalized("L1", "int32"), rows / sums, rtol=1e-6)
np.testing.assert_allclose(normalized("MAX", "int32"), rows / np.max(rows, axis=1, keepdims=True), rtol=1e-6)
PROGRAM
