#!/usr/bin/env bash
# One would guess: the largest two of some numbers include the largest one, also where NaN is among them; and maximum,
# argmax and sort agree on where NaN belongs.
#
# What happens: `top_k` leaves the numbers before and behind a NaN uncompared with each other, and `sort`, which is
# built on it, does the same. `argmax` overlooks NaN, and `reduce_max` gives NaN.
#
# Seen with tensorflow-cpu 2.21.0: the top 1 of [3, NaN, 1, 2, NaN, 7] is 7, and the top 2 are 3 and NaN. Sorted, it is
# [1, 3, NaN, 2, NaN, 7]. `argmax` is 5, the place of 7.
#
# Why it matters: a beam search or a list of the best hits loses the best one for a single NaN elsewhere, and results
# look valid where k is small. A median or a threshold taken from `sort` is wrong.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow-cpu==2.21.0 numpy==2.4.6

TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import tensorflow as tf

nan = np.nan
numbers = tf.constant([3, nan, 1, 2, nan, 7])
top = {k: tf.math.top_k(numbers, k).values.numpy() for k in (1, 2)}
ordered, place, largest = tf.sort(numbers).numpy(), int(tf.argmax(numbers)), float(tf.reduce_max(numbers))
print(top, ordered, place, largest)
np.testing.assert_array_equal(np.sort(numbers.numpy()), [1, 2, 3, 7, nan, nan])
assert place == 5 and np.isnan(largest)
assert top[1] == [7], "the top 1 is another number now"
np.testing.assert_array_equal(top[2], [3, nan], err_msg="the top 2 are other numbers now")
np.testing.assert_array_equal(ordered, [1, 3, nan, 2, nan, 7], err_msg="NaN has one place in the order now")
PROGRAM
