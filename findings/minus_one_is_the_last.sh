#!/usr/bin/env bash
# One would guess: a place of -1, which TensorFlow defines as "none" for `one_hot` and segments, means none in the exported
# model.
#
# What happens: tf2onnx passes it on to `OneHot` and `ScatterElements`, which count negative places from the end. A place
# beyond the end of `one_hot` stays none.
#
# Seen with tensorflow-cpu 2.21.0, tf2onnx 1.17.0 and onnxruntime 1.32.0: `one_hot(-1, 3)` is [0, 0, 0] in TensorFlow and [0,
# 0, 1] in the exported model. `unsorted_segment_sum` of [1, 2, 4] for the segments [0, -1, 0] is [5, 0, 0], and [5, 0, 2].
#
# Why it matters: padded labels and tokens get -1 so that they do not count. They count in the last class.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    tensorflow-cpu==2.21.0 tf2onnx==1.17.0 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx


def both(function, *arrays):
    """The result of the function by TensorFlow and as an exported model."""
    arrays = [np.asarray(array) for array in arrays]
    names = [f"x{i}" for i in range(len(arrays))]
    signature = [tf.TensorSpec(array.shape, array.dtype, name) for name, array in zip(names, arrays)]
    model, _ = tf2onnx.convert.from_function(tf.function(function), input_signature=signature, opset=18)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    exported = session.run(None, dict(zip(names, arrays)))[0]
    return function(*map(tf.constant, arrays)).numpy().tolist(), exported.tolist()


classes = both(lambda places: tf.one_hot(places, 3), np.int32([1, -1, 3]))
sums = both(lambda x, segments: tf.math.unsorted_segment_sum(x, segments, 3), np.float32([1, 2, 4]), np.int32([0, -1, 0]))
print(classes, sums)
assert classes[0] == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
assert classes[1] == [[0, 1, 0], [0, 0, 1], [0, 0, 0]], "-1 is no class now"
assert sums[0] == [5, 0, 0]
assert sums[1] == [5, 0, 2], "-1 is no segment now"
PROGRAM
