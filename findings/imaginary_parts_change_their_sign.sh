#!/usr/bin/env bash
# One would guess: NumPy sees the same numbers in a tensor of PyTorch through DLPack as through `.numpy()`, or gets an error.
#
# What happens: the imaginary part of a conjugate is a view of the old numbers with a note that they are to be negated.
# `.numpy()` refuses such a tensor, and so does DLPack one with the note that it is conjugate. For the note that it is
# negative, DLPack passes the old numbers on.
#
# Seen with torch 2.14.1 and numpy 2.4.6: `z.conj().imag` of [1+3j, 2+4j] is [-3, -4] in PyTorch and [3, 4] in
# `np.from_dlpack`. `resolve_neg()` before it helps.
#
# Why it matters: runtimes take tensors through DLPack since that copies nothing. Spectra are conjugated in many filters for
# sound, and their parts become two channels of real numbers.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import torch

conjugate = torch.tensor([1 + 3j, 2 + 4j]).conj()
imaginary = conjugate.imag
assert imaginary.is_neg()
taken = np.from_dlpack(imaginary)
print(imaginary.tolist(), taken.tolist())
for refuse in (imaginary.numpy, lambda: np.from_dlpack(conjugate)):
    try:
        refuse()
    except (RuntimeError, BufferError) as error:
        print(error)
    else:
        raise AssertionError("a view with a note is taken now")
assert imaginary.tolist() == np.from_dlpack(imaginary.resolve_neg()).tolist() == [-3, -4]
assert taken.tolist() == [3, 4], "DLPack keeps the sign or refuses the tensor now"
PROGRAM
