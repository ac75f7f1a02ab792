#!/usr/bin/env bash
# One would guess: Where(condition, x, y) copies elements. Where the condition is true, -0.0 in x comes out as -0.0.
#
# What happens: it comes out as +0.0. An element of y keeps its sign where the condition is false.
#
# Seen with onnxruntime 1.32.0 on x86-64: signs of the result [+, -, +, -] where the standard's reference has [-, -, -, -].
#
# Why it matters: 1 / x and atan2 tell the zeros apart, and so does every comparison of bits, for example of a saved
# result with a new one. Code that splits a tensor by a mask and puts it together again loses signs on one side only.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper
from onnx.reference import ReferenceEvaluator

infos = [helper.make_tensor_value_info("c", TensorProto.BOOL, [4])]
infos += [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("x", "y", "z")]
graph = helper.make_graph([helper.make_node("Where", ["c", "x", "y"], ["z"])], "one_node", infos[:3], infos[3:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
checker.check_model(model, full_check=True)
feeds = {
    "c": np.array([True, False, True, False]),
    "x": np.array([-0.0, 1, -0.0, 1], np.float32),
    "y": np.array([1, -0.0, 5, -0.0], np.float32),
}
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
seen = np.signbit(session.run(None, feeds)[0]).tolist()
expected = np.signbit(ReferenceEvaluator(model).run(None, feeds)[0]).tolist()
print("minus: onnxruntime", seen, "reference", expected)
assert expected == [True] * 4
assert seen == [False, True, False, True], "Where keeps the sign of zero now, or loses it otherwise"
PROGRAM
