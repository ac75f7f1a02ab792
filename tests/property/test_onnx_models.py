"""Small random ONNX models, computed here and by onnxruntime."""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from typing import Final

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.onnx_nodes import computed
from tests.property.onnx_models import Array, Drawn, Models, by_onnxruntime
from tests.property.onnx_nodes import NODES, any_node
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.errors import DataError, NotSupportedError
from webnn.formats.onnx.importing.data_types import held_dtype

EXAMPLES: Final = (settings.default or settings()).max_examples * 12
OPSETS: Final = (7, 24)

REFUSED: Final = (
    r"has no elements, which no WebNN operand can be",
    r"padding of .* leaves nothing of",  # only new elements would be left
    r"a window of \d+ does not fit into \d+",  # so there are no windows
    r"its zero point is computed when the model runs, and it is not known whether",
    r"it replaces missing values of int64",
)
"""All reasons for which a model that onnxruntime computes may be refused."""

ONE_APART: Final = {
    "Resize": "onnxruntime rounds integers after each axis, if it filters them against aliasing",
    "QLinearAdd": "onnxruntime adds the zero point before it rounds, which matters at halves",
    "QLinearMul": "the same",
}
"""Operators whose integers may be one apart, and why."""


@st.composite
def models(draw: st.DrawFn) -> Drawn:
    rng = draw(st.randoms(use_true_random=False))
    grown = Models(rng, rng.randint(*OPSETS), rng.choice((0.0, 0.3, 0.6, 1.0, 1.0)))
    nodes = rng.randint(1, 5)
    for _ in range(3 * nodes):
        nodes -= any_node(grown)
        if not nodes:
            break
    drawn = grown.drawn()
    assume(drawn is not None)
    assert drawn is not None
    return drawn


def difference(found: Array, wanted: Array, *, one_apart: bool) -> str | None:
    """How the results differ: in their shape, their type (of those that hold ONNX's types), or numbers."""
    held = held_dtype(wanted.dtype)
    if (found.shape, found.dtype) != (wanted.shape, held):
        return f"{found.dtype} {found.shape} is not {held} {wanted.shape}"
    if wanted.dtype.kind in "iub":
        exact = np.abs(found.astype(object) - wanted.astype(held).astype(object)) <= one_apart
    else:
        wide = wanted.astype(np.float64)
        tolerance = 4e-3 if wanted.dtype == np.float16 else 1e-4
        scale = max(float(np.max(np.abs(wide[np.isfinite(wide)]), initial=0)), 1e-2)
        exact = np.isclose(found.astype(np.float64), wide, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
    wrong = ~np.asarray(exact, np.bool_)
    return f"{found[wrong][:4]} is not {wanted[wrong][:4]}" if wrong.any() else None


@pytest.mark.parametrize("backend", [OnnxRuntimeBackend(), ArraysBackend()], ids=["onnxruntime", "arrays"])
@pytest.mark.skipif(sys.platform != "linux", reason="other builds of onnxruntime have other kernels")
def test_random_models_compute_what_onnxruntime_does(backend: Backend) -> None:
    refusals: Counter[str] = Counter()
    seen: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES)
    @given(drawn=models())
    def check(drawn: Drawn) -> None:
        model, feeds = drawn.model, drawn.feeds
        try:
            wanted = by_onnxruntime(model, feeds)
        except Exception:  # onnxruntime's optimizers refuse what its kernels compute
            return
        seen["computed"] += 1
        try:
            results = computed(model, feeds, backend, backend.composites)
        except (DataError, NotSupportedError) as error:
            reasons = [reason for reason in REFUSED if re.search(reason, str(error))]
            if not reasons:
                raise
            refusals.update(reasons[:1])
            return
        one_apart = any(node.op_type in ONE_APART for node in model.graph.node)
        for info, found, right in zip(model.graph.output, results, wanted, strict=True):
            problem = difference(found, right, one_apart=one_apart)
            if problem is not None:  # an optimizer of onnxruntime may be wrong, too
                (plain,) = (
                    array
                    for output, array in zip(
                        model.graph.output, by_onnxruntime(model, feeds, optimized=False), strict=True
                    )
                    if output.name == info.name
                )
                assert difference(found, plain, one_apart=one_apart) is None, f"{info.name}: {problem}"

    check()
    assert refusals.total() < seen["computed"] / 10, refusals


def test_every_operator_is_drawn() -> None:
    never = set(NODES)
    for seed in range(60):
        grown = Models(random.Random(seed), 24 if seed % 3 else 9 + seed // 3 % 12, 0.5)
        never -= {op_type for op_type in sorted(never) if NODES[op_type](grown)}
    assert not never
