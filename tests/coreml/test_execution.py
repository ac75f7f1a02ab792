"""Contexts on Core ML: on macOS the real one, elsewhere with the interpreter in the place of coremltools' `MLModel`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

import webnn
from tests.conformance import wpt
from tests.conformance.test_wpt_conformance import outputs_of
from webnn.backends.base import Cancellation, CompileOptions
from webnn.backends.coreml.backend import CoreMLBackend
from webnn.backends.coreml.export import MISSING, import_coremltools
from webnn.errors import OperationError, ValidationError

if find_spec("coremltools") is None:
    pytest.skip(MISSING, allow_module_level=True)

from tests.coreml.interpreter import read_package, run

UNITS: Final = os.environ.get("WEBNN_COREML_UNITS", "CPU_ONLY")
"""On macOS, the compute units that the conformance cases run on."""
on_a_mac: Final = pytest.mark.skipif(CoreMLBackend.unavailable() is not None, reason=str(CoreMLBackend.unavailable()))


class InterpretedModel:
    """Stands for coremltools' `MLModel`."""

    units: Any = None
    """Those of the last model."""

    def __init__(self, path: str, *, compute_units: Any) -> None:
        self.package = read_package(Path(path))
        InterpretedModel.units = compute_units

    def predict(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        return run(self.package, feeds)


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_coremltools().models, "MLModel", InterpretedModel)
    monkeypatch.setattr(CoreMLBackend, "unavailable", classmethod(lambda _: None))


@pytest.mark.usefixtures("emulated")
@pytest.mark.parametrize(
    ("preferences", "units", "type"),
    [
        ({}, "ALL", "npu"),
        ({"power_preference": "low-power"}, "CPU_AND_NE", "npu"),
        ({"power_preference": "high-performance"}, "CPU_AND_GPU", "gpu"),
        ({"accelerated": False}, "CPU_ONLY", "cpu"),
        ({"accelerated": False, "backend_options": {"compute_units": "ALL"}}, "ALL", "npu"),
    ],
)
def test_a_context_runs_graphs_on_the_units_that_it_prefers(preferences: Any, units: str, type: str) -> None:
    with webnn.create_context(backend="coreml", **preferences) as context:
        assert context.device.type == type
        builder = context.create_graph_builder()
        x, place, n = (
            builder.input("x", [2, 3], "float32"),
            builder.input("place", [], "int64"),
            builder.input("n", [3], "uint8"),
        )
        graph = builder.build(
            {
                "row": builder.gather(x, place),
                "total": builder.reduce_sum(x),
                "above": builder.greater(x, builder.constant(np.array(2, np.float32))),
                "more": builder.add(n, builder.constant(np.array([250], np.uint8))),
                str(preferences): builder.identity(x),  # equal graphs with equal options would share an executable
            }
        )
        array = np.arange(6, dtype=np.float32).reshape(2, 3)
        results = context.compute(graph, {"x": array, "place": np.array(-1), "n": np.array([1, 6, 255], np.uint8)})
        assert InterpretedModel.units.name == units
        np.testing.assert_array_equal(results["row"], array[1])
        assert results["total"].shape == ()
        assert float(results["total"]) == 15
        assert results["above"].dtype == np.uint8
        np.testing.assert_array_equal(results["above"], array > 2)
        np.testing.assert_array_equal(results["more"], [251, 0, 249])


@pytest.mark.usefixtures("emulated")
def test_an_integer_that_32_bits_do_not_hold_fails_the_run() -> None:
    with webnn.create_context(backend="coreml") as context:
        builder = context.create_graph_builder()
        graph = builder.build({"y": builder.identity(builder.input("x", [2], "int64"))})
        with pytest.raises(OperationError, match=r"input 'x' has 2147483648; Core ML holds int64 in 32 bits"):
            context.compute(graph, np.array([1, 2**31]))


@pytest.mark.usefixtures("emulated")
def test_what_core_ml_lacks_is_refused_at_the_call() -> None:
    with webnn.create_context(backend="coreml") as context:
        builder = context.create_graph_builder()
        with pytest.raises(ValidationError, match="add: a is int64, but must be float32"):
            builder.add(*(builder.input(name, [2], "int64") for name in "ab"))


@pytest.mark.usefixtures("emulated")
def test_a_failing_model_is_an_error_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def predict(self: InterpretedModel, feeds: object) -> None:
        raise RuntimeError("the neural engine is asleep")

    monkeypatch.setattr(InterpretedModel, "predict", predict)
    with webnn.create_context(backend="coreml") as context:
        builder = context.create_graph_builder()
        graph = builder.build({"y": builder.relu(builder.input("x", [2], "float32"))})
        with pytest.raises(OperationError, match=r"coreml: .*the neural engine is asleep"):
            context.compute(graph, np.ones(2, np.float32))


@pytest.mark.usefixtures("emulated")
def test_a_compilation_can_be_cancelled() -> None:
    with webnn.create_context(backend="arrays") as context:
        builder = context.create_graph_builder()
        graph = builder.build({"y": builder.relu(builder.input("x", [2], "float32"))})._graph
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(CancelledError):
        CoreMLBackend().compile(graph, CompileOptions(), cancellation)


@pytest.fixture(scope="module")
def context() -> Iterator[webnn.MLContext]:
    with webnn.create_context(backend="coreml", backend_options={"compute_units": UNITS}) as context:
        yield context


@on_a_mac
@pytest.mark.parametrize("case", wpt.parameters(wpt.conformance_cases()))
def test_conformance_on_core_ml(case: wpt.Case, context: webnn.MLContext) -> None:
    if case.stale is not None:
        pytest.skip(f"older than the specification: {case.stale}")
    try:
        outputs = outputs_of(case, context)
    except ValidationError as error:  # types and ranks that it lacks are refused at the call
        pytest.skip(str(error))
    problems = [
        wpt.problem(outputs[name], spec, case.data["tolerance"]) for name, spec in case.data["expectedOutputs"].items()
    ]
    assert not any(problems), problems
