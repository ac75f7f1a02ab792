#!/usr/bin/env bash
# One would guess: `torch.cdist` gives distances to some digits, and those of the first points do not depend on how many others
# there are.
#
# What happens: with more than 25 points on one side, it takes the root of |a|^2 - 2ab + |b|^2, by a matrix product. What is
# left of two large numbers has the error of these. The parameter `compute_mode` switches this off.
#
# Seen with torch 2.14.1 on x86-64: of points around (10000, 10000), two that are 0.0276 apart have that distance among 20
# points, and 4 among 30.
#
# Why it matters: distances between embeddings or coordinates decide about neighbours. The error appears when a batch gets
# larger, so that a comparison of two runtimes on a few points does not show it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import math

import torch


def distance(points, **options):
    """The distance of the third of so many points from the first."""
    row = torch.full((points, 2), 10000.0) + torch.arange(points)[:, None] / 100
    return torch.cdist(row, row[:1].expand(points, 2), **options)[2, 0].item(), math.dist(row[2], row[0])


seen = {points: distance(points) for points in (20, 30)}
exact = distance(30, compute_mode="donot_use_mm_for_euclid_dist")
print({**seen, "without products": exact})
assert math.isclose(*exact, rel_tol=1e-3) and math.isclose(*seen[20], rel_tol=1e-3)
assert not 0.5 < seen[30][0] / seen[30][1] < 2, "the distance is right among 30 points, too, now"
PROGRAM
