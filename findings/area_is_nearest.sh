#!/usr/bin/env bash
# One would guess: `tf.image.resize` with `method="area"` is exported as an average over areas, or is refused.
#
# What happens: tf2onnx writes a `Resize` with mode "nearest", without a word. Each result is the pixel in the upper left
# corner of its area.
#
# Seen with tensorflow-cpu 2.21.0, tf2onnx 1.17.0 and onnxruntime 1.32.0: 4x4 pixels from 0 to 15 become [[2.5, 4.5], [10.5,
# 12.5]] in TensorFlow, and [[0, 2], [8, 10]] in the exported model.
#
# Why it matters: the method is the usual one for making large pictures small before a network. What is left instead has
# stripes and noise that the network was not trained with, and a lower accuracy is all that shows.
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


pixels = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
small, exported = both(lambda image: tf.reshape(tf.image.resize(image, [2, 2], method="area"), [2, 2]), pixels)
nearest = both(lambda image: tf.reshape(tf.image.resize(image, [2, 2], method="nearest"), [2, 2]), pixels)
linear = both(lambda image: tf.reshape(tf.image.resize(image, [2, 2]), [2, 2]), pixels)
print({"area": (small, exported), "nearest": nearest, "linear": linear})
assert nearest[0] == nearest[1] and linear[0] == linear[1]
assert small == [[2.5, 4.5], [10.5, 12.5]]
assert exported == [[0, 2], [8, 10]], "areas are averaged now"
PROGRAM
