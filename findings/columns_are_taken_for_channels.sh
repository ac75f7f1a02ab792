#!/usr/bin/env bash
# One would guess: onnxslim may multiply the weights of a convolution by a constant that stands behind it, if the constant
# has one number for each channel.
#
# What happens: it looks at the length of the constant only. Four numbers behind four channels become factors of the channels,
# also where they stand along the width or the height. `Add` in the same place is checked, and right.
#
# Seen with onnxslim 0.1.98 and onnxruntime 1.32.0: a convolution with four channels of ones and a product with [1, 2, 3, 4]
# along the width give [1, 2, 3, 4] in each channel before. After, the first channel is 1 everywhere and the last one 4.
#
# Why it matters: windows of spectrograms and masks of positions are such factors, and sizes of 4, 8 or 64 are common for
# both. The model gets smaller, as asked for, and computes something else; with another width it would not.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxslim==0.1.98 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import numpy as np
import onnxruntime
import onnxslim
from onnx import checker, parser

TEXT = """
<ir_version: 10, opset_import: ["": 20]>
scaled (float[1, 1, WIDTH, WIDTH] image) => (float[1, 4, WIDTH, WIDTH] y)
<float[4, 1, 1, 1] weights = {1, 1, 1, 1}, float[SHAPE] factors = {NUMBERS}>
{
    channels = Conv (image, weights)
    y = OPERATOR (channels, factors)
}
"""


def before_and_after(operator, shape, width=4):
    numbers = ", ".join(str(1 + i) for i in range(width))
    text = TEXT.replace("SHAPE", shape).replace("NUMBERS", numbers).replace("OPERATOR", operator)
    model = parser.parse_model(text.replace("WIDTH", str(width)))
    checker.check_model(model, full_check=True)
    image, results = np.ones((1, 1, width, width), np.float32), []
    for each in (model, onnxslim.slim(model)):
        session = onnxruntime.InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"])
        results.append(session.run(None, {"image": image})[0])
    return results


for operator, shape, width in (("Mul", "1, 4, 1, 1", 4), ("Add", "4", 4), ("Mul", "5", 5)):
    np.testing.assert_array_equal(*before_and_after(operator, shape, width))
ones, factors = np.ones((1, 4, 4, 4)), np.arange(1, 5)
for shape, expected in (("4", ones * factors), ("4, 1", ones * factors[:, None])):
    before, after = before_and_after("Mul", shape)
    print("factors of the shape", shape, "channels before", before[0, 0].tolist(), "after", after[0, [0, 3]].tolist())
    np.testing.assert_array_equal(before, expected)
    np.testing.assert_array_equal(after, ones * factors[:, None, None], "the axis counts now")
PROGRAM
