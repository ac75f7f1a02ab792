#!/usr/bin/env bash
# One would guess: a softmax in float16 adds up to 1, to the few digits that float16 has: it is what a softmax is for.
#
# What happens: MLX sums up in float16 itself, where a sum of ones stops at 2048, and in bfloat16, where it stops at 256.
# Everything is divided by a sum that is too small. The documentation says that the default can lose precision over long
# axes; it is a factor.
#
# Seen with mlx 0.32.4 on the CPU: the softmax of 5000 equal numbers adds up to 2.44 in float16 and to 19.5 in bfloat16.
# With precise=True both add up to 1, and `logsumexp` is right without it.
#
# Why it matters: vocabularies have 50000 words and contexts as many tokens, and both are kept in 16 bits. Probabilities
# above 1 in total shift what a sampler picks, and attention over a long context is scaled up.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "mlx[cpu]==0.32.4" numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import mlx.core as mx

sums = {}
for dtype in (mx.float32, mx.float16, mx.bfloat16):
    scores = mx.full((5000,), 1, dtype=dtype)
    precise = mx.softmax(scores, precise=True).astype(mx.float32).sum().item()
    assert abs(precise - 1) < 0.01, precise
    assert abs(mx.logsumexp(scores).item() - 9.517) < 0.05
    sums[str(dtype)] = mx.softmax(scores).astype(mx.float32).sum().item()
print(sums)
assert abs(sums["mlx.core.float32"] - 1) < 1e-3
assert abs(sums["mlx.core.float16"] - 5000 / 2048) < 0.01, "a softmax in float16 adds up to 1 now"
assert abs(sums["mlx.core.bfloat16"] - 5000 / 256) < 0.1, "a softmax in bfloat16 adds up to 1 now"
PROGRAM
