#!/usr/bin/env bash
# One would guess: `ScatterND` with `reduction="add"` adds every update. The operator is there for indices that repeat, as
# when the messages of a graph network are added up at its nodes.
#
# What happens: onnxruntime shares out the updates among its threads without looking at the indices. Two threads that add
# to one place at the same time lose an update. There is no error, and the next run gives other numbers. With one thread,
# and with fewer updates, the sums are right.
#
# Seen with onnxruntime 1.32.0 on two cores: sums of 20,000 rows of 64 ones over 500 places differed from the exact ones
# in 39 and 40 of 40 runs with two threads, and in none with one.
#
# Why it matters: it is the aggregation of most exported graph networks. A small example in a test passes, and the large
# graphs in use are a little wrong, now and then.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper

ROWS, WIDTH, PLACES, RUNS = 20_000, 64, 500, 40
random = np.random.default_rng(0)
feeds = {
    "data": np.zeros((PLACES, WIDTH), np.float32),
    "indices": random.integers(0, PLACES, (ROWS, 1)),
    "updates": np.ones((ROWS, WIDTH), np.float32),
}
node = helper.make_node("ScatterND", ["data", "indices", "updates"], ["sums"], reduction="add")
types = {"data": TensorProto.FLOAT, "indices": TensorProto.INT64, "updates": TensorProto.FLOAT}
inputs = [helper.make_tensor_value_info(name, types[name], array.shape) for name, array in feeds.items()]
output = helper.make_tensor_value_info("sums", TensorProto.FLOAT, [PLACES, WIDTH])
graph = helper.make_graph([node], "g", inputs, [output])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()
exact = np.repeat(np.bincount(feeds["indices"][:, 0], minlength=PLACES)[:, None], WIDTH, 1)


def wrong(threads):
    """How many of the runs have a sum that is not exact; sums of ones are, in any order."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return sum(not np.array_equal(session.run(None, feeds)[0], exact) for _ in range(RUNS))


alone, shared = wrong(1), wrong(2)
print(f"onnxruntime {onnxruntime.__version__}: wrong in {alone} of {RUNS} runs with one thread, {shared} with two")
assert alone == 0, "one thread loses updates, too"
assert shared > 0, "two threads lose no updates any more"
PROGRAM
