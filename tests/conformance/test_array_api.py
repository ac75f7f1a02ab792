"""The conformance cases on a library that has the array-API standard and nothing else, which shows that the kernels of
the arrays backend run on every such library, CuPy among them."""

from __future__ import annotations

from collections.abc import Iterator

import array_api_strict
import pytest

import webnn
from tests.conformance import wpt
from tests.conformance.test_wpt_conformance import outputs_of
from tests.conformance.verdicts import verdict
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import CompileOptions
from webnn.errors import ValidationError
from webnn.graph.limits import SPEC_LIMITS
from webnn.runtime.context import MLContext

BACKEND = ArraysBackend(array_api_strict)
MISSING = ("float16", "int4", "uint4")
"""The data types of WebNN that the standard lacks."""


@pytest.fixture(scope="module")
def context() -> Iterator[webnn.MLContext]:
    with MLContext(BACKEND, CompileOptions(), lanes=1, memory_budget=None) as context:
        yield context


def test_the_limits_leave_out_the_data_types_that_the_library_lacks() -> None:
    for op, rows in BACKEND.support_limits().items():
        for name, row in rows.items():
            full = SPEC_LIMITS[op][name]
            assert not {*row.types, *row.ours} & {*MISSING}, (op, name)
            if op not in ("is_nan", "is_infinite"):
                assert {*full.types} - {*row.types} <= {*MISSING}, (op, name)


def test_a_graph_of_a_data_type_that_the_library_lacks_is_refused(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    with pytest.raises(ValidationError, match="float16"):
        builder.relu(builder.input("x", [2], "float16"))


@pytest.mark.parametrize("case", wpt.parameters(wpt.conformance_cases()))
def test_conformance_under_the_bare_standard(
    case: wpt.Case, context: webnn.MLContext, request: pytest.FixtureRequest
) -> None:
    specs = [*case.data["inputs"].values(), *case.data["expectedOutputs"].values()]
    if missing := {spec["dataType"] for spec in specs} & {*MISSING}:
        pytest.skip(f"the array-API standard has no {', '.join(sorted(missing))}")
    with verdict(request, "conformance", "array-api-strict", case):
        outputs = outputs_of(case, context)
        for name, spec in case.data["expectedOutputs"].items():
            assert not wpt.problem(outputs[name], spec, case.data["tolerance"])
