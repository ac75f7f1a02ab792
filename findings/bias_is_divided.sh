#!/usr/bin/env bash
# One would guess: a `Gemm` that `quantize_static` quantized multiplies its bias by `beta`, as it did before.
#
# What happens: the quantizer divides the bias by `beta` and then leaves `beta` out. Both formats, with `QuantizeLinear`
# around the `Gemm` and with a quantized operator, have the same numbers. `alpha` is kept.
#
# Seen with onnxruntime 1.32.0: [1, 2] plus `beta = 3` times [10, 20] is [31, 62], and [4.4, 8.8] in the quantized model: 10 /
# 3 and 20 / 3 were added. With `beta = 1` it is right.
#
# Why it matters: `torch.addmm` with a factor, converters of classical models and fused scales write such nodes. The range was
# calibrated for the right numbers, so that the wrong ones look plausible.
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
x = np.float32([[1, 2]])


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
for beta, expected, found in ((1, [11, 22], [11, 22]), (3, [31, 62], [1 + 10 / 3, 2 + 20 / 3])):
    model = parser.parse_model(f"""
    <ir_version: 10, opset_import: ["": 21]>
    product (float[1, 2] x) => (float[1, 2] y) <float[2, 2] w = {{1, 0, 0, 1}}, float[2] bias = {{10, 20}}>
    {{ y = Gemm <beta = {beta}.0> (x, w, bias) }}
    """)
    checker.check_model(model, full_check=True)
    onnx.save(model, folder / "model.onnx")
    assert run(folder / "model.onnx").tolist() == expected
    for quant_format in QuantFormat:
        quantize_static(folder / "model.onnx", folder / "quantized.onnx", Samples(), quant_format=quant_format)
        seen = run(folder / "quantized.onnx")
        print(beta, quant_format, seen.round(2).tolist())
        np.testing.assert_allclose(seen, found, atol=0.2, err_msg="the bias is multiplied now")
PROGRAM
