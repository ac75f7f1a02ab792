#!/usr/bin/env bash
# One would guess: `get_providers()` of a session names the execution providers that run its graph. So with OpenVINO
# asked for a device that does not exist, it fails, or names the CPU provider alone.
#
# What happens: for an absent GPU it names the CPU provider alone. For a device name that OpenVINO does not know at all
# it names OpenVINO first, and yet the CPU provider runs every operator. Neither raises an error.
#
# Seen with onnxruntime-openvino 1.24.1 on x86-64 without a GPU: ['CPUExecutionProvider'] for "GPU", and
# ['OpenVINOExecutionProvider', 'CPUExecutionProvider'] with nothing assigned to the first for "XPU".
#
# Why it matters: a typing error in an option makes a program slow, or run on another device, in silence, and the usual
# check does not see it. The record of assignments, `session.record_ep_graph_assignment_info`, tells the truth.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime-openvino==1.24.1 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper

x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy")
nodes = [helper.make_node("Mul", ["x", "x"], ["z"]), helper.make_node("Relu", ["z"], ["y"])]
graph = helper.make_graph(nodes, "two_nodes", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
checker.check_model(model)

seen = {}
for device in ("CPU", "GPU", "XPU"):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=[("OpenVINOExecutionProvider", {"device_type": device})]
    )
    assert (session.run(None, {"x": np.full(4, 3, np.float32)})[0] == 9).all()
    listed = session.get_providers()[0].removesuffix("ExecutionProvider")
    ran = {part.ep_name.removesuffix("ExecutionProvider") for part in session.get_provider_graph_assignment_info()}
    seen[device] = (listed, ran)
    print(f"{device}: listed first {listed}, ran {', '.join(sorted(ran))}")
assert seen["CPU"] == ("OpenVINO", {"OpenVINO"}), "OpenVINO does not run two plain operators any more"
assert seen["GPU"][1] == {"CPU"}, "there is a GPU here: the script is for machines without one"
assert seen["XPU"] == ("OpenVINO", {"CPU"}), "a device that does not exist is refused now, or not listed"
PROGRAM
