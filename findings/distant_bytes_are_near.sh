#!/usr/bin/env bash
# One would guess: `distance.euclidean(u, v)` of SciPy is the number that `distance.cdist([u], [v], "euclidean")` has.
#
# What happens: the functions for two vectors compute in the type of these. In uint8, 0 - 255 is 1 and 200 * 200 is 64.
# `cdist` converts to float64 first. `sqeuclidean` and `canberra` do so, too.
#
# Seen with scipy 1.17.1 and numpy 2.4.6: from [200, 0] to [100, 255], the Euclidean distance is 100.005 and 273.9 by
# `cdist`; city block 101 and 355; Chebyshev 100 and 255; cosine 0, as for one direction, and 0.635.
#
# Why it matters: images, histograms and quantized embeddings are bytes. Two vectors that are far apart count as near,
# and a check of the fast function against the simple one on small numbers finds nothing.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scipy==1.17.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
from scipy.spatial import distance

u, v = np.array([200, 0], np.uint8), np.array([100, 255], np.uint8)
seen = {}
for name in ("euclidean", "cityblock", "chebyshev", "cosine", "sqeuclidean", "canberra"):
    function = getattr(distance, name)
    exact = function(u.astype(float), v.astype(float))
    assert np.isclose(distance.cdist([u], [v], name)[0, 0], exact)
    seen[name] = round(float(function(u, v)), 3), round(float(exact), 3)
print(seen)
assert seen["sqeuclidean"][0] == seen["sqeuclidean"][1] and seen["canberra"][0] == seen["canberra"][1]
assert seen["euclidean"] == (100.005, 273.907), "the Euclidean distance of bytes is right now"
assert seen["cityblock"] == (101, 355), "the city block distance of bytes is right now"
assert seen["chebyshev"] == (100, 255) and seen["cosine"] == (0, 0.635)
PROGRAM
