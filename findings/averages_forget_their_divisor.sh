#!/usr/bin/env bash
# One would guess: an average pool that PyTorch exports divides by what the module divides by, or is refused.
#
# What happens: the exporter leaves `divisor_override` out, since ONNX's AveragePool has nothing like it, and does not say so.
# The exported pool divides by the size of its window.
#
# Seen with torch 2.14.1, onnxscript 0.7.2 and onnxruntime 1.32.0: windows of 3x3 ones with a divisor of 2 give 4.5 in PyTorch
# and 1 in the exported model.
#
# Why it matters: divisor_override=1 is the usual way to write a sum over windows. All later layers get the mean.
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

module = torch.nn.AvgPool2d(3, divisor_override=2).eval()
x = torch.ones(1, 1, 3, 3)
file = io.BytesIO()
torch.onnx.export(module, (x,), dynamo=True, verbose=False).save(file)
session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
expected = module(x).item()
exported = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0].item()
print({"PyTorch": expected, "exported": exported})
assert expected == 4.5
assert exported == 1, "the divisor is exported now"
PROGRAM
