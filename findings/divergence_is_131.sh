#!/usr/bin/env bash
# One would guess: the divergence of two distributions has fewer digits in float32 than in float64.
#
# What happens: SimSIMD's general code for the logarithm, on which Kullback-Leibler and Jensen-Shannon are built, is
# wrong. float64 has no other code on x86-64, and float32 has other code for newer processors only.
#
# Seen with simsimd 6.5.16 on x86-64: from [0.9, 0.1] to [0.1, 0.9], the Kullback-Leibler divergence is 1.7578, and
# 131.8 in float64. The Jensen-Shannon distance is 0.6067, and 0.6760 in float64. With the code for newer processors
# switched off, float32 gives 131.8, too.
#
# Why it matters: a function that measures drift or compares predictions gives another number for another data type, and
# for another processor. A distance of 0.676 looks like one.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check simsimd==6.5.16 scipy==1.17.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import simsimd
from scipy.spatial import distance
from scipy.special import rel_entr

p, q = np.array([0.9, 0.1]), np.array([0.1, 0.9])
exact = {"Kullback-Leibler": rel_entr(p, q).sum(), "Jensen-Shannon": distance.jensenshannon(p, q)}
seen = [(simsimd.kullbackleibler(p, q), simsimd.jensenshannon(p, q))]
for name in ("sapphire", "genoa", "ice", "skylake", "haswell"):
    simsimd.disable_capability(name)
for dtype in (np.float64, np.float32):
    pair = p.astype(dtype), q.astype(dtype)
    seen.append((simsimd.kullbackleibler(*pair), simsimd.jensenshannon(*pair)))
print(exact, seen)
assert abs(exact["Kullback-Leibler"] - 1.7578) < 1e-4 and abs(exact["Jensen-Shannon"] - 0.6067) < 1e-4
assert abs(simsimd.sqeuclidean(p, q) - 1.28) < 1e-6
for divergence, shannon in seen:
    assert abs(divergence - 131.8) < 0.1, "the Kullback-Leibler divergence is right now"
    assert abs(shannon - 0.676) < 0.001, "the Jensen-Shannon distance is right now"
PROGRAM
