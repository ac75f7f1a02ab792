#!/usr/bin/env bash
# One would guess: the number of threads changes how long a network takes, and at most the last digits of its answer.
#
# What happens: `DynamicQuantizeLSTM`, which the quantizer makes of an LSTM, rounds the hidden states of a step to 8 bits by
# the range of those that it rounds together. Each thread takes some sequences of the batch, so the number of threads
# decides which states share a range. With one sequence the answers are equal.
#
# Seen with onnxruntime 1.32.0: of 8 sequences of 7 steps with 256 states, numbers between -1 and 1 differ by 0.05 between
# one thread and two, and by 0.09 between one and four.
#
# Why it matters: by default there are as many threads as cores, so another machine gives another answer, and a test that
# compares them sees a fault where there is none. The answer for a sequence also depends on the others in its batch.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

STEPS, INPUTS, HIDDEN = 7, 64, 256
random = np.random.default_rng(0)
constants = {}
for name, rows in (("w", INPUTS), ("r", HIDDEN)):
    weights = 0.3 * random.standard_normal((1, rows, 4 * HIDDEN)).astype(np.float32)
    step = np.abs(weights).max() / 127
    constants |= {name: np.round(weights / step).astype(np.int8), f"{name}_scale": np.array([step], np.float32)}
    constants[f"{name}_zero"] = np.zeros(1, np.int8)
node = helper.make_node(
    "DynamicQuantizeLSTM",
    ["x", "w", "r", "", "", "", "", "", "w_scale", "w_zero", "r_scale", "r_zero"],
    ["y"],
    domain="com.microsoft",
    hidden_size=HIDDEN,
)
ports = [
    helper.make_tensor_value_info("x", TensorProto.FLOAT, [STEPS, "batch", INPUTS]),
    helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
]
tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
graph = helper.make_graph([node], "g", ports[:1], ports[1:], tensors)
opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
model = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def answer(x, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


print(f"onnxruntime {onnxruntime.__version__}, the largest difference to one thread:")
differences = {}
for batch in (1, 8):
    x = random.standard_normal((STEPS, batch, INPUTS)).astype(np.float32)
    alone = answer(x, 1)
    differences[batch] = [float(np.abs(answer(x, threads) - alone).max()) for threads in (2, 4)]
    print("{} sequences: {:.3f} with two threads, {:.3f} with four".format(batch, *differences[batch]))
assert differences[1] == [0, 0], "one sequence depends on the threads, too"
assert min(differences[8]) > 0.01, "the answer does not depend on the threads any more"
PROGRAM
