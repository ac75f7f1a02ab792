#!/usr/bin/env bash
# One would guess: `safetensors.torch.save` writes the numbers that a tensor shows, or refuses it as it refuses transposed
# ones.
#
# What happens: `conj()` makes a view of the same memory with a note. safetensors writes the memory and not the note, so that
# the file has the numbers before they were conjugated. PyTorch's own `torch.save` keeps them.
#
# Seen with torch 2.14.1 and safetensors 0.8.0: `z.conj()` of [1+3j, 2+4j] shows [1-3j, 2-4j] and comes back as [1+3j, 2+4j].
# After `resolve_conj()` it is right.
#
# Why it matters: the weights of state-space models and of layers in the frequency domain are complex, and are kept in such
# files.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 safetensors==0.8.0 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import io

import torch
from safetensors.torch import load, save

conjugate = torch.tensor([1 + 3j, 2 + 4j]).conj()
assert conjugate.is_contiguous() and conjugate.is_conj()
loaded = load(save({"z": conjugate}))["z"]
print(conjugate, loaded)
file = io.BytesIO()
torch.save(conjugate, file)
file.seek(0)
assert torch.equal(torch.load(file), conjugate)
assert torch.equal(load(save({"z": conjugate.resolve_conj()}))["z"], conjugate)
assert loaded.tolist() == [1 + 3j, 2 + 4j], "conjugates are saved as they are now"
PROGRAM
