#!/usr/bin/env bash
# One would guess: where `Attention` has fewer heads of keys and values than of queries, neighbouring query heads share one, as
# ONNX defines it and networks are trained.
#
# What happens: tinygrad deals the heads out in turn. With four query heads and two of values, the first and the third get the
# first.
#
# Seen with tinygrad 0.14.0 (its device PYTHON), onnxruntime 1.32.0 and the reference evaluator of onnx 1.23.2: values of 10 in
# the first head and of 20 in the second give [10, 20, 10, 20] in tinygrad, and [10, 10, 20, 20] in both others.
#
# Why it matters: most language models of today share heads so. The shapes fit, nothing is raised, and the text is nonsense.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    tinygrad==0.14.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"

DEV=PYTHON "$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import checker, parser, save
from onnx.reference import ReferenceEvaluator
from tinygrad import Tensor
from tinygrad.nn.onnx import OnnxRunner

TEXT = """
<ir_version: 11, opset_import: ["": 23]>
attention (float[1, 4, 1, 8] q, float[1, COUNT, 3, 8] k, float[1, COUNT, 3, 8] v) => (float[1, 4, 1, 8] y)
{
    y = Attention (q, k, v)
}
"""


def heads(values):
    """What each query head gives in the reference evaluator, onnxruntime and tinygrad, for the value of each head."""
    model = parser.parse_model(TEXT.replace("COUNT", str(len(values))))
    checker.check_model(model, full_check=True)
    save(model, "attention.onnx")
    keys = np.ones((1, len(values), 3, 8), np.float32)
    feeds = {"q": np.ones((1, 4, 1, 8), np.float32), "k": keys, "v": keys * np.float32(values)[:, None, None]}
    session = onnxruntime.InferenceSession("attention.onnx", providers=["CPUExecutionProvider"])
    in_tinygrad = OnnxRunner("attention.onnx")({name: Tensor(array) for name, array in feeds.items()})["y"].numpy()
    results = ReferenceEvaluator(model).run(None, feeds)[0], session.run(None, feeds)[0], in_tinygrad
    return [result[0, :, 0, 0].round(3).tolist() for result in results]


shared, own = heads([10, 20]), heads([10, 20, 30, 40])
print("two heads of values", shared, "four", own)
assert own == [[10, 20, 30, 40]] * 3
assert shared[:2] == [[10, 10, 20, 20]] * 2
assert shared[2] == [10, 20, 10, 20], "neighbouring heads share values now"
PROGRAM
