#!/usr/bin/env bash
# One would guess: `quantize_static` quantizes a `Pad` with -infinity in front of a `MaxPool` so that the border is the
# smallest number, or leaves it in float.
#
# What happens: the infinite number takes part in the range of the quantization, and the scale is infinite. The tool says
# nothing. `MaxPool` with `pads`, which means the same, is quantized well.
#
# Seen with onnxruntime 1.32.0 in QDQ format: of pixels from 1 to 3 the maxima are NaN with 8 bits, and -infinity with 16.
#
# Why it matters: where the pools of a framework pad both sides alike, a model with more padding on one side is written
# with such a `Pad`. All of the network behind it is lost.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 sympy

FOLDER="$folder" "$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import os

import numpy as np
import onnx
import onnxruntime
from onnx import parser
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static


class Once(CalibrationDataReader):
    """One image to calibrate with."""

    def __init__(self, image):
        self.images = iter([{"x": image}])

    def get_next(self):
        return next(self.images, None)


HEAD = """<ir_version: 10, opset_import: ["": 20]>
g (float[1, 1, 3, 3] x) => (float[1, 1, 2, 2] y)
<int64[8] border = {0, 0, 1, 1, 0, 0, 0, 0}, float outside = {0}>
"""
BODIES = {
    "pads": "{ y = MaxPool<kernel_shape = [2, 2], strides = [2, 2], pads = [1, 1, 0, 0]>(x) }",
    "Pad": "{ wide = Pad(x, border, outside) y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(wide) }",
}
folder, image = os.environ["FOLDER"], np.float32([[[[1, 2, 3], [2, 3, 1], [3, 1, 2]]]])


def computed(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": image})[0].ravel()


seen = {}
for name, body in BODIES.items():
    path, quantized = f"{folder}/{name}.onnx", f"{folder}/{name}_quantized.onnx"
    model = parser.parse_model(HEAD + body)
    model.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(np.float32(-np.inf), "outside"))
    onnx.save(model, path)
    expected = computed(path)
    assert expected.tolist() == [1, 3, 3, 3]
    for data_type in (QuantType.QUInt8, QuantType.QInt16):
        quantize_static(
            path,
            quantized,
            Once(image),
            quant_format=QuantFormat.QDQ,
            activation_type=data_type,
            calibrate_method=CalibrationMethod.MinMax,
        )
        seen[name, data_type.name] = computed(quantized)
        print(name, data_type.name, expected, seen[name, data_type.name])
for (name, _), result in seen.items():
    if name == "pads":
        np.testing.assert_allclose(result, expected, atol=0.02)
    else:
        assert not np.isfinite(result).any(), "an infinite border is quantized now"
PROGRAM
