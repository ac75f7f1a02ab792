"""Random products, convolutions, pools and quantized nodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.property.onnx_models import Models, Value
from tests.property.onnx_nodes.table import FLOATS, adds

__all__: list[str] = []


@adds("MatMul", "MatMulInteger")
def _product(m: Models, op_type: str) -> bool:
    left, inner, right = m.between(1, 4), m.between(1, 5), m.between(1, 4)
    batch = m.shape(0, 2)
    a, b = (*batch, left, inner), (*(m.broadcast(batch)), inner, right)
    if m.maybe(0.2):
        a, b = m.one_of(((inner,), b), (a, (inner,)), ((inner,), (inner,)))
    if op_type == "MatMul":
        dtype = m.one_of(*FLOATS, np.int32, np.int64, np.uint32)
        return m.node(op_type, [m.take(dtype, a), m.take(dtype, b)])
    types = m.one_of(np.int8, np.uint8), m.one_of(np.int8, np.uint8)
    factors = [m.take(types[0], a), m.take(types[1], b)]
    zeros = [m.fresh(m.array(kind, (), 0, 5)) for kind in types[: m.between(0, 2)]]
    return m.node(op_type, [*factors, *zeros], exact=True)


@adds("Gemm")
def _gemm(m: Models, op_type: str) -> bool:
    rows, inner, columns, dtype = m.between(1, 4), m.between(1, 4), m.between(1, 4), m.one_of(*FLOATS)
    flipped = m.between(0, 1), m.between(0, 1)
    a = m.take(dtype, (inner, rows) if flipped[0] else (rows, inner))
    b = m.take(dtype, (columns, inner) if flipped[1] else (inner, columns))
    c = m.take(dtype, m.broadcast((rows, columns))) if m.version < 11 or m.maybe(0.7) else None
    options = {"alpha": m.one_of(1.0, 0.5, -2.0), "beta": m.one_of(1.0, 0.5, 0.0, -1.0)} if m.maybe() else {}
    return m.node(op_type, [a, b, c], transA=flipped[0], transB=flipped[1], **options)


@adds("Einsum")
def _einsum(m: Models, op_type: str) -> bool:
    sizes = {letter: m.between(1, 3) for letter in "abcd"}
    terms = ["".join(m.rng.sample("abcd", m.between(1, 3))) for _ in range(m.between(1, 3))]
    letters = sorted(set("".join(terms)))
    equation = ",".join(terms)
    if m.maybe(0.8):
        equation += "->" + "".join(m.rng.sample(letters, m.between(0, len(letters))))
    inputs = [m.take(np.float32, [sizes[letter] for letter in term]) for term in terms]
    return m.node(op_type, inputs, equation=equation)


def _windows(m: Models, rank: int, kernel: list[int]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if m.maybe():
        options["strides"] = [m.between(1, 3) for _ in range(rank)]
    if m.maybe(0.3):
        options["dilations"] = [m.between(1, 2) for _ in range(rank)]
    if m.maybe():
        options["pads"] = [m.between(0, max(n - 1, 0)) for n in kernel * 2]
    elif m.maybe(0.3) and "dilations" not in options:
        options["auto_pad"] = m.one_of("SAME_UPPER", "SAME_LOWER", "VALID")
    return options


@adds("Conv", "ConvTranspose", "ConvInteger")
def _convolution(m: Models, op_type: str) -> bool:
    rank, groups, dtype = (
        m.between(1, 3 if m.maybe(0.1) else 2),
        m.one_of(1, 1, 2, 3),
        m.one_of(np.float32, np.float32, np.float16),
    )
    kernel = [m.between(1, 3) for _ in range(rank)]
    channels, filters = groups * m.between(1, 2), groups * m.between(1, 2)
    if op_type == "ConvInteger":
        dtype, groups, channels = np.uint8, 1, m.between(1, 2)
    x = m.take(dtype, (m.between(1, 2), channels, *(m.between(2, 6) for _ in range(rank))))
    options = _windows(m, rank, kernel)
    shape = (channels, filters // groups) if op_type == "ConvTranspose" else (filters, channels // groups)
    weights = m.take(dtype, (*shape, *kernel))
    more = [m.take(dtype, (filters,))] if op_type != "ConvInteger" and m.maybe() else []
    if op_type == "ConvInteger" and m.maybe():
        more = [m.fresh(m.array(np.uint8, (), 0, 5)), m.fresh(m.array(np.uint8, (), 0, 5))][: m.between(1, 2)]
    if op_type == "ConvTranspose":
        if options.get("auto_pad", "VALID") != "VALID":  # documented: onnxruntime leaves out an end
            options.pop("auto_pad")
        if m.maybe(0.3):
            options["output_padding"] = [m.between(0, n - 1) for n in options.get("strides", [1] * rank)]
    if m.maybe():
        options["kernel_shape"] = kernel
    return m.node(op_type, [x, weights, *more], exact=op_type == "ConvInteger", group=groups, **options)


@adds("AveragePool", "MaxPool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def _pool(m: Models, op_type: str) -> bool:
    rank = m.between(1, 3 if m.maybe(0.1) else 2)
    dtype = m.one_of(
        np.float32, np.float32, np.float16, *((np.int8, np.uint8) if op_type == "MaxPool" and m.version >= 12 else ())
    )
    x = m.take(dtype, (m.between(1, 2), m.between(1, 3), *(m.between(3, 6) for _ in range(rank))))
    if op_type.startswith("Global"):
        return m.node(op_type, [x], **({"p": m.between(1, 3)} if "Lp" in op_type and m.maybe() else {}))
    kernel = [m.between(1, 3) for _ in range(rank)]
    options = _windows(m, rank, kernel)
    if "auto_pad" in options and any(n < step for n, step in zip(kernel, options.get("strides", kernel), strict=True)):
        return False  # documented to differ
    if m.version < 10 or (op_type == "AveragePool" and m.version < 19) or (op_type == "LpPool" and m.version < 18):
        options.pop("dilations", None)
    if m.maybe(0.3) and m.version >= (18 if op_type == "LpPool" else 10):
        options["ceil_mode"] = 1
    if op_type == "AveragePool" and m.maybe(0.4):
        options["count_include_pad"] = 1
    if op_type == "LpPool":
        options["p"] = m.between(1, 3)
    outputs = 2 if op_type == "MaxPool" and m.version >= 8 and m.maybe(0.2) else 1
    return m.node(op_type, [x], outputs=outputs, kernel_shape=kernel, exact=op_type == "MaxPool", **options)


@adds("QuantizeLinear", "DequantizeLinear")
def _quantization(m: Models, op_type: str) -> bool:
    narrow = m.one_of(np.int8, np.uint8, np.int8, np.uint8, *((np.int16, np.uint16) if m.version >= 21 else ()))
    x = m.take(
        np.float32 if op_type == "QuantizeLinear" else m.one_of(narrow, narrow, np.int32), rank=(1, 4), exact=True
    )
    axis = m.axis(x.rank)
    per_axis = m.version >= 13 and m.maybe()
    shape = (x.shape[axis],) if per_axis else ()
    scale = m.fresh(m.one_of(0.25, 0.5, 1.0) * np.ones(shape, np.float32) * m.array(np.float32, shape, 1, 1))
    kind = narrow if op_type == "QuantizeLinear" else x.array.dtype
    zero = m.fresh(m.array(kind, shape, 0, 0 if kind == np.int32 else 5)) if m.maybe(0.7) else None
    return m.node(op_type, [x, scale, zero], exact=True, **({"axis": axis} if per_axis else {}))


@adds("DynamicQuantizeLinear")
def _dynamic(m: Models, op_type: str) -> bool:
    return m.node(op_type, [m.take(np.float32, rank=(1, 3), exact=True)], outputs=3)


@adds("QLinearMatMul")
def _quantized_product(m: Models, op_type: str) -> bool:
    rows, inner, columns, kind = m.between(1, 4), m.between(1, 4), m.between(1, 4), m.one_of(np.int8, np.uint8)

    def scaled() -> list[Value]:
        return [m.fresh(np.array(m.one_of(0.25, 0.5, 1.0), np.float32)), m.fresh(m.array(kind, (), 0, 5))]

    a, b = m.take(kind, (rows, inner)), m.take(kind, (inner, columns))
    return m.node(op_type, [a, *scaled(), b, *scaled(), *scaled()], exact=True)


@adds("Attention", "RotaryEmbedding")
def _attention(m: Models, op_type: str) -> bool:
    batch, heads, size, queries = m.between(1, 2), m.one_of(1, 2, 4), m.one_of(2, 4), m.between(1, 4)
    if op_type == "RotaryEmbedding":
        x = m.take(np.float32, (batch, heads, queries, size), exact=True)
        tables = [m.take(np.float32, (5, size // 2)) for _ in range(2)]
        places = m.fresh(m.array(np.int64, (batch, queries), 0, 4))
        return m.node(op_type, [x, *tables, places], interleaved=m.between(0, 1))
    shared, keys, values = m.one_of(*[n for n in (1, 2, 4) if heads % n == 0]), m.between(1, 5), m.one_of(2, 3)
    q = m.take(np.float32, (batch, heads, queries, size))
    k, v = m.take(np.float32, (batch, shared, keys, size)), m.take(np.float32, (batch, shared, keys, values))
    mask = None
    if m.maybe():
        mask = m.take(m.one_of(np.float32, np.bool_), m.one_of((queries, keys), (1, keys), (batch, 1, queries, keys)))
        if mask.array.dtype == np.bool_ and not mask.array.any(-1).all():
            return False  # a query that sees nothing
    options: dict[str, Any] = {}
    if m.maybe(0.3) and queries <= keys and mask is None:
        options["is_causal"] = 1
    if m.maybe(0.3):
        options["softcap"] = m.one_of(0.5, 2.0)
    if m.maybe(0.3):
        options["scale"] = m.one_of(0.25, 1.5)
    return m.node(op_type, [q, k, v, mask], **options)


@adds("Binarizer", "Normalizer", "Scaler", "Imputer", "LinearRegressor", "LabelEncoder", "ArrayFeatureExtractor")
def _classical(m: Models, op_type: str) -> bool:
    rows, columns = m.between(1, 4), m.between(1, 4)
    numbers = m.rng.choices([-1.5, -0.5, 0.0, 0.5, 1.0, 2.0], k=columns)
    dtype = m.one_of(np.float32, np.float32, np.int64, np.float64, np.int32)
    high = 4 if op_type == "Normalizer" else 3  # no integers whose squares overflow in onnxruntime: see docs/models.md
    x = m.take(dtype, (rows, columns), exact=True, low=-high, high=high)
    options: dict[str, Any] = {
        "Binarizer": {"threshold": m.one_of(0.0, 0.5, -1.0)},
        "Normalizer": {"norm": m.one_of("MAX", "L1", "L2")},
        "Scaler": {"offset": numbers, "scale": [m.one_of(0.5, 2.0)] * columns},
        "Imputer": {"imputed_value_floats": numbers, "replaced_value_float": m.one_of(0.5, float("nan"))}
        if dtype == np.float32
        else {"imputed_value_int64s": [1] * columns, "replaced_value_int64": 2},
        "LinearRegressor": {"coefficients": numbers * 2, "intercepts": [0.5, 1.0], "targets": 2},
        "LabelEncoder": {"keys_int64s": [0, 1, 2], "values_floats": [0.5, 1.5, 2.5], "default_float": -1.0}
        if dtype == np.int64
        else {"keys_floats": [0.0, 0.5, 1.0], "values_floats": [0.5, 1.5, 2.5], "default_float": -1.0},
        "ArrayFeatureExtractor": {},
    }[op_type]
    places = (
        [m.fresh(m.array(np.int64, (m.between(1, 3),), 0, columns - 1))] if op_type == "ArrayFeatureExtractor" else []
    )
    return m.node(
        op_type,
        [x, *places],
        domain="ai.onnx.ml",
        exact=op_type in {"Binarizer", "LabelEncoder", "Imputer", "ArrayFeatureExtractor"},
        **options,
    )


@adds(
    "FusedMatMul",
    "BiasGelu",
    "QuickGelu",
    "FastGelu",
    "SkipLayerNormalization",
    "QLinearAdd",
    "QLinearMul",
    "QLinearConcat",
)
def _contributed(m: Models, op_type: str) -> bool:
    rows, columns = m.between(1, 4), m.between(1, 4)
    x = m.take(np.float32, (rows, columns), exact=op_type.startswith("Skip"))
    if op_type == "FusedMatMul":
        flipped = m.between(0, 1), m.between(0, 1)
        inner = rows if flipped[0] else columns
        y = m.take(np.float32, (m.between(1, 3), inner) if flipped[1] else (inner, m.between(1, 3)))
        return m.node(
            op_type, [x, y], domain="com.microsoft", transA=flipped[0], transB=flipped[1], alpha=m.one_of(1.0, 0.5)
        )
    if op_type.startswith("QLinear"):
        kind = m.one_of(np.int8, np.uint8)

        def scaled() -> list[Value]:
            return [m.fresh(np.array(m.one_of(0.25, 0.5, 1.0), np.float32)), m.fresh(m.array(kind, (), 0, 5))]

        a, b = m.take(kind, (rows, columns)), m.take(kind, (rows, columns))
        if op_type == "QLinearConcat":
            return m.node(
                op_type,
                [*scaled(), a, *scaled(), b, *scaled()],
                domain="com.microsoft",
                axis=m.between(0, 1),
                exact=True,
            )
        return m.node(op_type, [a, *scaled(), b, *scaled(), *scaled()], domain="com.microsoft", exact=True)
    if op_type == "SkipLayerNormalization":
        x = m.take(np.float32, (1, rows, columns), exact=True)
        return m.node(
            op_type,
            [
                x,
                m.take(np.float32, x.shape, exact=True),
                m.take(np.float32, (columns,)),
                m.take(np.float32, (columns,)),
            ],
            domain="com.microsoft",
            epsilon=0.5,
        )
    bias = [m.take(np.float32, (columns,))] if op_type == "BiasGelu" or (op_type == "FastGelu" and m.maybe()) else []
    return m.node(op_type, [x, *bias], domain="com.microsoft")


@adds("DFT", "TensorScatter")
def _newer(m: Models, op_type: str) -> bool:
    if op_type == "DFT":
        x = m.take(np.float32, (m.between(1, 2), m.between(1, 8), m.between(1, 2)))
        return m.node(
            op_type, [x], inverse=m.between(0, 1) if x.shape[-1] == 2 else 0, **({"axis": 1} if m.version < 20 else {})
        )
    cache = m.take(np.float32, (m.between(1, 2), m.between(1, 2), 5, m.between(1, 3)))
    update = m.take(np.float32, (*cache.shape[:2], m.between(1, 3), cache.shape[3]))
    places = m.fresh(m.array(np.int64, (cache.shape[0],), 0, 2))
    return m.node(op_type, [cache, update, places], mode=m.one_of("linear", "circular"), exact=True)
