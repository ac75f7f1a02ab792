#!/usr/bin/env bash
# One would guess: a query whose mask hides all keys gives the same in PyTorch and in the exported model, whatever that is.
#
# What happens: PyTorch gives 0. The exporter makes a mask of booleans a sum with the lowest finite number, under which all
# scores of that query become equal, so that the query sees the average of all values, padding included. It also writes a
# replacement of NaN by 0, which has no effect here. With a mask of floats, it writes no replacement, and the result is NaN.
#
# Seen with torch 2.14.1, onnxscript 0.7.2 and onnxruntime 1.32.0: values of 1 and 3 under a mask of [False, False] give 0 in
# PyTorch and 2 in the exported model; under one of [-infinity, -infinity], 0 and NaN.
#
# Why it matters: padded batches have such queries in their padding. What PyTorch keeps at 0 leaks into every sum or mean over
# positions in the exported model, and one NaN spoils the whole of it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.14.1 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import io
import math

import onnxruntime
import torch

query, keys, values = torch.ones(1, 1, 1, 1), torch.ones(1, 1, 2, 1), torch.tensor([1.0, 3.0]).reshape(1, 1, 2, 1)


class Attention(torch.nn.Module):
    """Scaled dot-product attention with a mask."""

    def forward(self, query, keys, values, mask):
        return torch.nn.functional.scaled_dot_product_attention(query, keys, values, mask)


def exported(*inputs):
    file = io.BytesIO()
    torch.onnx.export(Attention().eval(), inputs, dynamo=True, verbose=False).save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, (array.numpy() for array in inputs))))[0].item()


hidden = {"booleans": torch.tensor([[False, False]]), "floats": torch.tensor([[-math.inf, -math.inf]])}
seen = {}
for name, mask in hidden.items():
    inputs = (query, keys, values, mask)
    seen[name] = (Attention()(*inputs).item(), exported(*inputs))
print(seen)
open_mask = (query, keys, values, torch.tensor([[False, True]]))
assert Attention()(*open_mask).item() == exported(*open_mask) == 3
assert seen["booleans"] == (0, 2), "a hidden query gives the same now"
assert seen["floats"][0] == 0 and math.isnan(seen["floats"][1]), "a mask of floats gives the same now"
PROGRAM
