#!/usr/bin/env bash
# One would guess: each InstanceNormalization uses its own `epsilon`.
#
# What happens: on onnxruntime's WebGPU provider, all of a process use the epsilon of the first one that has run, also
# those of other sessions. It seems to be a number in the shader, and no part of the key under which shaders are cached.
#
# Seen with onnxruntime-webgpu 1.27.0 on SwiftShader 153 (Vulkan): with 1 after 1e-5, normalized values are off by 1.1.
#
# Why it matters: models that run side by side change each other's results, and which ones is a matter of their order.
#
# It needs a driver for Vulkan and its loader. VK_DRIVER_FILES and LD_LIBRARY_PATH may point to SwiftShader, which
# `make chromium` unpacks.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime-webgpu==1.27.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper

x = np.random.default_rng(0).uniform(-1, 1, (1, 2, 4, 4)).astype(np.float32)
factors = [numpy_helper.from_array(array, name) for name, array in (("s", np.ones(2, "f")), ("b", np.zeros(2, "f")))]


def normalized(epsilon: float, provider: str) -> np.ndarray:
    given, made = (helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in "xy")
    node = helper.make_node("InstanceNormalization", ["x", "s", "b"], ["y"], epsilon=epsilon)
    graph = helper.make_graph([node], "normalization", [given], [made], factors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("ep.webgpuexecutionprovider.preserveDevice", "1")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=[provider], enable_fallback=0)
    return session.run(None, {"x": x})[0]


off = {}
for epsilon in (1e-5, 1.0, 1e-5):
    found = normalized(epsilon, "WebGpuExecutionProvider")
    off[epsilon] = abs(found - normalized(epsilon, "CPUExecutionProvider")).max()
    print(f"epsilon {epsilon:g}: off by {off[epsilon]:.2g}")
assert off[1e-5] < 1e-5, "the first epsilon is not used any more"
assert off[1.0] > 0.1, "the second epsilon is used now: the rule for it in backends/webgpu/decompositions.py may go"
PROGRAM
