#!/usr/bin/env bash
# One would guess: `scatter_reduce` with "mean" is exported as a composition, or refused, since ScatterElements of ONNX has no
# mean.
#
# What happens: the exporter of PyTorch writes ScatterElements with the reduction "none", which keeps one of the values that go
# to a place, and does not say so.
#
# Seen with torch 2.14.1, onnxscript 0.7.2 and onnxruntime 1.32.0: the mean of 1, 3 and 8 is 4 in PyTorch, and 8 in the exported
# model. The reductions "sum", "prod", "amax" and "amin" are exported as they should be.
#
# Why it matters: a mean over neighbours is the first layer of many graph networks. The exported network loads, runs, and looks
# at one neighbour.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.14.1 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import io

import onnxruntime
import torch

messages, receivers = torch.tensor([1.0, 3.0, 8.0]), torch.zeros(3, dtype=torch.int64)


class Gather(torch.nn.Module):
    """What one node receives of the messages."""

    def __init__(self, reduction):
        super().__init__()
        self.reduction = reduction

    def forward(self, messages, receivers):
        return torch.zeros(1).scatter_reduce(0, receivers, messages, self.reduction, include_self=False)


def exported(module):
    file = io.BytesIO()
    torch.onnx.export(module, (messages, receivers), dynamo=True, verbose=False).save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, (messages.numpy(), receivers.numpy()))))[0].item()


results = {
    reduction: (Gather(reduction)(messages, receivers).item(), exported(Gather(reduction)))
    for reduction in ("mean", "sum", "amax")
}
print(results)
assert results["sum"] == (12, 12) and results["amax"] == (8, 8)
assert results["mean"] == (4, 8), "the mean is exported now"
PROGRAM
