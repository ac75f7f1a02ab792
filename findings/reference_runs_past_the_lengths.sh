#!/usr/bin/env bash
# One would guess: the reference evaluator of ONNX stops each sequence of an RNN, GRU or LSTM at its `sequence_lens`.
#
# What happens: it takes the input and ignores it. All sequences run to the end, so the outputs after the end are not
# zero, and the final state is that of the padding.
#
# Seen with onnx 1.23.2: for lengths 4 and 2 of 4 steps, the second sequence of each of the three operators has outputs
# that are not zero in steps 3 and 4; onnxruntime 1.32.0 gives zeros there, and as the final state that of step 2, as the
# documentation of the operators says.
#
# Why it matters: whoever holds an importer against the reference finds every model with padded batches wrong.
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

random = np.random.default_rng(0)
for op_type, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
    feeds = {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in (("x", (4, 2, 3)), ("w", (1, 5 * gates, 3)), ("r", (1, 5 * gates, 5)))
    }
    lengths = helper.make_tensor_value_info("lengths", TensorProto.INT32, [2])
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in feeds.items()]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("y", [4, 1, 2, 5]), ("last", [1, 2, 5]))
    ]
    node = helper.make_node(op_type, ["x", "w", "r", "", "lengths"], ["y", "last"], hidden_size=5)
    graph = helper.make_graph([node], "one_node", [*inputs, lengths], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    checker.check_model(model, full_check=True)
    feeds["lengths"] = np.array([4, 2], np.int32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    y, last = session.run(None, feeds)
    reference, reference_last = ReferenceEvaluator(model).run(None, feeds)
    print(op_type, y[2:, 0, 1].any(), reference[2:, 0, 1].any())
    assert not y[2:, 0, 1].any()
    np.testing.assert_array_equal(last[0, 1], y[1, 0, 1])
    np.testing.assert_allclose(reference[:, 0, 0], y[:, 0, 0], atol=1e-5)
    assert reference[2:, 0, 1].all(), f"{op_type} of the evaluator stops at the length now"
    np.testing.assert_array_equal(reference_last[0, 1], reference[3, 0, 1])
PROGRAM
