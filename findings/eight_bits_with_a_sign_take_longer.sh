#!/usr/bin/env bash
# One would guess: filters in int8 are the fast form of a convolution of integers, as weights in int8 are of a product.
# Exporters choose int8 for weights, and processors have an instruction for uint8 times int8.
#
# What happens: `ConvInteger` with filters in int8 takes some four times as long as with the same filters moved up by 128, in
# uint8 with a zero point of 128. The sums are equal. `MatMulInteger` is the other way round: int8 is the faster one.
#
# Seen with onnxruntime 1.32.0 on x86-64 with VNNI, one thread: 64 filters of 64 x 3 x 3 over 32 x 80 pixels take 6.9 ms in
# int8 and 1.5 ms in uint8; a product of 64 rows with 1024 x 1024 weights takes 0.35 and 0.83 ms.
#
# Why it matters: `quantize_dynamic` makes `ConvInteger` of convolutions, with filters in int8 where one asks for these. The
# network can be slower than it was in float32.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(0)


def session(op_type, weights, zero, shape, **attributes):
    """`op_type` of uint8 and these weights."""
    tensors = {"w": weights, "x_zero": np.uint8(100), "w_zero": zero}
    node = helper.make_node(op_type, ["x", "w", "x_zero", "w_zero"], ["y"], **attributes)
    ports = [
        helper.make_tensor_value_info("x", TensorProto.UINT8, shape),
        helper.make_tensor_value_info("y", TensorProto.INT32, None),
    ]
    constants = [numpy_helper.from_array(np.asarray(array), name) for name, array in tensors.items()]
    graph = helper.make_graph([node], "g", ports[:1], ports[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def compared(op_type, weights_shape, shape, **attributes):
    """The times with weights in int8 and with the same ones in uint8."""
    weights = random.integers(-127, 128, weights_shape).astype(np.int8)
    moved = (weights.astype(np.int16) + 128).astype(np.uint8)
    feeds = {"x": random.integers(0, 256, shape).astype(np.uint8)}
    signed = session(op_type, weights, np.int8(0), shape, **attributes)
    unsigned = session(op_type, moved, np.uint8(128), shape, **attributes)
    assert np.array_equal(signed.run(None, feeds)[0], unsigned.run(None, feeds)[0])
    times = [[], []]
    for _ in range(30):
        for each, taken in zip((signed, unsigned), times):
            began = time.perf_counter()
            each.run(None, feeds)
            taken.append(time.perf_counter() - began)
    return [1000 * min(taken) for taken in times]


convolution = compared("ConvInteger", (64, 64, 3, 3), [1, 64, 32, 80], pads=[1, 1, 1, 1])
product = compared("MatMulInteger", (1024, 1024), [64, 1024])
print(f"onnxruntime {onnxruntime.__version__}, int8 and uint8:")
print("ConvInteger {:.2f} and {:.2f} ms, MatMulInteger {:.2f} and {:.2f} ms".format(*convolution, *product))
assert convolution[0] > 2 * convolution[1], "convolutions with filters in int8 are no longer slower"
assert product[0] < product[1], "products with weights in int8 are no longer faster"
PROGRAM
