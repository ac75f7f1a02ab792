#!/usr/bin/env bash
# One would guess: the optimizer of onnxscript, which PyTorch's exporter runs, leaves a `ScatterND` that adds as it is.
#
# What happens: where the indices are all rows in order, it takes the updates for the result, whatever `reduction` says.
# That is right for reduction="none" only.
#
# Seen with onnxscript 0.7.2, torch 2.14.1 and onnxruntime 1.32.0: 100 and 1 in each of three rows are 101 before, and 1
# after. A module with `index_put(..., accumulate=True)` and indices of 0, 1 and 2 gives 101 in PyTorch, and 1 when
# exported; with optimize=False it gives 101.
#
# Why it matters: gradients, histograms and messages along the edges of a graph are added so. With indices in another order,
# or of fewer rows, the same module is right.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.14.1 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import io

import numpy as np
import onnxruntime
import torch
from onnx import checker, parser
from onnxscript import optimizer

text = """
<ir_version: 10, opset_import: ["": 20]>
updated (float[3, 1] rows, float[3, 1] updates) => (float[3, 1] y)
{
    indices = Constant <value = int64[3, 1] {INDICES}> ()
    y = ScatterND <reduction = "REDUCTION"> (rows, indices, updates)
}
"""
rows, updates = np.full((3, 1), 100, np.float32), np.ones((3, 1), np.float32)


def run(model, *arrays):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, arrays)))[0].ravel().tolist()


def before_and_after(reduction, indices):
    model = parser.parse_model(text.replace("REDUCTION", reduction).replace("INDICES", indices))
    checker.check_model(model, full_check=True)
    before = run(model.SerializeToString(), rows, updates)
    return before, run(optimizer.optimize(model).SerializeToString(), rows, updates)


class Added(torch.nn.Module):
    def forward(self, rows, updates):
        return rows.index_put((torch.tensor([0, 1, 2]),), updates, accumulate=True)


def exported(**options):
    module, arrays = Added(), (torch.from_numpy(rows), torch.from_numpy(updates))
    file = io.BytesIO()
    torch.onnx.export(module, arrays, dynamo=True, verbose=False, **options).save(file)
    return module(*arrays).ravel().tolist(), run(file.getvalue(), rows, updates)


for reduction, indices in (("none", "0, 1, 2"), ("add", "0, 2, 1"), ("add", "0, 1, 2")):
    before, after = before_and_after(reduction, indices)
    print(reduction, "in rows", indices, "before", before, "after", after)
    assert before == ([1, 1, 1] if reduction == "none" else [101, 101, 101])
    assert after == ([101, 101, 101] if indices == "0, 2, 1" else [1, 1, 1]), "the reduction counts now"
print("PyTorch and exported", exported(), "not optimized", exported(optimize=False))
assert exported(optimize=False) == ([101, 101, 101], [101, 101, 101])
assert exported() == ([101, 101, 101], [1, 1, 1]), "updates are added in an exported model now"
PROGRAM
