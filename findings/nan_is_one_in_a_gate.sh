#!/usr/bin/env bash
# One would guess: an activation of NaN is NaN, so that a fault shows in the results.
#
# What happens: TVM writes the activations with maxima and minima that take the other operand if the first one is NaN.
#
# Seen with apache-tvm 0.27.0.post1: HardSigmoid of NaN is 1, Relu and Elu of NaN are 0, and Clip of NaN to [2, 6] is 2. Max of
# NaN and 1 is 1, that of 1 and NaN is NaN. onnxruntime 1.32.0 gives NaN in all of these cases.
#
# Why it matters: a network with broken weights gives plausible numbers, and a comparison with another runtime fails at an
# operator that is not the cause.
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

nan = np.array([np.nan, 1], np.float32)


def result(expression, *arrays):
    inputs = ", ".join(f"float[2] x{i}" for i in range(len(arrays)))
    text = f"""
    <ir_version: 10, opset_import: ["": 17]>
    network ({inputs}) => (float[2] y)
    <float low = {{2.0}}, float high = {{6.0}}>
    {{ y = {expression} }}
    """
    model = parser.parse_model(text)
    checker.check_model(model, full_check=True)
    feeds = {f"x{i}": array for i, array in enumerate(arrays)}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.isnan(session.run(None, feeds)[0][0])
    machine = relax.VirtualMachine(tvm.compile(from_onnx(model), target="llvm"), tvm.cpu())
    return float(machine["main"](*[tvm.runtime.tensor(array) for array in arrays]).numpy()[0])


calls = ["HardSigmoid (x0)", "Relu (x0)", "Elu (x0)", "Clip (x0, low, high)"]
seen = [result(call, nan) for call in calls] + [result("Max (x0, x1)", nan, np.ones(2, np.float32))]
print(seen)
assert np.isnan(result("Max (x0, x1)", np.ones(2, np.float32), nan)) and np.isnan(result("Tanh (x0)", nan))
assert seen == [1, 0, 0, 2, 1], "NaN stays NaN now"
PROGRAM
