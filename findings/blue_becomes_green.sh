#!/usr/bin/env bash
# One would guess: an exported `tf.image.adjust_saturation` keeps the colours of pure blue, and a factor of 1 changes nothing.
#
# What happens: the exported model goes to hue and saturation and back, and gives the channels of some colours in another
# order. `adjust_hue` is right.
#
# Seen with tensorflow-cpu 2.21.0, tf2onnx 1.17.0 and onnxruntime 1.32.0: with a factor of 1, the pixel [0, 0, 1] becomes [0,
# 1, 0], and [0.2, 0.8, 0.4] becomes [0.4, 0.2, 0.8]. Red, green and [0.4, 0.8, 0.2] stay as they are.
#
# Why it matters: augmentation and preprocessing are part of many exported models. On a photograph, only some colours change.
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


colours = [[1, 0, 0], [0, 1, 0], [0.4, 0.8, 0.2], [0, 0, 1], [0.2, 0.8, 0.4]]
pixels = np.array(colours, np.float32).reshape(1, 1, 5, 3)
saturation = both(lambda image: tf.reshape(tf.image.adjust_saturation(image, 1.0), [5, 3]), pixels)
hue = both(lambda image: tf.reshape(tf.image.adjust_hue(image, 0.0), [5, 3]), pixels)
print(*saturation, sep="\n")
np.testing.assert_allclose(hue, [colours, colours], atol=1e-5)
np.testing.assert_allclose(saturation[0], colours, atol=1e-5)
np.testing.assert_allclose(saturation[1][:3], colours[:3], atol=1e-5)
np.testing.assert_allclose(saturation[1][3:], [[0, 1, 0], [0.4, 0.2, 0.8]], atol=1e-5, err_msg="the colours are kept now")
PROGRAM
