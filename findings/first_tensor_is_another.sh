#!/usr/bin/env bash
# One would guess: the first tensor of a `FixedShapeTensorArray` is the same, taken from the array or from all of them in
# NumPy.
#
# What happens: with a permutation, the value of one place has the right shape and its numbers in wrong places:
# `array[0].to_numpy()` and `array[0].to_tensor()` use strides that fit the shape before the permutation.
#
# Seen with pyarrow 26.0.1: [[0, 3], [1, 4], [2, 5]], kept as the transposed of [[0, 1, 2], [3, 4, 5]], is [[0, 2], [1, 3],
# [2, 4]] as `array[0].to_numpy()`, and right as `array.to_numpy_ndarray()[0]`. The number 5 is lost, and 2 appears twice.
#
# Why it matters: a loop over the rows of a dataset sees other tensors than a batch of the same rows.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import pyarrow as pa

matrices = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
for tensors in (matrices, matrices.transpose(0, 2, 1)):
    array = pa.FixedShapeTensorArray.from_numpy_ndarray(tensors)
    np.testing.assert_array_equal(array.to_numpy_ndarray(), tensors)
    one, same = array[0].to_numpy(), array[0].to_tensor().to_numpy()
    print(tensors[0].tolist(), one.tolist())
    np.testing.assert_array_equal(one, same)
    if tensors is matrices:
        np.testing.assert_array_equal(one, tensors[0])
assert tensors[0].tolist() == [[0, 3], [1, 4], [2, 5]]
assert one.tolist() == [[0, 2], [1, 3], [2, 4]], "one tensor is right as well now"
PROGRAM
