#!/usr/bin/env bash
# One would guess: ReduceL2 over axis 1 gives one norm for each row, whatever the model's opset version.
#
# What happens: since opset 18 the axes are an input. MNN's converter reads them there for ReduceSum and ReduceMean, and
# ignores them for ReduceL1, ReduceL2, ReduceSumSquare, ReduceLogSum and ReduceLogSumExp: it reduces over all axes to a
# scalar, without a warning. With opset 13, where they are an attribute, the rows are right.
#
# Seen with MNN 3.6.1: for [[0, 1, 2], [3, 4, 5]] ReduceL2 gives 7.416, the norm of all six numbers; with opset 13
# [2.236, 7.071].
#
# Why it matters: embeddings are divided by their norm. A scalar broadcasts, so that the model runs and every embedding is
# scaled wrongly, by a factor that depends on the others in the batch. Exporters write opset 18 and later.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check MNN==3.6.1 onnx==1.23.2 numpy==2.4.6

cd "$folder"
"$folder/venv/bin/python" - <<'PROGRAM'
import _tools  # the command mnnconvert installs packages, see converter_installs_packages.sh
import MNN
import MNN.expr as expr
import numpy as np
import onnx

x = np.arange(6, dtype=np.float32).reshape(2, 3)


def run(name, body, opset):
    header = f'<ir_version: 8, opset_import: ["": {opset}]>'
    model = onnx.parser.parse_model(f"{header} reduced (float[2, 3] x) => (float[2] y) {{ {body} }}")
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, f"{name}.onnx")
    files = ["--modelFile", f"{name}.onnx", "--MNNModel", f"{name}.mnn"]
    _tools.mnnconvert(["mnnconvert", "-f", "ONNX", *files, "--bizCode", "MNN"])
    network = MNN.nn.load_module_from_file(f"{name}.mnn", ["x"], ["y"])
    result = network.onForward([expr.const(x, [2, 3], expr.NCHW, expr.float)])[0]
    return np.array(expr.convert(result, expr.NCHW).read())


axes = "axes = Constant <value = int64[1] {1}> ()"
attribute = run("attribute", "y = ReduceL2 <axes = [1], keepdims = 0> (x)", 13)
given = run("given", f"{axes} y = ReduceL2 <keepdims = 0> (x, axes)", 18)
summed = run("summed", f"{axes} y = ReduceSum <keepdims = 0> (x, axes)", 18)
print(attribute, given, summed)
np.testing.assert_allclose(attribute, np.linalg.norm(x, axis=1), rtol=1e-6)
np.testing.assert_allclose(summed, x.sum(1))
assert given.size == 1, "the axes of ReduceL2 are read now"
np.testing.assert_allclose(given, np.linalg.norm(x), rtol=1e-6)
PROGRAM
