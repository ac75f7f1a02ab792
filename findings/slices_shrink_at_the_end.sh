#!/usr/bin/env bash
# One would guess: `lax.dynamic_slice` has one shape for every start, in JAX as well as in the model that jax2onnx makes of it.
#
# What happens: JAX moves a start that is too large down, so that the slice fits. The exported model does not, and gives a
# shorter result than it declares.
#
# Seen with jax 0.10.2, jax2onnx 0.17.1 and onnxruntime 1.32.0: two elements of [1, 2, 3, 4] from start 3 are [3, 4] in JAX,
# and [4] in the exported model, which declares two elements. From start -9 they are [1, 2], and [1]. onnxruntime warns of the
# shape, and goes on.
#
# Why it matters: windows that move over a sequence, and caches that are read at a position, rely on the clamped start at their
# end. One element instead of two is broadcast by what comes after it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jax2onnx==0.17.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import jax
import numpy as np
import onnxruntime
from jax import lax
from jax2onnx import to_onnx


def window(x, start):
    return lax.dynamic_slice(x, (start[0],), (2,))


x = np.float32([1, 2, 3, 4])
model = to_onnx(window, [jax.ShapeDtypeStruct((4,), np.float32), jax.ShapeDtypeStruct((1,), np.int32)])
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
declared = session.get_outputs()[0].shape
seen = {}
for start in (1, 3, -9):
    feeds = dict(zip([value.name for value in session.get_inputs()], (x, np.int32([start]))))
    seen[start] = (np.asarray(window(*feeds.values())).tolist(), session.run(None, feeds)[0].tolist())
print(f"declared: {declared}, from each start: {seen}")
assert declared == [2] and seen[1] == ([2, 3], [2, 3])
assert seen[3][0] == [3, 4] and seen[-9][0] == [1, 2]
assert seen[3][1] != [3, 4] and seen[-9][1] != [1, 2], "the start is clamped now"
PROGRAM
