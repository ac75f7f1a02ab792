"""Backends are found by name, plugged in by entry points, and named with the reason when they are absent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

import webnn
from webnn.backends import registry
from webnn.backends.null import NullBackend
from webnn.backends.registry import available_backends, backend_named, preferred_backend
from webnn.errors import NotSupportedError


class PluggedBackend(NullBackend):
    """A backend that somebody else has made."""

    name: ClassVar[str] = "plugged"


class AbsentBackend(NullBackend):
    """One that this machine cannot use."""

    name: ClassVar[str] = "absent"
    device_type = "npu"

    @classmethod
    def unavailable(cls) -> str | None:
        return "there is no such chip here"


class BrokenBackend(NullBackend):
    """One that cannot even say whether it can be used."""

    name: ClassVar[str] = "broken"

    @classmethod
    def unavailable(cls) -> str | None:
        raise OSError("the driver does not answer")


def raising(error: Exception) -> Callable[[], Any]:
    def load() -> Any:
        raise error

    return load


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Entry points by name; the values are what they load, or functions that fail to."""
    loaded: dict[str, Any] = {}

    def plugins(built_in: Collection[str]) -> dict[str, Any]:
        return {
            name: SimpleNamespace(name=name, load=what if not isinstance(what, type) else lambda what=what: what)
            for name, what in loaded.items()
            if name not in built_in
        }

    monkeypatch.setattr(registry, "plugins", plugins)
    return loaded


def row(name: str) -> webnn.BackendInfo:
    (info,) = [info for info in available_backends() if info.name == name]
    return info


def test_ours_are_found_by_name() -> None:
    for name in ("onnxruntime", "arrays", "null"):
        assert backend_named(name).name == name
        assert row(name) == webnn.BackendInfo(name, True, "", "cpu")


def test_ours_are_found_in_an_installed_package_too_and_once() -> None:
    names = [info.name for info in available_backends()]
    assert len(names) == len(set(names))


def test_a_plugin_is_found_by_name(plugins: dict[str, Any]) -> None:
    plugins["plugged"] = PluggedBackend
    assert isinstance(backend_named("plugged"), PluggedBackend)
    assert row("plugged").available


def test_an_absent_one_is_listed_with_the_reason(plugins: dict[str, Any]) -> None:
    plugins["absent"] = AbsentBackend
    assert row("absent") == webnn.BackendInfo("absent", False, "there is no such chip here", "npu")
    with pytest.raises(NotSupportedError, match="the absent backend is not available: there is no such chip here"):
        backend_named("absent")


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (raising(ImportError("No module named 'vendor'")), "the bad backend cannot be imported: .*No module named"),
        (raising(AttributeError("no attribute 'Backend'")), "the bad backend cannot be imported: .*no attribute"),
        (raising(OSError("libvendor.so: not found")), "the bad backend cannot be imported: .*libvendor"),
        (int, "the entry point 'bad' is <class 'int'>, which is not a subclass of Backend"),
        (lambda: 3, "the entry point 'bad' is 3, which is not a subclass of Backend"),
        (BrokenBackend, "the bad backend is not available: checking it failed: .*the driver does not answer"),
    ],
)
def test_one_that_is_broken_is_listed_with_the_reason_and_harms_nobody(
    plugins: dict[str, Any], what: Any, reason: str
) -> None:
    plugins["bad"] = what
    assert not row("bad").available
    with pytest.raises(NotSupportedError, match=reason) as caught:
        backend_named("bad")
    assert row("bad").reason in str(caught.value)
    assert preferred_backend().name == "onnxruntime"


def test_a_plugin_does_not_take_the_place_of_ours(plugins: dict[str, Any]) -> None:
    plugins["arrays"] = PluggedBackend
    assert backend_named("arrays").name == "arrays"


def test_where_none_of_ours_can_be_used_a_plugin_is_preferred(
    plugins: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "PREFERENCE", ("absent",))
    plugins["absent"] = AbsentBackend
    plugins["plugged"] = PluggedBackend
    assert preferred_backend().name == "plugged"


class AcceleratedBackend(NullBackend):
    """One for a device that is not the CPU."""

    name: ClassVar[str] = "accelerated"
    device_type = "gpu"


class NeuralBackend(NullBackend):
    """One for another such device."""

    name: ClassVar[str] = "neural"
    device_type = "npu"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "accelerated"),
        ({"power_preference": "high-performance"}, "accelerated"),
        ({"power_preference": "low-power"}, "neural"),
        ({"device_type": "npu"}, "neural"),
        ({"device_type": "cpu"}, "onnxruntime"),
        ({"accelerated": False}, "onnxruntime"),
        ({"backend": "arrays"}, "arrays"),
    ],
)
def test_a_device_is_preferred_as_the_program_asks(plugins: dict[str, Any], options: dict[str, Any], name: str) -> None:
    plugins.update(accelerated=AcceleratedBackend, neural=NeuralBackend, absent=AbsentBackend)
    with webnn.ML().create_context(**options) as context:
        assert context.backend == name
        assert context.accelerated is (name in ("accelerated", "neural"))


def test_a_row_says_whether_it_is_an_accelerator(plugins: dict[str, Any]) -> None:
    plugins.update(accelerated=AcceleratedBackend, neural=NeuralBackend, bad=raising(ImportError("none")))
    assert {info.name: info.accelerated for info in available_backends()} == {
        "onnxruntime": False, "arrays": False, "cuda": True, "tensorrt": True,
        "onnxruntime-tensorrt": True, "cupy": True, "openvino": False,
        "coreml": True, "webgpu": True, "null": False,
        "accelerated": True, "neural": True, "bad": False,
    }  # fmt: skip


def test_where_there_is_none_at_all_every_reason_is_told(
    plugins: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "PREFERENCE", ("absent",))
    plugins["absent"] = AbsentBackend
    with pytest.raises(NotSupportedError, match="no backend is available: the absent backend is not available: there"):
        preferred_backend()


def test_importing_the_package_loads_no_backend() -> None:
    program = (
        "import sys, webnn; webnn.ML;"
        "print([m for m in sys.modules if m.startswith(('onnx', 'webnn.backends.a', 'webnn.backends.o', 'cupy'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
