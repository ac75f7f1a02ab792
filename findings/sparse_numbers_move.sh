#!/usr/bin/env bash
# One would guess: a sparse tensor made from a dense one has its nonzero numbers in their places, in whichever order they lie
# in memory.
#
# What happens: `SparseCOOTensor.from_dense_numpy` walks through a matrix in Fortran order with its number of rows and columns
# exchanged. Numbers get places of others, and some that the matrix does not have. `SparseCSRMatrix`, `SparseCSCMatrix` and
# `SparseCSFTensor` are right.
#
# Seen with pyarrow 26.0.1: of [[1, 2, 3], [4, 5, 6]] in Fortran order, 2 and 6 are said to be in a third row, and 5 is in the
# place of 2.
#
# Why it matters: pruned weights and graphs of neighbours are kept as places and numbers, and many matrices are transposed on
# the way. The tensor has the right shape and the right numbers.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import pyarrow as pa

matrix = np.array([[1, 2, 3], [4, 5, 6]], np.float32)


def places(array):
    """The place of each number, by the number."""
    numbers, coordinates = pa.SparseCOOTensor.from_dense_numpy(array).to_numpy()
    return dict(zip(numbers.ravel().astype(int).tolist(), map(tuple, coordinates.tolist())))


rows, columns = places(matrix), places(np.asfortranarray(matrix))
print({"in rows": rows, "in Fortran order": columns})
assert rows == {1: (0, 0), 2: (0, 1), 3: (0, 2), 4: (1, 0), 5: (1, 1), 6: (1, 2)}
assert columns == {1: (0, 0), 4: (1, 0), 2: (2, 0), 5: (0, 1), 3: (1, 1), 6: (2, 1)}, "the places are right now"
for kind in (pa.SparseCSRMatrix, pa.SparseCSCMatrix, pa.SparseCSFTensor):
    dense = kind.from_dense_numpy(np.asfortranarray(matrix)).to_tensor().to_numpy()
    assert dense.tolist() == matrix.tolist()
PROGRAM
