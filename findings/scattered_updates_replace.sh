#!/usr/bin/env bash
# One would guess: updates of one place add up in an exported `tf.scatter_nd`, as its documentation says.
#
# What happens: tf2onnx writes `ScatterND` without a reduction, though the opset has one, and the last update stays.
# `tensor_scatter_nd_add` is exported with it.
#
# Seen with tensorflow-cpu 2.21.0, tf2onnx 1.17.0 and onnxruntime 1.32.0: 1 and 2 at place 1 and 3 at place 2 are [0, 3, 3] in
# TensorFlow and [0, 2, 3] in the exported model.
#
# Why it matters: counts, histograms, graph networks and the pillars of point clouds are built with it. Where no two updates
# meet, as in a small test, all is right.
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


places, updates = np.int32([[1], [1], [2]]), np.float32([1, 2, 3])
scattered = both(lambda i, x: tf.scatter_nd(i, x, [3]), places, updates)
added = both(lambda i, x: tf.tensor_scatter_nd_add(tf.zeros(3), i, x), places, updates)
print(scattered, added)
assert scattered[0] == added[0] == added[1] == [0, 3, 3]
assert scattered[1] == [0, 2, 3], "updates add up now"
PROGRAM
