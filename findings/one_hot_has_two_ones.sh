#!/usr/bin/env bash
# One would guess: a `OneHotEncoder` that hummingbird converts sets one 1 for each feature, or is refused for categories
# that it cannot tell apart.
#
# What happens: the converted one compares whole numbers. Categories that are fractions lose them first, and those that
# become the same are all set.
#
# Seen with hummingbird-ml 0.4.12, scikit-learn 1.9.1 and torch 2.14.1: with the categories 0.25, 0.5 and 2, the number
# 0.5 is [0, 1, 0] in scikit-learn and [1, 1, 0] in the converted model. Whole numbers are right.
#
# Why it matters: sizes, doses and versions have halves, and probabilities in steps are nothing else. A model behind the
# encoder adds up the weights of several categories, and no shape is wrong.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    hummingbird-ml==0.4.12 torch==2.14.1 scikit-learn==1.9.1 setuptools==80.9.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import hummingbird.ml
import numpy as np
from sklearn.preprocessing import OneHotEncoder


def both(categories, asked):
    categories, asked = (np.array(numbers, np.float32)[:, None] for numbers in (categories, asked))
    model = OneHotEncoder(sparse_output=False).fit(categories)
    converted = hummingbird.ml.convert(model, "torch", categories).transform(asked)
    return model.transform(asked).tolist(), np.asarray(converted).tolist()


whole, fractions = both([1, 2, 4], [2, 4]), both([0.25, 0.5, 2], [0.5, 2])
print(whole, fractions)
assert whole[0] == whole[1] == [[0, 1, 0], [0, 0, 1]]
assert fractions[0] == [[0, 1, 0], [0, 0, 1]]
assert fractions[1][0] == [1, 1, 0], "fractions are told apart now"
PROGRAM
