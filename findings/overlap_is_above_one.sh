#!/usr/bin/env bash
# One would guess: `manders_overlap_coeff` of scikit-image is between 0 and 1, for images in uint8 as for the same
# numbers in float64.
#
# What happens: products and squares of the pixels are computed in the type of the images, wrap around, and are added up
# in more bits. `pearson_corr_coeff` and `manders_coloc_coeff`, the other measures of the kind, are right.
#
# Seen with scikit-image 0.26.0 and numpy 2.4.6: the overlap of [[200, 100], [50, 30]] and [[100, 200], [60, 20]] is
# 1.07 in uint8, 0.81 in float64, and 0.81 in int32. With random pixels it was 1.20 in place of 0.84.
#
# Why it matters: it tells how far two stains in a microscope, or a mask and its prediction, lie in the same place, and
# images are read as bytes. The number is plausible, unless it is above 1.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scikit-image==0.26.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import skimage
from skimage import measure

first, second = np.array([[200, 100], [50, 30]]), np.array([[100, 200], [60, 20]])
seen = {}
for data_type in (np.float64, np.int32, np.uint8):
    pair = first.astype(data_type), second.astype(data_type)
    seen[data_type] = measure.manders_overlap_coeff(*pair)
    pearson = measure.pearson_corr_coeff(*pair)[0]
    located = measure.manders_coloc_coeff(pair[0], second > 50)
    print("scikit-image", skimage.__version__, data_type.__name__, seen[data_type], pearson, located)
    np.testing.assert_allclose(pearson, np.corrcoef(first.ravel(), second.ravel())[0, 1])
    np.testing.assert_allclose(located, first[second > 50].sum() / first.sum())
right = (first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum())
np.testing.assert_allclose([seen[np.float64], seen[np.int32]], right)
assert right < 0.82 and abs(seen[np.uint8] - 1.0738) < 1e-3, "products have more bits now"
PROGRAM
