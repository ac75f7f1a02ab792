#!/usr/bin/env bash
# One would guess: a record batch that becomes a tensor keeps its numbers, or is refused where they do not fit one type.
#
# What happens: `RecordBatch.to_tensor` puts uint64 beside a signed column into int64, without a check. NumPy goes to float64
# for the two, and Arrow's own casts refuse the number.
#
# Seen with pyarrow 26.0.1: 2**63 + 5 in uint64 beside -1 in int8 is -9223372036854775803 in the tensor.
#
# Why it matters: hashed features and identifiers use all 64 bits, and a batch of columns is handed to a model in this way.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import pyarrow as pa

large = pa.array([2**63 + 5, 2], pa.uint64())
batch = pa.record_batch([large, pa.array([-1, 2], pa.int8())], names=["hashes", "steps"])
tensor = batch.to_tensor().to_numpy()
print(tensor.dtype, tensor.tolist())
assert pa.record_batch([large], names=["hashes"]).to_tensor().to_numpy()[0, 0] == 2**63 + 5
try:
    large.cast(pa.int64())
except pa.ArrowInvalid as error:
    print(error)
else:
    raise AssertionError("the cast does not check its numbers now")
assert tensor.dtype == np.int64
assert tensor[0].tolist() == [5 - 2**63, -1], "the number is kept or refused now"
PROGRAM
