#!/usr/bin/env bash
# One would guess: `IndexFlatL2` of Faiss, the exact index, finds each vector to be its own nearest neighbour, and gives
# the same answer for a query alone and among others.
#
# What happens: from 128,000 numbers in the queries on, distances come from a product of matrices, as the sum of the
# squared lengths less twice the product, in float32. Where vectors are far from 0 and near each other, nothing is left,
# and distances below 0 are given as 0. For fewer queries it subtracts. `pairwise_distances` always multiplies.
#
# Seen with faiss-cpu 1.15.1 and numpy 2.4.6: of 2000 vectors of 64 numbers around 1000, which differ by 0.01, each
# finds itself if 1999 are looked up at once, and not one in 100 if all 2000 are. `pairwise_distances` gives numbers
# from -16 to 16 for squared distances of 0.01.
#
# Why it matters: positions, times and features that were not centred look like this. An index that is right in tests
# with a few queries is wrong in a batch job.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check faiss-cpu==1.15.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import faiss
import numpy as np

vectors = (1000 + np.random.default_rng(0).normal(size=(2000, 64)) * 0.01).astype(np.float32)
index = faiss.IndexFlatL2(64)
index.add(vectors)
found = {}
for queries in (1, 1999, 2000):
    _, nearest = index.search(vectors[:queries], 1)
    found[queries] = float((nearest[:, 0] == np.arange(queries)).mean())
    print("faiss", faiss.__version__, queries, "queries at once, found", found[queries])
assert found[1] == found[1999] == 1
assert found[2000] < 0.01, "many queries give the same answer now"

centred = faiss.IndexFlatL2(64)
centred.add(vectors - 1000)
_, nearest = centred.search(vectors - 1000, 1)
assert (nearest[:, 0] == np.arange(2000)).all()

first = vectors[:4].astype(np.float64)
right = ((first[:, None] - first) ** 2).sum(-1)
seen = faiss.pairwise_distances(vectors[:4], vectors[:4])
print("pairwise", seen.tolist(), "in float64", right.round(4).tolist())
assert right.max() < 0.1
assert abs(seen).max() > 2, "distances are differences now"
PROGRAM
