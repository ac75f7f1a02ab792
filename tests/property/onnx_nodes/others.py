"""Random nodes of images and sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.property.onnx_models import Models, Value
from tests.property.onnx_nodes.table import adds

__all__: list[str] = []


@adds("Resize", "Upsample")
def _resize(m: Models, op_type: str) -> bool:
    x = m.take(
        m.one_of(np.float32, np.float32, np.float32, np.uint8, np.int32),
        (1, m.between(1, 2), m.between(1, 5), m.between(1, 5)),
        exact=True,
    )
    scales = [1.0, 1.0, m.one_of(1.0, 2.0, 0.5, 1.5, 3.0), m.one_of(1.0, 2.0, 0.5, 0.75)]
    mode = m.one_of("nearest", "linear")
    if op_type == "Upsample":
        scales = [max(1.0, scale) for scale in scales]
        if m.version < 9:
            return m.node(op_type, [x], mode=mode, scales=scales)
        return m.node(op_type, [x, m.constant(np.array(scales, np.float32))], mode=mode)
    if m.version < 11:
        return m.node(op_type, [x, m.constant(np.array(scales, np.float32))], mode=mode)
    options: dict[str, Any] = {"mode": m.one_of("nearest", "linear", "cubic")}
    if m.maybe(0.7):
        symmetric = ("half_pixel_symmetric",) if m.version >= 19 else ()
        options["coordinate_transformation_mode"] = m.one_of(
            "half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel", *symmetric
        )
    if options["mode"] == "nearest" and m.maybe(0.7):
        options["nearest_mode"] = m.one_of("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    if options["mode"] == "cubic" and m.maybe():
        options["cubic_coeff_a"] = m.one_of(-0.5, -0.75)
        options["exclude_outside"] = m.between(0, 1)
    if options["mode"] != "nearest" and m.version >= 18 and m.maybe(0.3):
        options["antialias"] = 1
    roi = None if m.version >= 13 else m.constant(np.zeros(0, np.float32))
    if m.maybe():
        return m.node(op_type, [x, roi, m.constant(np.array(scales, np.float32))], **options)
    sizes = m.integers(*x.shape[:2], m.between(1, 6), m.between(1, 6))
    empty = None if m.version >= 13 else m.constant(np.zeros(0, np.float32))
    return m.node(op_type, [x, roi, empty, sizes], **options)


@adds("GridSample", "Det", "Col2Im", "AffineGrid")
def _image(m: Models, op_type: str) -> bool:
    if op_type == "Det":
        n = m.between(1, 3)
        return m.node(op_type, [m.take(np.float32, (*m.shape(0, 1), n, n), exact=True)])
    if op_type == "GridSample":
        x = m.take(np.float32, (m.between(1, 2), m.between(1, 2), m.between(1, 4), m.between(1, 4)))
        grid = m.take(np.float32, (x.shape[0], m.between(1, 3), m.between(1, 3), 2), exact=True, low=-1.25, high=1.25)
        options = {
            "mode": m.one_of("bilinear", "bicubic", "nearest")
            if m.version < 20
            else m.one_of("linear", "cubic", "nearest"),
            "padding_mode": m.one_of("zeros", "border", "reflection"),
            "align_corners": m.between(0, 1),
        }
        return m.node(op_type, [x, grid], **options)
    if op_type == "AffineGrid":
        batch = m.between(1, 2)
        theta = m.take(np.float32, (batch, 2, 3))
        return m.node(
            op_type, [theta, m.integers(batch, 1, m.between(1, 3), m.between(1, 3))], align_corners=m.between(0, 1)
        )
    block, count = (m.between(1, 2), m.between(1, 2)), (m.between(1, 2), m.between(1, 2))
    image = [b * c for b, c in zip(block, count, strict=True)]
    x = m.take(np.float32, (1, m.between(1, 2) * block[0] * block[1], count[0] * count[1]))
    return m.node(op_type, [x, m.integers(*image), m.integers(*block)], strides=list(block))


@adds("RNN", "GRU", "LSTM")
def _recurrent(m: Models, op_type: str) -> bool:
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[op_type]
    steps, batch, features, hidden = m.between(1, 3), m.between(1, 2), m.between(1, 3), m.between(1, 3)
    direction = m.one_of("forward", "reverse", "bidirectional")
    ways = 2 if direction == "bidirectional" else 1
    inputs: list[Value | None] = [
        m.take(np.float32, (steps, batch, features)),
        m.take(np.float32, (ways, gates * hidden, features)),
        m.take(np.float32, (ways, gates * hidden, hidden)),
        m.take(np.float32, (ways, 2 * gates * hidden)) if m.maybe() else None,
        m.fresh(m.array(np.int32, (batch,), 1, steps)) if m.maybe(0.2) else None,
        m.take(np.float32, (ways, batch, hidden)) if m.maybe() else None,
    ]
    options: dict[str, Any] = {}
    if op_type == "LSTM":
        inputs += [m.take(np.float32, (ways, batch, hidden)) if m.maybe() else None]
        inputs += [m.take(np.float32, (ways, 3 * hidden)) if m.maybe(0.3) else None]
    if op_type == "GRU":
        options["linear_before_reset"] = m.between(0, 1)
    if m.maybe(0.2):
        options["clip"] = 1.5
    outputs = m.between(1, 3 if op_type == "LSTM" else 2)
    return m.node(op_type, inputs, outputs=outputs, hidden_size=hidden, direction=direction, **options)
