#!/usr/bin/env bash
# One would guess: what OpenVINO does not take, onnxruntime's CPU provider runs, wherever it stands in the graph.
#
# What happens: OpenVINO does not take `IsNaN`. Where one stands between two operators that it takes, both of these become
# parts of one node, which then reads the result of `IsNaN` and makes its input. The session is refused: "the graph is not
# acyclic". If the last operator reads nothing that the first one made, the same model runs.
#
# Seen with onnxruntime-openvino 1.24.1 on x86-64: `Where(IsNaN(x * x), x * x, x)` is "an invalid model", with the CPU
# provider it gives [1, nan, 3]; `Where(IsNaN(x * x), x, x)` runs on both.
#
# Why it matters: the message blames a valid model. Any operator that is composed of parts, one of which the CPU provider
# runs, fails behind another operator: such as a sign that keeps NaN.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime-openvino==1.24.1 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper

x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "xy")


def outcome(provider: str, chosen: str) -> str:
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("IsNaN", ["square"], ["is_nan"]),
        helper.make_node("Where", ["is_nan", chosen, "x"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "three_nodes", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=[f"{provider}ExecutionProvider"], enable_fallback=0
        )
    except Exception as error:
        return str(error).rpartition("Error: ")[2]
    return str(session.run(None, {"x": np.array([1, np.nan, 3], np.float32)})[0])


seen = {(provider, chosen): outcome(provider, chosen) for provider in ("CPU", "OpenVINO") for chosen in ("square", "x")}
for (provider, chosen), result in seen.items():
    print(f"{provider}, Where(IsNaN(square), {chosen}, x): {result}")
right = "[ 1. nan  3.]"
assert seen["CPU", "square"] == seen["CPU", "x"] == seen["OpenVINO", "x"] == right, "the models are not right any more"
assert "not acyclic" in seen["OpenVINO", "square"], "operators on both sides of one that OpenVINO does not take are parted now"
PROGRAM
