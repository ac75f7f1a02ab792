#!/usr/bin/env bash
# One would guess: weights that are quantized to 8 bits are closer to the original than the same weights in 4 bits.
#
# What happens: both formats keep one scale in float16 for 32 weights. That of Q8_0 is the largest weight divided by 127,
# that of Q4_0 the largest divided by 8: the first is 0 where the second is still a number, and is coarse where the second
# is good.
#
# Seen with gguf 0.19.0: a block of 3e-6 comes back as 0 in Q8_0, and as 2.9e-6 in Q4_0 and 3.0e-6 in Q4_1. One of 1e-5
# comes back as 7.6e-6, 1.0e-5 and 1.0e-5.
#
# Why it matters: embeddings of rare tokens, and layers behind a large scale, have weights like these. A file that is
# twice as large loses rows that the smaller one has.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    gguf==0.19.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import gguf
import numpy as np

Type, quants = gguf.GGMLQuantizationType, gguf.quants


def through(kind, number):
    return float(quants.dequantize(quants.quantize(np.full(32, number, np.float32), kind), kind)[0])


for number in (1e-2, 1e-5, 3e-6):
    print(number, {kind.name: through(kind, number) for kind in (Type.Q8_0, Type.Q4_0, Type.Q4_1)})
for kind in (Type.Q8_0, Type.Q4_0, Type.Q4_1):
    np.testing.assert_allclose(through(kind, 1e-2), 1e-2, rtol=1e-3)
for kind in (Type.Q4_0, Type.Q4_1):
    np.testing.assert_allclose([through(kind, 1e-5), through(kind, 3e-6)], [1e-5, 3e-6], rtol=0.06)
assert through(Type.Q8_0, 3e-6) == 0, "8 bits keep small weights now"
assert abs(through(Type.Q8_0, 1e-5) - 7.57e-6) < 1e-7
PROGRAM
