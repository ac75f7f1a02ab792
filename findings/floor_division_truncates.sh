#!/usr/bin/env bash
# One would guess: an integer division with `//` that is exported computes what TensorFlow computes, which rounds down as
# Python does.
#
# What happens: tf2onnx writes ONNX's `Div`, which rounds towards 0, and takes the remainder from it. For floats it puts a
# `Floor` behind the division, and is right.
#
# Seen with tensorflow-cpu 2.21.0, tf2onnx 1.17.0 and onnxruntime 1.32.0: [-1, -7, 7] // [2, 2, -2] is [-1, -4, -4] in
# TensorFlow and [0, -3, -3] in the exported model; [-1, -7, 7] % [3, 3, -3] is [2, 2, -2], and [-1, -1, 1].
#
# Why it matters: relative positions, windows and places in a ring are computed in this way, and are negative for a part of
# the input only. The places that come out are valid and wrong.
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


quotients = both(lambda a, b: a // b, np.int32([-1, -7, 7]), np.int32([2, 2, -2]))
remainders = both(lambda a, b: a % b, np.int32([-1, -7, 7]), np.int32([3, 3, -3]))
of_floats = both(lambda a, b: a % b, np.float32([-1, -7, 7]), np.float32([3, 3, -3]))
print(quotients, remainders, of_floats)
assert of_floats[0] == of_floats[1] == remainders[0] == [2, 2, -2]
assert quotients == ([-1, -4, -4], [0, -3, -3]), "the quotient is rounded down now"
assert remainders[1] == [-1, -1, 1], "the remainder has the sign of the divisor now"
PROGRAM
