#!/usr/bin/env bash
# One would guess: with ceil_mode=1, a pool has one more window where the last stride does not fit. The windows begin at the
# same places, and the last one goes over the end: averages of 3 of the numbers 1 to 7 with stride 3 are [2, 5, 7].
#
# What happens: the reference evaluator of ONNX pads the input at both ends by what the last window lacks, so all windows
# begin earlier. LpPool also multiplies the last sum as if the window were full.
#
# Seen with onnx 1.23.2: AveragePool gives [1.5, 4, 6], and LpPool [2.24, 7.07, 10.39]. onnxruntime 1.32.0 gives [2, 5, 7] and
# [3.74, 8.77, 7], and the evaluator gives [2, 5] with ceil_mode=0, which is right.
#
# Why it matters: the evaluator decides what an operator means when runtimes differ, and compilers are tested against it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import checker, parser
from onnx.reference import ReferenceEvaluator

x = np.arange(1, 8, dtype=np.float32).reshape(1, 1, 7)


def pooled(op, ceil_mode, windows):
    text = f"""
    <ir_version: 10, opset_import: ["": 21]>
    pool (float[1, 1, 7] x) => (float[1, 1, {windows}] y)
    {{ y = {op} <kernel_shape = [3], strides = [3], ceil_mode = {ceil_mode}> (x) }}
    """
    model = parser.parse_model(text)
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    runtime = session.run(None, {"x": x})[0].ravel()
    reference = ReferenceEvaluator(model).run(None, {"x": x})[0].ravel()
    print(op, ceil_mode, runtime, reference)
    return runtime, reference


whole = pooled("AveragePool", 0, 2)
np.testing.assert_allclose(whole, [[2, 5], [2, 5]])
averages, averages_of_reference = pooled("AveragePool", 1, 3)
norms, norms_of_reference = pooled("LpPool", 1, 3)
np.testing.assert_allclose(averages, [2, 5, 7])
np.testing.assert_allclose(norms, np.sqrt([1 + 4 + 9, 16 + 25 + 36, 49]), rtol=1e-6)
np.testing.assert_allclose(averages_of_reference, [1.5, 4, 6], err_msg="the windows begin at the same places now")
np.testing.assert_allclose(norms_of_reference, [2.2360680, 7.0710678, 10.3923048], rtol=1e-6, err_msg="LpPool is right now")
PROGRAM
