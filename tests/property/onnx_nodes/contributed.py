"""Random nodes of ONNX Runtime's own operators: attention, and products of few bits."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from tests.property.onnx_models import Models, Value
from tests.property.onnx_nodes.table import adds

__all__: list[str] = []

DOMAIN: Final = "com.microsoft"


def _shown(m: Models, shape: tuple[int, ...]) -> Value:
    """Which keys are shown, the first one to all: -10000 leaves few digits of scores where none is shown."""
    shown = m.array(np.int32, shape, 0, 1)
    shown[..., 0] = 1
    return m.fresh(shown)


def _attention_options(m: Models, heads: int) -> dict[str, Any]:
    options: dict[str, Any] = {"num_heads": heads}
    if m.maybe(0.3):
        options["scale"] = m.one_of(0.25, 1.5)
    if m.maybe(0.3):
        options["unidirectional"] = 1
    if m.maybe(0.2):
        options["mask_filter_value"] = m.one_of(-10.0, -1e4)
    return options


@adds("MultiHeadAttention")
def _multi_head_attention(m: Models, op_type: str) -> bool:
    batch, heads, queries, keys = m.between(1, 2), m.one_of(1, 2, 3), m.between(1, 4), m.between(1, 5)
    size, width = m.one_of(2, 4), m.one_of(2, 3, 4)
    q = m.take(np.float32, (batch, queries, heads * size))
    if m.maybe(0.2):  # keys and values that are split into heads already
        k, v = (m.take(np.float32, (batch, heads, keys, each)) for each in (size, width))
    else:
        k, v = (m.take(np.float32, (batch, keys, heads * each)) for each in (size, width))
    bias = m.take(np.float32, (heads * (2 * size + width),)) if k.rank == 3 and m.maybe(0.3) else None
    mask = None
    if m.maybe(0.4):
        mask = _shown(m, (batch, keys)) if m.maybe() else m.fresh(m.array(np.int32, (batch,), 1, keys))
    past: list[Value] = []
    if k.rank == 3 and m.maybe(0.2):
        before = m.between(1, 3)
        past = [m.take(np.float32, (batch, heads, before, each)) for each in (size, width)]
        keys, mask = keys + before, None
    added = m.take(np.float32, (m.one_of(1, batch), m.one_of(1, heads), queries, keys)) if m.maybe(0.3) else None
    options = _attention_options(m, heads) | {"outputs": 3 if past else 1}  # a past without a present is not read there
    return m.node(op_type, [q, k, v, bias, mask, added, *past], domain=DOMAIN, **options)


@adds("com.microsoft.Attention")
def _attention_with_projection(m: Models, op_type: str) -> bool:
    batch, heads, length, features = m.between(1, 2), m.one_of(1, 2), m.between(1, 4), m.between(1, 4)
    hidden = heads * m.one_of(2, 4)
    inputs: list[Value | None] = [
        m.take(np.float32, shape) for shape in ((batch, length, features), (features, 3 * hidden), (3 * hidden,))
    ]
    mask = None
    if m.maybe():
        counted, shape = m.maybe(), m.one_of((batch, length), (batch, length, length))
        mask = m.fresh(m.array(np.int32, (batch,), 1, length)) if counted else _shown(m, shape)
    inputs.append(mask)
    if m.maybe(0.2):
        inputs += [None, m.take(np.float32, (m.one_of(1, batch), m.one_of(1, heads), length, length))]
    return m.node(op_type.rpartition(".")[2], inputs, domain=DOMAIN, **_attention_options(m, heads))


@adds("GroupQueryAttention")
def _grouped_attention(m: Models, op_type: str) -> bool:
    batch, shared, size, length, before = (
        m.between(1, 2),
        m.one_of(1, 2),
        m.one_of(8, 16),
        m.between(1, 3),
        m.between(0, 4),
    )
    heads = shared * m.one_of(1, 2)
    inputs: list[Value | None] = [m.take(np.float32, (batch, length, each * size)) for each in (heads, shared, shared)]
    inputs += [m.take(np.float32, (batch, shared, before, size)) if before else None for _ in range(2)]
    inputs += [m.constant(np.full(batch, length + before - 1, np.int32))]
    inputs += [m.constant(np.array(length + before, np.int32))]
    options: dict[str, Any] = {"num_heads": heads, "kv_num_heads": shared}
    if m.maybe(0.4):
        options |= {"do_rotary": 1, "rotary_interleaved": m.between(0, 1)}
        inputs += [m.take(np.float32, (12, size // 2)) for _ in range(2)]
    if m.maybe(0.3):
        options["scale"] = m.one_of(0.25, 1.5)
    if m.maybe(0.2):
        options["softcap"] = m.one_of(0.5, 2.0)
    if m.maybe(0.2):
        options["local_window_size"] = m.between(1, 4)
    return m.node(op_type, inputs, domain=DOMAIN, outputs=3, **options)


@adds("MatMulNBits", "GatherBlockQuantized")
def _few_bits(m: Models, op_type: str) -> bool:
    bits, block, rows, inner = m.one_of(4, 8), m.one_of(16, 32), m.between(1, 5), m.one_of(16, 32, 48)
    blocks = -(-inner // block)
    dtype = m.one_of(np.float32, np.float32, np.float16)
    scales = m.constant(m.array(dtype, (rows, blocks), 0.25, 1))
    zeros = m.constant(m.array(np.uint8, (rows, -(-blocks * bits // 8)), 0, 255)) if m.maybe() else None
    options: dict[str, Any] = {"bits": bits, "block_size": block, "domain": DOMAIN}
    if op_type == "GatherBlockQuantized":
        data = m.constant(m.array(np.uint8, (rows, inner * bits // 8), 0, 255))
        places = m.fresh(m.array(m.one_of(np.int32, np.int64), m.shape(0, 2), -rows, rows - 1))
        return m.node(op_type, [data, places, scales, zeros], gather_axis=0, quantize_axis=1, **options)
    a = m.take(dtype, (*m.shape(0, 1), m.between(1, 3), inner))
    weights = m.constant(m.array(np.uint8, (rows, blocks, block * bits // 8), 0, 255))
    bias = m.constant(m.array(dtype, (rows,))) if m.maybe(0.3) else None
    return m.node(op_type, [a, weights, scales, zeros, None, bias], K=inner, N=rows, **options)


@adds("DynamicQuantizeMatMul", "MatMulIntegerToFloat")
def _integer_products(m: Models, op_type: str) -> bool:
    rows, inner, columns = m.between(1, 4), m.between(1, 5), m.between(1, 4)
    left, right = m.one_of(np.int8, np.uint8), m.one_of(np.int8, np.uint8)
    of = (columns,) if m.maybe(0.3) else ()
    is_dynamic = op_type.startswith("Dynamic")
    a = m.take(np.float32 if is_dynamic else left, (*m.shape(0, 1), rows, inner), exact=True)
    b = m.take(right, (inner, columns))
    scales = [m.fresh(m.array(np.float32, shape, 0.25, 1)) for shape in ((of,) if is_dynamic else ((), of))]
    zeros = [
        m.fresh(m.array(kind, shape, 0, 5)) if m.maybe() else None
        for kind, shape in (((right, of),) if is_dynamic else ((left, ()), (right, of)))
    ]
    bias = m.take(np.float32, (columns,)) if m.maybe() else None
    return m.node(op_type, [a, b, *scales, *zeros, bias], domain=DOMAIN)
