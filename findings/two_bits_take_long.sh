#!/usr/bin/env bash
# One would guess: MatMulNBits with weights of 2 bits takes about as long as with 4 bits, or less, since it reads half
# as many bytes.
#
# What happens: for one row it takes some 40 times as long. The same integers, stored in 4 bits, give the same product.
# Weights of 8 bits take some 18 times as long as those of 4.
#
# Seen with onnxruntime 1.32.0 on 2 x86-64 cores, one thread, 1024x1024 weights in blocks of 32: 2244 us for 2 bits,
# 48 us for 4 bits and 889 us for 8 bits.
#
# Why it matters: a model that is quantized to 2 bits to become faster generates its tokens many times slower.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ROWS, COLUMNS, BLOCK = 1024, 1024, 32
generator = np.random.default_rng(0)
integers = generator.integers(0, 4, (COLUMNS, ROWS // BLOCK, BLOCK)).astype(np.uint8)
scales = generator.uniform(0.01, 0.02, (COLUMNS, ROWS // BLOCK)).astype(np.float32)
x = generator.standard_normal((1, ROWS)).astype(np.float32)


def packed(values, bits):
    """The integers of the last axis in bytes, the lowest bits first; all of it one row of bytes for each column."""
    each = 8 // bits
    parts = np.pad(values, [*[(0, 0)] * (values.ndim - 1), (0, -values.shape[-1] % each)])
    parts = parts.reshape(*parts.shape[:-1], -1, each).astype(np.uint16)
    return (parts << (bits * np.arange(each, dtype=np.uint16))).sum(-1).astype(np.uint8)


def session(bits):
    """A session of one product with the integers, stored in so many bits, and 2 as their zero point."""
    zeros = np.full((COLUMNS, ROWS // BLOCK), 2, np.uint8)
    weights = {"b": packed(integers, bits), "s": scales, "z": packed(zeros, bits).reshape(-1)}
    node = helper.make_node(
        "MatMulNBits", ["x", *weights], ["y"], domain="com.microsoft", K=ROWS, N=COLUMNS, bits=bits, block_size=BLOCK
    )
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, size]) for n, size in (("x", ROWS), ("y", COLUMNS))]
    graph = helper.make_graph(
        [node], "product", infos[:1], infos[1:], [numpy_helper.from_array(a, n) for n, a in weights.items()]
    )
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


results, timed = {}, {}
for bits in (2, 4, 8):
    run = session(bits)
    times = []
    for _ in range(50):
        started = time.perf_counter()
        results[bits] = run.run(None, {"x": x})[0]
        times.append(time.perf_counter() - started)
    timed[bits] = min(times) * 1e6
print({f"{bits} bits": f"{microseconds:.0f} us" for bits, microseconds in timed.items()})
dense = (integers.reshape(COLUMNS, -1) - 2.0) * np.repeat(scales, BLOCK, axis=1)
for result in results.values():
    np.testing.assert_allclose(result, x @ dense.T, rtol=1e-3, atol=1e-3)
assert timed[2] > 8 * timed[4], "products with weights of 2 bits take little longer than those of 4 bits now"
PROGRAM
