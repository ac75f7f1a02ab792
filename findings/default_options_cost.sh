#!/usr/bin/env bash
# One would guess: run options that are all at their defaults, made once and given to every run, change nothing.
#
# What happens: `run_with_iobinding` takes 14 times as long with them. Its Python layer asks the options for an entry that
# only WebGPU knows, and finds out by a C++ exception that it is not there. `run` is faster with options than without,
# since a run without any makes its own.
#
# Seen with onnxruntime 1.32.0 on 2 x86-64 cores, of a `Relu` of six numbers: 1.8 us without options and 25 us with them
# for `run_with_iobinding`, 3.4 us and 2.9 us for `run`.
#
# Why it matters: options are how a program can end a run (`terminate`) or tell runs apart in the log (`logid`).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper

x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "xy")
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "one_node", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
checker.check_model(model)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
data = np.array([[1, -2, 3], [-4, 5, -6]], np.float32)
binding = session.io_binding()
binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(data))
output = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros((2, 3), np.float32))
binding.bind_ortvalue_output("y", output)

defaults = onnxruntime.RunOptions()
kinds = {
    "bound": lambda: session.run_with_iobinding(binding),
    "bound, with options": lambda: session.run_with_iobinding(binding, defaults),
    "run": lambda: session.run(None, {"x": data}),
    "run, with options": lambda: session.run(None, {"x": data}, defaults),
}
least = {}
for name, run in kinds.items():
    times = []
    for _ in range(100):
        started = time.perf_counter()
        for _ in range(100):
            run()
        times.append((time.perf_counter() - started) / 100)
    least[name] = min(times) * 1e6
np.testing.assert_array_equal(output.numpy(), np.maximum(data, 0))
print({name: f"{microseconds:.1f} us" for name, microseconds in least.items()})
assert least["bound, with options"] > 5 * least["bound"], "options cost little now"
PROGRAM
