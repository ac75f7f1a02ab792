"""Random calls of every operator on the WebGPU device give what the arrays backend gives: `make webgpu`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import webnn
from tests.conformance.chromium.tolerances import without_subnormals
from tests.property.calls import VALID, valid_call
from tests.property.draft import Draft, Shape, Values
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend, Cancellation, CompileOptions
from webnn.errors import ValidationError
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

(WEBGPU,) = [info for info in webnn.available_backends() if info.name == "webgpu"]
if not WEBGPU.available:
    pytest.skip(WEBGPU.reason, allow_module_level=True)

from webnn.backends.webgpu.backend import WebGpuBackend  # noqa: E402  (only where onnxruntime has the provider)

T = TypeVar("T")
Array = np.ndarray[Any, Any]
DEVICE, ARRAYS = WebGpuBackend(), ArraysBackend()


class DeviceDraft(Draft):
    """A draft without numbers that are too small for the device, and without float16 where it has none."""

    def pick(self, options: Sequence[T]) -> T:
        has_float16 = "float16" in DEVICE.support_limits()["add"]["a"].types
        return super().pick([option for option in options if option != "float16" or has_float16] or options)

    def make(self, data_type: DataType, shape: Shape, values: Values | None = None) -> MLOperand:
        draw = values or self.values
        return super().make(data_type, shape, lambda *given: without_subnormals(draw(*given)))


def run(graph: Graph, feeds: Mapping[str, Array], backend: Backend) -> dict[str, Array]:
    """The outputs of `graph` in the backend's own memory."""
    executable, allocator = backend.compile(graph, CompileOptions(), Cancellation()), backend.allocator
    inputs = [allocator.view(descriptor) for _, descriptor in executable.inputs]
    for (name, descriptor), view in zip(executable.inputs, inputs, strict=True):
        allocator.write(view, np.asarray(feeds[name], descriptor.dtype))
    outputs = [allocator.view(descriptor) for _, descriptor in executable.outputs]
    executable.run(inputs, outputs)
    return {name: allocator.host_array(view) for (name, _), view in zip(executable.outputs, outputs, strict=True)}


@pytest.mark.parametrize("op", VALID)
@settings(
    max_examples=5, derandomize=True, deadline=None, phases=[Phase.generate], suppress_health_check=[*HealthCheck]
)
@given(data=st.data())
def test_the_device_agrees_on(op: str, data: st.DataObject) -> None:
    draft = DeviceDraft(data, DEVICE)
    try:
        made = valid_call(draft, op).on(draft.builder)
    except ValidationError:  # of a data type that the device does not have
        return
    outputs = {f"output {i}": output for i, output in enumerate(made) if output.data_type not in ("int4", "uint4")}
    if not outputs:
        return
    graph = draft.builder.build(outputs)
    expected = run(graph, draft.feeds, ARRAYS)
    for name, found in run(graph, draft.feeds, DEVICE).items():
        assert found.dtype == expected[name].dtype
        if found.dtype.kind == "f":
            np.testing.assert_allclose(found, expected[name], rtol=1e-3, atol=1e-3)
        else:
            np.testing.assert_array_equal(found, expected[name])
