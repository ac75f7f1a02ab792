#!/usr/bin/env bash
# One would guess: onnxruntime loads a model that it has saved itself.
#
# What happens: a model in onnxruntime's own format that has an `If` can be saved as ONNX. The subgraphs are written
# without names, which onnxruntime requires when it reads them. With names given to them, the file loads.
#
# Seen with onnxruntime 1.32.0: "Field 'name' of 'graph' is required to be non-empty."
#
# Why it matters: packages contain such files without their ONNX models, and saving them again is the public way to
# other tools. A reader must accept subgraphs without names.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cd "$folder"

venv/bin/python - <<'PROGRAM'
import numpy as np
import onnx
import onnxruntime
from onnx import checker, parser

TEXT = """
<ir_version: 10, opset_import: ["": 21]>
choice (float[2] x, bool c) => (float[2] y) {
    y = If (c) <then_branch = positive () => (float[2] a) { a = Abs (x) },
                else_branch = negative () => (float[2] b) { b = Neg (x) }>
}
"""
FEEDS = {"x": np.array([1, -3], np.float32), "c": np.array(True)}


def saved(source, target, kind):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = target
    options.add_session_config_entry("session.save_model_format", kind)
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def result(source):
    try:
        session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    except Exception as error:
        return str(error)
    return session.run(None, FEEDS)[0].tolist()


model = parser.parse_model(TEXT)
checker.check_model(model, full_check=True)
saved(model.SerializeToString(), "model.ort", "ORT")
saved("model.ort", "again.onnx", "ONNX")
again = onnx.load("again.onnx")
(choice,) = [node for node in again.graph.node if node.op_type == "If"]
names = [attribute.g.name for attribute in choice.attribute]
found = [result(model.SerializeToString()), result("model.ort"), result("again.onnx")]
for attribute in choice.attribute:
    attribute.g.name = attribute.name
print(names, found, result(again.SerializeToString()), sep="\n")
assert found[:2] == [[1, 3], [1, 3]] == [result(again.SerializeToString()), [1, 3]]
assert names == ["", ""] and "'name' of 'graph' is required" in found[2], "subgraphs keep their names now"
PROGRAM
