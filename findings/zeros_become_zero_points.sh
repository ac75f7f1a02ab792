#!/usr/bin/env bash
# One would guess: the optimizer of onnxscript may put a `Pad` with zeros into the convolution behind it, if that pads with
# the same number.
#
# What happens: it does so for `ConvInteger`, too, whatever its zero point is. Padding of `ConvInteger` stands for the zero
# point, since that is what becomes 0, and a byte of 0 stands for minus the zero point.
#
# Seen with onnxscript 0.7.2 and onnxruntime 1.32.0: of an image of 3x3 bytes of 128 with a zero point of 128, padded by a row
# and a column of zeros and summed in windows of 3x3, the corner is -640 before and 0 after. With a zero point of 0 both agree.
#
# Why it matters: a network that takes bytes centres them by a zero point, and a border of zeros in bytes is black. After the
# optimizer it is grey, and the results beside it change without an error.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import numpy as np
import onnxruntime
from onnx import checker, parser
from onnxscript import optimizer

TEXT = """
<ir_version: 10, opset_import: ["": 20]>
sums (uint8[1, 1, 3, 3] image) => (int32[1, 1, 3, 3] y)
<int64[8] sizes = {0, 0, 1, 1, 0, 0, 1, 1}, uint8[1, 1, 3, 3] window = {1, 1, 1, 1, 1, 1, 1, 1, 1}, uint8 zero = {POINT}>
{
    padded = Pad (image, sizes)
    y = ConvInteger (padded, window, zero)
}
"""
image = np.full((1, 1, 3, 3), 128, np.uint8)


def before_and_after(point):
    model = parser.parse_model(TEXT.replace("POINT", str(point)))
    checker.check_model(model, full_check=True)
    results = []
    for each in (model, optimizer.optimize(model)):
        session = onnxruntime.InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"])
        results.append(session.run(None, {"image": image})[0][0, 0].tolist())
    return results


signed, unsigned = before_and_after(128), before_and_after(0)
print("zero point 128", signed, "zero point 0", unsigned)
assert unsigned[0] == unsigned[1] == [[512, 768, 512], [768, 1152, 768], [512, 768, 512]]
assert signed[0] == [[-640, -384, -640], [-384, 0, -384], [-640, -384, -640]]
assert signed[1] == [[0] * 3] * 3, "the zero point counts now"
PROGRAM
