#!/usr/bin/env bash
# One would guess: `tf.einsum("ij,jk->ik", a, b)` is `tf.matmul(a, b)`, and `tf.einsum("i,i", a, b)` is
# `tf.tensordot(a, b, 1)`.
#
# What happens: in float16, `einsum` adds up products of one row and one column in float16, where a sum of ones stops at
# 2048. `matmul` and `tensordot` add up in more bits, and `einsum` does so for batches of larger matrices.
#
# Seen with tensorflow-cpu 2.21.0: the product of 5000 ones and 5000 ones is 2048 by `einsum`, as vectors and as
# matrices, and 5000 by `tensordot` and `matmul`.
#
# Why it matters: scores of one query or one request at a time are such products, and attention is written with
# `einsum`. A batch of requests gets other scores than a single one.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow-cpu==2.21.0 numpy==2.4.6

TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import tensorflow as tf

row, column, ones = (tf.ones(shape, tf.float16) for shape in ((1, 5000), (5000, 1), (5000,)))
left, right = (tf.ones(shape, tf.float16) for shape in ((2, 3, 5000), (2, 5000, 3)))
products = {
    "tensordot": tf.tensordot(ones, ones, 1),
    "matmul": tf.matmul(row, column)[0, 0],
    "einsum of a batch": tf.einsum("bij,bjk->bik", left, right)[0, 0, 0],
    "einsum of vectors": tf.einsum("i,i", ones, ones),
    "einsum of matrices": tf.einsum("ij,jk->ik", row, column)[0, 0],
}
products = {name: float(product) for name, product in products.items()}
print(products)
assert products["tensordot"] == products["matmul"] == products["einsum of a batch"] == 5000
assert products["einsum of vectors"] == products["einsum of matrices"] == 2048, "einsum adds up in more bits now"
PROGRAM
