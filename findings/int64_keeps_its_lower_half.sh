#!/usr/bin/env bash
# One would guess: a function of OpenCV that gets an array of int64 computes with it, since OpenCV 5 has a type for 64-bit
# integers, or refuses it.
#
# What happens: the binding for Python makes it int32 first, by its lower 32 bits. This holds for uint64 as well, for
# functions that only move numbers, and for inputs of a neural network.
#
# Seen with opencv-python-headless 5.0.0.93: `flip` of [2**40 + 7, 1] gives [1, 7] in int32, `max` of 2**33 and 5 is 5, and
# `countNonZero` of [2**40, 2**32] is 0. An ONNX model whose int64 input is declared so adds 1 to 2**40 and gives 1.
#
# Why it matters: places, hashes, time stamps and token numbers are int64 in NumPy, and nothing is said.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import cv2
import numpy as np
from onnx import parser

mirrored = cv2.flip(np.array([[2**40 + 7, 1]], np.int64), 1)
largest = cv2.max(np.array([[2**33]], np.int64), np.array([[5]], np.int64))
nonzero = cv2.countNonZero(np.array([[2**40, 2**32]], np.int64))
text = '<ir_version: 10, opset_import: ["": 18]> plus (int64[1] x) => (int64[1] y) <int64[1] one = {1}> { y = Add (x, one) }'
network = cv2.dnn.readNetFromONNX(np.frombuffer(parser.parse_model(text).SerializeToString(), np.uint8))
network.setInput(np.array([2**40], np.int64), "x")
added = network.forward()
print({"flip": mirrored, "max": largest, "countNonZero": nonzero, "network": added})
assert mirrored.dtype == np.int32, "int64 stays int64 now"
assert mirrored.tolist() == [[1, 7]]
assert largest.tolist() == [[5]]
assert nonzero == 0
assert added.tolist() == [1]
PROGRAM
