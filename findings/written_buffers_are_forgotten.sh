#!/usr/bin/env bash
# One would guess: a module that writes to a buffer, as one with a cache or a counter does, is refused by an exporter to
# a format without state, or has the buffer as another input and output.
#
# What happens: `torch.onnx.export` leaves the writing out. The model computes the first call, at every call. The program
# of `torch.export`, from which it is made, keeps the state.
#
# Seen with torch 2.14.1, onnxscript 0.7.2 and onnxruntime 1.32.0: a running mean of 2, 4 and 6 is 1, 2.5 and 4.25 in
# PyTorch, and 1, 2 and 3 in the exported model, which has one input and one output.
#
# Why it matters: caches of keys and values, filters and normalizations of streams are written in this way. A comparison
# of the first output passes.
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


class Smoothed(torch.nn.Module):
    """The average of the input and of what it gave before."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))

    def forward(self, x):
        self.mean.copy_((self.mean + x) / 2)
        return self.mean.clone()


inputs, file = torch.tensor([[2.0], [4.0], [6.0]]), io.BytesIO()
program = torch.export.export(Smoothed(), (inputs[0],))
torch.onnx.export(Smoothed(), (inputs[0],), dynamo=True, verbose=False).save(file)
session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
assert len(session.get_inputs()) == len(session.get_outputs()) == 1, "the buffer is an input or output now"
name = session.get_inputs()[0].name
module, of_program = Smoothed(), program.module()
seen = [(module(x).item(), of_program(x).item(), session.run(None, {name: x.numpy()})[0].item()) for x in inputs]
print(seen)
assert [row[0] for row in seen] == [row[1] for row in seen] == [1, 2.5, 4.25]
assert [row[2] for row in seen] == [1, 2, 3], "the state is kept now"
PROGRAM
