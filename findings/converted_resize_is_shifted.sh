#!/usr/bin/env bash
# One would guess: onnx2torch converts the coordinates of a Resize, or refuses what PyTorch's `interpolate` has no word for.
#
# What happens: it tells only `align_corners` from the rest. "asymmetric" is computed as "half_pixel", which shifts the image,
# and all nearest modes are computed as "floor".
#
# Seen with onnx2torch 1.5.15 and torch 2.14.1: [0, 1, 2, 3], enlarged twice with "asymmetric" and "linear", begins with 0, 0.25,
# 0.75 instead of 0, 0.5, 1; with "nearest" and "ceil", with 0, 0, 1 instead of 0, 1, 1. onnxruntime 1.32.0 and the reference
# evaluator of onnx 1.23.2 agree with each other.
#
# Why it matters: "asymmetric" is what TensorFlow's older resizes and Upsample of old files mean. Boxes and masks are off by a
# part of a pixel at each scale, which no test of shapes shows.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnx2torch==1.5.15 torch==2.14.1 torchvision==0.29.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import onnx2torch
import onnxruntime
import torch
from onnx import checker, parser
from onnx.reference import ReferenceEvaluator

x = np.float32([[[0, 1, 2, 3]]])


def results(attributes):
    """What onnxruntime gives, and what the converted module gives."""
    text = f"""
    <ir_version: 8, opset_import: ["": 13]>
    network (float[1,1,4] x) => (float[1,1,8] y) <float[3] scales = {{1.0, 1.0, 2.0}}>
    {{ y = Resize <{attributes}> (x, , scales) }}
    """
    model = parser.parse_model(text)
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": x})[0].ravel()
    np.testing.assert_allclose(ReferenceEvaluator(model).run(None, {"x": x})[0].ravel(), expected, atol=1e-6)
    return expected.tolist(), onnx2torch.convert(model)(torch.from_numpy(x)).ravel().tolist()


same = results('coordinate_transformation_mode = "half_pixel", mode = "linear"')
linear = results('coordinate_transformation_mode = "asymmetric", mode = "linear"')
nearest = results('coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "ceil"')
print({"linear": linear, "nearest": nearest})
assert same[0] == same[1]
assert linear[0][:3] == [0, 0.5, 1] and nearest[0][:3] == [0, 1, 1]
assert linear[1][:3] == [0, 0.25, 0.75], "asymmetric is converted now"
assert nearest[1][:3] == [0, 0, 1], "ceil is converted now"
PROGRAM
