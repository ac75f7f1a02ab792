"""Whether this processor multiplies 8-bit integers exactly.

Without VNNI or its like, onnxruntime adds up pairs of products of uint8 and int8 in 16 bits, which overflow and are
clipped: the results depend on the machine. Then integers are multiplied as floats.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from webnn.backends.onnx import messages
from webnn.backends.onnx.messages import TensorProto
from webnn.backends.onnx.model import IR_VERSION, OPSET
from webnn.backends.onnxruntime import native
from webnn.backends.onnxruntime.executable import CPU

__all__ = ["integer_products_are_exact"]


@cache
def integer_products_are_exact() -> bool:
    """Multiplies the largest integers, for one row and for many: some 5 ms, once in a process."""
    return all(_product_is_exact(rows) for rows in (1, 64))


def _product_is_exact(rows: int) -> bool:
    a = np.full((rows, 64), 255, np.uint8)
    b = np.full((64, 32), 127, np.int8)
    b[:, ::2] = -128
    y = np.zeros((rows, 32), np.int32)
    infos = [
        messages.value_info(name, element_type, array.shape)
        for name, element_type, array in (("a", TensorProto.UINT8, a), ("b", TensorProto.INT8, b))
    ]
    output = messages.value_info("y", TensorProto.INT32, y.shape)
    graph = messages.graph([messages.node("MatMulInteger", ["a", "b"], ["y"])], "product", infos, [output])
    model = messages.model(graph, {"": OPSET}, IR_VERSION)
    settings = native.SessionOptions()
    settings.log_severity_level = 4
    settings.intra_op_num_threads = 1
    session = native.InferenceSession(settings, model.SerializeToString(), False, False)
    session.initialize_session([], [], set())
    binding = native.SessionIOBinding(session)
    for name, array in (("a", a), ("b", b)):
        binding.bind_ortvalue_input(name, native.OrtValue.ortvalue_from_numpy(array, CPU))
    binding.bind_ortvalue_output("y", native.OrtValue.ortvalue_from_numpy(y, CPU))
    session.run_with_iobinding(binding, None)
    return bool(np.array_equal(y, a.astype(np.int32) @ b.astype(np.int32)))
