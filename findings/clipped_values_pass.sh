#!/usr/bin/env bash
# One would guess: a model that `quantize_static` made clips what the model clipped before, to a step of the quantization.
#
# What happens: the quantizer takes `Clip` out behind a convolution and lets the range of its result do the clipping. That
# range always contains 0. A lower bound above 0, or an upper bound below it, is lost.
#
# Seen with onnxruntime 1.32.0: `Clip` to [2, 6] gives [2, 2, 5] for [-1, 1, 5], and the quantized model [0, 1, 5], both in
# the format of `QuantizeLinear` and in that of quantized operators.
#
# Why it matters: a bound like this keeps a divisor, a variance or a logarithm away from 0. Behind it, the quantized model
# divides by 0.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

FOLDER="$folder" "$folder/venv/bin/python" - <<'PROGRAM'
import logging
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import checker, parser
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

logging.disable()
x = np.float32([-1, 1, 5, 6]).reshape(1, 1, 1, 4)


class Samples(CalibrationDataReader):
    """The input itself, once."""

    def __init__(self):
        self._samples = iter([{"x": x}])

    def get_next(self):
        return next(self._samples, None)


def run(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0].ravel()


folder = Path(os.environ["FOLDER"])
for bounds, expected, without in (((2, 6), [2, 2, 5, 6], [0, 1, 5, 6]), ((0, 6), [0, 1, 5, 6], [0, 1, 5, 6])):
    model = parser.parse_model(f"""
    <ir_version: 10, opset_import: ["": 21]>
    clipped (float[1, 1, 1, 4] x) => (float[1, 1, 1, 4] y)
    <float[1, 1, 1, 1] w = {{1}}, float low = {{{bounds[0]}}}, float high = {{{bounds[1]}}}>
    {{ convolved = Conv (x, w) y = Clip (convolved, low, high) }}
    """)
    checker.check_model(model, full_check=True)
    onnx.save(model, folder / "model.onnx")
    assert run(folder / "model.onnx").tolist() == expected
    for quant_format in QuantFormat:
        quantize_static(folder / "model.onnx", folder / "quantized.onnx", Samples(), quant_format=quant_format)
        seen = run(folder / "quantized.onnx")
        print(bounds, quant_format, seen.round(2).tolist())
        np.testing.assert_allclose(seen, without, atol=0.05, err_msg="the bound is kept now")
PROGRAM
