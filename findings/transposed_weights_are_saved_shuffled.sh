#!/usr/bin/env bash
# One would guess: what `safetensors.numpy.save` writes reads back as the same array, or the array is refused.
#
# What happens: since 0.8, the numbers are written in the order in which they lie in memory, with the shape of the array. A
# transposed matrix, or one in Fortran order, comes back shuffled. The documentation asks for contiguous arrays, but nothing
# checks them; the same call for PyTorch's tensors raises an error.
#
# Seen with safetensors 0.8.0: [[0, 1, 2], [3, 4, 5]] in Fortran order comes back as [[0, 3, 1], [4, 2, 5]]; with 0.7.0, it
# comes back as it was.
#
# Why it matters: `weights.T` is how a layer is brought from one framework to another. The file has the right names, shapes
# and sizes, and wrong weights.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
from safetensors.numpy import load, save

matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
transposed = np.ascontiguousarray(matrix.T).T
assert (transposed == matrix).all() and not transposed.flags.c_contiguous
saved = {"in rows": matrix, "in Fortran order": np.asfortranarray(matrix), "transposed": transposed}
loaded = {name: load(save({name: array}))[name].tolist() for name, array in saved.items()}
print(loaded)
assert loaded["in rows"] == matrix.tolist()
for name in ("in Fortran order", "transposed"):
    assert loaded[name] == [[0, 3, 1], [4, 2, 5]], f"an array that is {name} is saved as it is now"
PROGRAM
