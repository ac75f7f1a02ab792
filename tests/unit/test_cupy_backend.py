"""The CuPy backend on a stand-in for CuPy, which keeps its "device memory" in NumPy arrays and counts what is copied.

It proves the backend's own lines. Whether CuPy does the same, tests/gpu/ shows on a machine that has a CUDA device.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import webnn
from webnn.backends.cupy.backend import CuPyBackend
from webnn.backends.registry import BackendInfo

MEMORY = 1 << 20


class DeviceArray(np.ndarray[Any, Any]):
    """Elements on the device: `set` copies to it, `get` from it."""

    def set(self, data: np.ndarray[Any, Any]) -> None:
        COUNTS["to the device"] += 1
        np.asarray(self)[...] = data

    def get(self) -> np.ndarray[Any, Any]:
        COUNTS["from the device"] += 1
        return np.array(self)


COUNTS = {"to the device": 0, "from the device": 0, "waits": 0}


class OutOfMemoryError(Exception):
    pass


class CUDARuntimeError(Exception):
    pass


class Stream:
    def synchronize(self) -> None:
        COUNTS["waits"] += 1


class StandIn(ModuleType):
    """NumPy's functions under CuPy's name."""

    def __init__(self, devices: int = 1) -> None:
        super().__init__("cupy")
        self.__spec__ = ModuleSpec("cupy", None)
        self.devices = devices
        self.cuda = SimpleNamespace(
            memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            runtime=SimpleNamespace(getDeviceCount=self.count, CUDARuntimeError=CUDARuntimeError),
            get_current_stream=Stream,
        )

    def count(self) -> int:
        if self.devices < 0:
            raise CUDARuntimeError("the driver is too old")
        return self.devices

    def empty(self, shape: Any, dtype: Any) -> Any:
        if np.prod(shape) > MEMORY:
            raise OutOfMemoryError("out of memory")
        return np.empty(shape, dtype).view(DeviceArray)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    module, package = StandIn(), ModuleType("array_api_compat")
    package.__spec__ = ModuleSpec("array_api_compat", None)
    monkeypatch.setitem(sys.modules, "cupy", module)
    monkeypatch.setitem(sys.modules, "array_api_compat", package)
    monkeypatch.setitem(sys.modules, "array_api_compat.cupy", module)
    monkeypatch.setattr(package, "cupy", module, raising=False)
    for name in COUNTS:
        COUNTS[name] = 0
    return module


def row() -> BackendInfo:
    (found,) = [info for info in webnn.available_backends() if info.name == "cupy"]
    return found


def test_a_chain_of_dispatches_copies_only_what_is_written_and_read(cupy: StandIn) -> None:
    with webnn.ML().create_context(backend="cupy") as context:
        assert context.accelerated
        builder = context.create_graph_builder()
        x = builder.input("x", [4], "float32")
        graph = builder.build({"y": x * 2 + 1})
        tensors = [context.create_tensor([4], "float32", readable=True, writable=True) for _ in range(2)]
        context.write_tensor(tensors[0], np.arange(4, dtype=np.float32))
        for i in range(6):
            context.dispatch(graph, {"x": tensors[i % 2]}, {"y": tensors[(i + 1) % 2]})
        result = context.read_tensor(tensors[0]).result()
        np.testing.assert_array_equal(result, 64 * np.arange(4) + 63)
        assert COUNTS == {"to the device": 1, "from the device": 1, "waits": 6}


def test_a_tensor_that_was_never_written_is_zero(cupy: StandIn) -> None:
    with webnn.ML().create_context(backend="cupy") as context:
        tensor = context.create_tensor([3], "float32", readable=True)
        np.testing.assert_array_equal(context.read_tensor(tensor).result(), np.zeros(3))


def test_a_device_without_enough_memory_fails_the_read_and_not_the_context(cupy: StandIn) -> None:
    with webnn.ML().create_context(backend="cupy") as context:
        with pytest.raises((webnn.MLError, MemoryError), match="CUDA device has no"):
            context.read_tensor(context.create_tensor([MEMORY], "float32", readable=True)).result()
        small = context.create_tensor([2], "float32", readable=True)
        np.testing.assert_array_equal(context.read_tensor(small).result(), np.zeros(2))


@pytest.mark.parametrize(("devices", "reason"), [(0, "CUDA found no device"), (-1, "the driver is too old")])
def test_a_machine_without_a_device_is_told_why(cupy: StandIn, devices: int, reason: str) -> None:
    cupy.devices = devices
    assert not row().available
    assert reason in row().reason


def test_without_cupy_the_reason_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webnn.backends.cupy.backend.find_spec", lambda name: None)
    assert CuPyBackend.unavailable() == "cupy is not installed: pip install cupy-cuda12x array-api-compat"


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({}, False),
        ({"accelerated": False}, False),
        ({"device_type": "cpu"}, False),
        ({"device_type": "npu"}, False),
        ({"accelerated": True}, True),
        ({"device_type": "gpu"}, True),
        ({"power_preference": "high-performance"}, True),
        ({"compute_policy": "low-power"}, True),
    ],
)
def test_it_is_chosen_where_a_program_asks_for_an_accelerator(
    cupy: StandIn, options: dict[str, Any], chosen: bool
) -> None:
    with webnn.ML().create_context(**options) as context:
        assert (context.backend == "cupy") is chosen
        assert context.device.type == ("gpu" if chosen else "cpu")
