#!/usr/bin/env bash
# One would guess: auto_pad="SAME_LOWER" pads as SAME_UPPER does, so that the output has as many elements, with the odd one
# at the beginning.
#
# What happens: the ONNX importer of TVM pads nothing in a MaxPool with SAME_LOWER. The output is smaller than the model
# declares, and all windows begin later.
#
# Seen with apache-tvm 0.27.0.post1: of the numbers 1 to 7, in windows of 2 with stride 2, SAME_LOWER gives [2, 4, 6] where the
# model declares four numbers, [1, 3, 5, 7]. SAME_UPPER gives [2, 4, 6, 7], which is right.
#
# Why it matters: models of Caffe and of older exporters have SAME_LOWER. Behind the pool, results are off by one element, or
# a Reshape fails far from the cause.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check apache-tvm==0.27.0.post1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import onnxruntime
import tvm
from onnx import checker, parser
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx

x = np.arange(1, 8, dtype=np.float32).reshape(1, 1, 7)


def pooled(padding):
    text = f"""
    <ir_version: 10, opset_import: ["": 17]>
    pool (float[1, 1, 7] x) => (float[1, 1, 4] y)
    {{ y = MaxPool <kernel_shape = [2], strides = [2], auto_pad = "{padding}"> (x) }}
    """
    model = parser.parse_model(text)
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    machine = relax.VirtualMachine(tvm.compile(from_onnx(model), target="llvm"), tvm.cpu())
    compiled = machine["main"](tvm.runtime.tensor(x)).numpy()
    print(padding, session.run(None, {"x": x})[0].ravel(), compiled.ravel())
    return session.run(None, {"x": x})[0].ravel().tolist(), compiled.ravel().tolist()


upper, upper_of_tvm = pooled("SAME_UPPER")
lower, lower_of_tvm = pooled("SAME_LOWER")
assert upper == upper_of_tvm == [2, 4, 6, 7]
assert lower == [1, 3, 5, 7]
assert lower_of_tvm == [2, 4, 6], "SAME_LOWER pads at the beginning now"
PROGRAM
