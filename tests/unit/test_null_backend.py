"""The null backend accepts everything and computes nothing."""

from __future__ import annotations

import numpy as np

import webnn
from tests.direct import direct_builder
from tests.scripted import double, filled
from webnn.backends.base import Cancellation, CompileOptions
from webnn.backends.null import NullBackend


def test_it_compiles_any_graph_for_its_inputs_and_outputs() -> None:
    builder = direct_builder()
    graph = builder.build({"y": builder.relu(builder.input("x", [2, 3], "float32"))})
    executable = NullBackend().compile(graph, CompileOptions(), Cancellation())
    assert executable.inputs == list(graph.input_descriptors.items())
    assert executable.outputs == list(graph.output_descriptors.items())
    assert executable.byte_length == 0


def test_it_is_there_when_it_is_asked_for_and_never_preferred() -> None:
    assert "null" in {info.name for info in webnn.available_backends() if info.available}
    with webnn.ML().create_context() as context:
        assert context.backend != "null"


def test_a_context_on_it_gives_arrays_of_the_right_kind() -> None:
    with webnn.ML().create_context(backend="null") as context:
        outputs = context.compute(double(context, (2, 3)), {"x": filled(1, (2, 3))})
        assert outputs["y"].shape == (2, 3)
        assert outputs["y"].dtype == np.float32
