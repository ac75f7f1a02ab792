#!/usr/bin/env bash
# One would guess: the libraries of one standard agree on what keepdims=2 means for a reduction, or refuse it.
#
# What happens: nothing refuses it. onnx's reference evaluator keeps the dimensions; onnxruntime, and onnx's own shape
# inference, drop them: for them only 1 means yes. So the same package computes one shape and infers another.
#
# Seen with onnxruntime 1.32.0 and onnx 1.23.2: ReduceMax of [2, 3] has shape [] in onnxruntime and in shape inference,
# and [1, 1] in the reference evaluator; the same with -1.
#
# Why it matters: exporters that write a Python or C boolean as it comes (True is 1, but not every truth is) make models
# that pass the checker and change their rank from one tool to the next.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, shape_inference
from onnx.reference import ReferenceEvaluator

seen = {}
for keepdims in (0, 1, 2, -1):
    node = helper.make_node("ReduceMax", ["x"], ["y"], keepdims=keepdims)
    shape = [1, 1] if keepdims == 1 else []
    infos = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])]
    infos += [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)]
    graph = helper.make_graph([node], "one_node", infos[:1], infos[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    checker.check_model(model)
    inferred = shape_inference.infer_shapes(model, strict_mode=True).graph.output[0].type.tensor_type.shape
    feeds = {"x": np.ones((2, 3), np.float32)}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    seen[keepdims] = (
        session.run(None, feeds)[0].shape,
        tuple(each.dim_value for each in inferred.dim),
        np.shape(ReferenceEvaluator(model).run(None, feeds)[0]),
    )
for keepdims, shapes in seen.items():
    print(f"keepdims={keepdims}: onnxruntime {shapes[0]}, shape inference {shapes[1]}, reference {shapes[2]}")
assert seen[0] == ((), (), ())
assert seen[1] == ((1, 1), (1, 1), (1, 1))
assert seen[2] == seen[-1] == ((), (), (1, 1)), "they agree, or differ in another way, now"
PROGRAM
