"""Every conformance case of WPT, as coremltools computes the program that it is lowered to.

It has no values for convolution, pools, `batch_norm`, `gather_nd` and a few others: those cases are skipped here. The
programs that are saved are compared in full by the interpreter of this folder's other tests.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

import numpy as np
import pytest

import webnn
from tests.conformance import wpt
from tests.conformance.known_failures import known_failure
from tests.conformance.test_wpt_conformance import graph_of
from tests.coreml.inference import inferred
from webnn.backends.coreml.export import MISSING
from webnn.errors import NotSupportedError

if find_spec("coremltools") is None:
    pytest.skip(MISSING, allow_module_level=True)

REFUSED: Final = frozenset({"uint32", "uint64", "int64"})
"""Only cases with these data types, or of more than 5 dimensions, may be refused."""

NOT_COMPUTED: Final = frozenset(
    {
        *("average_pool2d", "batch_normalization", "conv2d", "conv_transpose2d", "dequantize_linear", "gather_nd"),
        *("l2_pool2d", "max_pool2d", "scatter_nd"),
    }
)
"""Operators whose programs coremltools does not compute in some or in all cases."""


@pytest.mark.parametrize("case", wpt.parameters(wpt.conformance_cases()))
def test_conformance(case: wpt.Case, context: webnn.MLContext) -> None:
    if case.stale is not None:
        pytest.skip(f"older than the specification: {case.stale}")
    graph, feeds = graph_of(case, context)
    ir = graph._graph
    operands = [operand for node in ir.nodes for operand in (*node.inputs(), *node.outputs)]
    try:
        outputs = inferred(ir, feeds)
    except NotSupportedError as error:
        if not any(operand.data_type in REFUSED or operand.rank > 5 for operand in operands):
            raise
        pytest.skip(str(error))
    finally:
        graph.destroy()
    problems = {
        name: wpt.problem(array, spec, case.data["tolerance"])
        for name, spec in case.data["expectedOutputs"].items()
        if (array := outputs[name]) is not None
    }
    if not problems:
        assert {node.op for node in ir.nodes} & NOT_COMPUTED
        pytest.skip("coremltools does not compute it")
    if any(problems.values()) and (reason := known_failure(case.file, case.name, "coreml")):
        pytest.xfail(reason)
    assert not any(problems.values()), problems


def test_a_wrong_value_would_be_seen() -> None:
    with webnn.create_context(backend="arrays") as context:
        builder = context.create_graph_builder()
        x = builder.input("x", [3], "float32")
        graph = builder.build({"y": builder.add(x, builder.constant(np.array([1, 2, 3], np.float32)))})
        outputs = inferred(graph._graph, {"x": np.zeros(3, np.float32)})
    array = outputs["y"]
    assert array is not None
    expected = {"data": [1, 2, 4], "shape": [3], "dataType": "float32"}
    assert wpt.problem(array, expected, {"metric": "ULP", "value": 0})
