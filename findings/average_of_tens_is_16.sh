#!/usr/bin/env bash
# One would guess: the average of a plane of 10 is 10. In float16 it may be off in the fourth digit. `reduce_mean` is
# right.
#
# What happens: it seems that the average pool adds up in float16 on the CPU, and counts in float16, too. There, a count
# stops at 2048, and a sum of tens at 32768.
#
# Seen with tensorflow-cpu 2.21.0: the average of 32x32 values of 10 is 8.80, and that of 64x64 is 16. In float32 and
# bfloat16 both are 10. `reduce_mean` gives 10 for both.
#
# Why it matters: a global average pool over the whole plane is the end of most networks for images, and float16 is how
# a converted model keeps its numbers. All features are scaled, by a factor that depends on the size and the values.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow-cpu==2.21.0 numpy==2.4.6

TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import tensorflow as tf


def average(size, dtype):
    pooled = tf.nn.avg_pool2d(tf.ones([1, size, size, 1], dtype) * 10, size, 1, "VALID")
    return float(pooled[0, 0, 0, 0])


dtypes = tf.float32, tf.bfloat16, tf.float16
averages = {(size, dtype.name): average(size, dtype) for size in (32, 64) for dtype in dtypes}
means = [float(tf.reduce_mean(tf.ones([size, size], tf.float16) * 10)) for size in (32, 64)]
print(averages, means)
assert means == [10, 10]
assert all(abs(value - 10) < 0.01 for (_, dtype), value in averages.items() if dtype != "float16")
assert abs(averages[32, "float16"] - 8.80) < 0.01, "the average of 32x32 tens is right now"
assert averages[64, "float16"] == 16, "the average of 64x64 tens is right now"
PROGRAM
