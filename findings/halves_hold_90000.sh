#!/usr/bin/env bash
# One would guess: in a model of float16, 300 * 300 is infinite, since the largest number of float16 is 65504, and a result
# has 11 bits.
#
# What happens: onnxruntime computes in float32 on the CPU. Where a node of float16 follows another one, it passes float32 on
# in between and rounds neither to 11 bits nor to infinity. This is so with all optimizations and without any.
#
# Seen with onnxruntime 1.32.0: the square root of 300 * 300 is 300, and 300 * 300, cast to float32, is 90000. The reference
# evaluator of onnx 1.23.2 gives infinity for both. The square of 0.1, cast to float32, is 0.0099951178, and 0.0099945068
# if rounded.
#
# Why it matters: a conversion to float16 that is tested on the CPU passes, and overflows on a GPU, where each result is
# rounded. Norms and attention scores are the usual places.
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

HEADER = '<ir_version: 10, opset_import: ["": 20]>\n'
x, seen = np.float16([300, 0.1]), {}
for body, data_type in (
    ("y = Mul(x, x)", "float16"),
    ("square = Mul(x, x) y = Sqrt(square)", "float16"),
    ("square = Mul(x, x) y = Cast<to = 1>(square)", "float"),
):
    model = parser.parse_model(f"{HEADER}g (float16[2] x) => ({data_type}[2] y) {{ {body} }}")
    checker.check_model(model, full_check=True)
    results = [ReferenceEvaluator(model).run(None, {"x": x})[0].tolist()]
    for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL"):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        results.append(session.run(None, {"x": x})[0].tolist())
    seen[body] = results
    print(body, *results)
square, root, cast = seen.values()
assert square[0] == square[1] == square[2] and square[0][0] == np.inf
assert root[0][0] == cast[0][0] == np.inf
assert root[1][0] == root[2][0] == 300 and cast[1][0] == cast[2][0] == 90000, "results are rounded to float16 now"
assert cast[0][1] == float(np.float16(cast[0][1])) and cast[1][1] == cast[2][1] != float(np.float16(cast[1][1]))
PROGRAM
