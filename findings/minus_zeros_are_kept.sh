#!/usr/bin/env bash
# One would guess: an array of `sparse` keeps the numbers that are not 0, and `nonzero` names them. -0.0 is 0.
#
# What happens: zeros are found by their bits. Those with a minus sign are kept as elements, and `nonzero` and `argwhere`
# name their places, which NumPy's do not.
#
# Seen with sparse 0.19.3 and numpy 2.4.6: of [-0.0, 0, 1] two elements are kept, and `nonzero` gives the places 0 and 2.
# NumPy gives 2.
#
# Why it matters: a ReLU times a negative number leaves a -0.0 in each place that it had cleared, and so does rounding of
# small negative numbers. Such an array is kept with all of its zeros, several times as large as the dense one, and graphs
# get edges that do not exist.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    sparse==0.19.3 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import sparse

numbers = np.array([-0.0, 0, 1], np.float32)
kept = sparse.COO.from_numpy(numbers)
activations = np.maximum(np.float32([-1, 2, -3, -4]), 0) * np.float32(-0.5)
print(kept.nnz, sparse.nonzero(kept), sparse.argwhere(kept).ravel(), sparse.COO.from_numpy(activations).nnz, activations)
assert np.nonzero(numbers)[0].tolist() == [2] and np.count_nonzero(activations) == 1
assert sparse.COO.from_numpy(np.abs(numbers)).nnz == 1
assert kept.nnz == 2 and sparse.COO.from_numpy(activations).nnz == 4, "minus zeros are not kept now"
assert sparse.nonzero(kept)[0].tolist() == sparse.argwhere(kept).ravel().tolist() == [0, 2], "minus zero is 0 now"
PROGRAM
