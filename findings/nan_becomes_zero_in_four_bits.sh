#!/usr/bin/env bash
# One would guess: a block of weights with a NaN or an infinity comes back from each quantization of GGUF with something
# that shows it, as NaN, or is refused.
#
# What happens: in the types with a scale in float16, the whole block becomes NaN. In MXFP4, whose scale is a power of 2
# in 8 bits, it becomes 0: the numbers beside it are lost, and nothing shows it. OCP's definition of the type has a scale
# for NaN, which is not used.
#
# Seen with gguf 0.19.0: NaN and 31 ones come back as 32 zeros in MXFP4, and so do infinity and 31 ones. Q8_0 and Q4_0
# give NaN for the first.
#
# Why it matters: a diverged or damaged weight is found by a search for NaN in the file. Here, the search finds nothing,
# and 32 weights are missing.
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


def through(kind, first):
    block = np.ones(32, np.float32)
    block[0] = first
    with np.errstate(all="ignore"):
        return quants.dequantize(quants.quantize(block, kind), kind)


print(through(Type.MXFP4, 2)[:4], through(Type.MXFP4, np.nan)[:4], through(Type.MXFP4, np.inf)[:4], through(Type.Q8_0, np.nan)[:4])
assert through(Type.MXFP4, 2).tolist() == [2] + [1] * 31
for kind in (Type.Q8_0, Type.Q4_0, Type.Q5_1):
    assert np.isnan(through(kind, np.nan)).all()
assert (through(Type.MXFP4, np.nan) == 0).all(), "NaN shows in MXFP4 now"
assert (through(Type.MXFP4, np.inf) == 0).all(), "infinity shows in MXFP4 now"
PROGRAM
