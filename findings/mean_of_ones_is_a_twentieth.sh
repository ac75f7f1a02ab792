#!/usr/bin/env bash
# One would guess: `index_reduce`, `scatter_reduce` and `segment_reduce` give the same mean of the same numbers, up to
# rounding, and so do the functions that add numbers up by an index.
#
# What happens: of those, `scatter_add` and `scatter_reduce` add up in float32, and `index_put`, `put` and
# `segment_reduce` in the type of the tensor. In bfloat16 a sum of ones stops at 256. `index_add` does the one for a
# matrix and the other for a vector, and `index_reduce` the other way round.
#
# Seen with torch 2.14.1 on the CPU: the mean of 5000 ones in bfloat16 is 1 by `scatter_reduce`, and 0.0513 by
# `segment_reduce` and, with two columns, by `index_reduce`. Their sum is 4992 by `scatter_add`, and 256 by `index_put`
# and `put`; by `index_add` it is 256, and 4992 with two columns.
#
# Why it matters: features of nodes, points and words are averaged by such functions, in the 16 bits in which models
# run. A node with many neighbours gets a mean close to 0.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import torch

ones, zeros = torch.ones(5000, dtype=torch.bfloat16), torch.zeros(5000, dtype=torch.int64)
start, columns = torch.zeros(1, dtype=torch.bfloat16), torch.zeros(1, 2, dtype=torch.bfloat16)
rows = torch.ones(5000, 2, dtype=torch.bfloat16)
means = {
    "mean": ones.mean(),
    "scatter_reduce": start.scatter_reduce(0, zeros, ones, "mean", include_self=False),
    "index_reduce": start.index_reduce(0, zeros, ones, "mean", include_self=False),
    "index_reduce of columns": columns.index_reduce(0, zeros, rows, "mean", include_self=False)[0, 0],
    "segment_reduce": torch.segment_reduce(ones, "mean", lengths=torch.tensor([5000])),
}
sums = {
    "sum": ones.sum(),
    "scatter_add": start.scatter_add(0, zeros, ones),
    "index_add of columns": columns.index_add(0, zeros, rows)[0, 0],
    "index_add": start.index_add(0, zeros, ones),
    "index_put": start.index_put((zeros,), ones, accumulate=True),
    "put": start.put(zeros, ones, accumulate=True),
}
means = {name: round(mean.item(), 4) for name, mean in means.items()}
sums = {name: total.item() for name, total in sums.items()}
print(means, sums)
assert means["mean"] == means["scatter_reduce"] == means["index_reduce"] == 1
assert sums["sum"] == sums["scatter_add"] == sums["index_add of columns"] == 4992
assert means["index_reduce of columns"] == means["segment_reduce"] == 0.0513, "these means are right now"
assert sums["index_add"] == sums["index_put"] == sums["put"] == 256, "these sums are right now"
PROGRAM
