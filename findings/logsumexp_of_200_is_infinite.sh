#!/usr/bin/env bash
# One would guess: ReduceLogSumExp takes out the maximum before it exponentiates, which is what the operator is for: the
# result for [200, 200] is 200.69.
#
# What happens: tract adds up the exponentials as they are. From 89 on they are infinite in float32, and so is the result;
# below -104 they are 0, and the result is -infinity.
#
# Seen with tract 0.23.9: [200, 200] gives infinity, [-200, -200] -infinity, and [1, 2] the right 2.313. onnxruntime 1.32.0
# gives 200.69, -199.31 and 2.313. IREE 3.13.0 (target llvm-cpu) gives infinity for the first, too.
#
# Why it matters: logits of 100 and more are common, and scores of beam searches are sums of log-probabilities far below
# -100; mixtures, CRFs and CTC put them together with this operator.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    tract==0.23.9 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

cd "$folder"
"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnx
import onnxruntime
import tract

text = """
<ir_version: 10, opset_import: ["": 21]>
sums (float[3, 2] x) => (float[3, 1] y)
{
    axes = Constant <value = int64[1] {1}> ()
    y = ReduceLogSumExp (x, axes)
}
"""
model = onnx.parser.parse_model(text)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "sums.onnx")
x = np.array([[1, 2], [200, 200], [-200, -200]], np.float32)
wanted = onnxruntime.InferenceSession("sums.onnx").run(None, {"x": x})[0].ravel()
seen = tract.onnx().load("sums.onnx").into_model().into_runnable().run([x])[0].to_numpy().ravel()
print(seen, wanted)
np.testing.assert_allclose(wanted, [2.3132617, 200.69315, -199.30685], rtol=1e-6)
np.testing.assert_allclose(seen[0], wanted[0], rtol=1e-6)
assert seen[1] == np.inf and seen[2] == -np.inf, "large and small numbers are right now"
PROGRAM
