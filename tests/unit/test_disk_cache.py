"""Compiled graphs on disk: off unless asked for; found by the next program; never trusted when damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import webnn
from tests.direct import DirectHost
from tests.leaks import ErrorLog
from webnn.backends import disk_cache
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend, Cancellation, CompileOptions, Executable
from webnn.backends.disk_cache import DiskCache
from webnn.backends.onnxruntime import backend as onnxruntime_backend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.session_cache import SessionCache, Use
from webnn.backends.turns import turn
from webnn.errors import ValidationError
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph

W = np.random.default_rng(1).random((4, 3, 3, 3), np.float32)
X = np.random.default_rng(2).random((1, 3, 8, 8), np.float32)


class Counted(OnnxRuntimeBackend):
    """Counts what it does."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def compile(self, *args: Any) -> Executable:
        self.calls.append("compile")
        return super().compile(*args)

    def compile_to(self, *args: Any) -> Executable:
        self.calls.append("compile_to")
        return super().compile_to(*args)

    def load(self, *args: Any) -> Executable:
        self.calls.append("load")
        return super().load(*args)


def graph(weight: np.ndarray[Any, Any] = W, label: str = "") -> Graph:
    builder: MLGraphBuilder[Graph] = MLGraphBuilder(DirectHost(ArraysBackend()))
    x = builder.input("x", X.shape, "float32")
    return builder.build({"y": builder.relu(builder.conv2d(x, builder.constant(weight), label=label))})


def compile(cache: DiskCache, backend: Backend, of: Graph, options: CompileOptions | None = None) -> Executable:
    return cache.compile(backend, of, options or CompileOptions(), Cancellation())


@pytest.fixture
def backend() -> Counted:
    return Counted()


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path)


def test_the_second_program_loads_what_the_first_compiled(cache: DiskCache, backend: Counted) -> None:
    first, second = compile(cache, backend, graph()), compile(cache, backend, graph())
    assert backend.calls == ["compile_to", "load"]
    assert (second.inputs, second.outputs) == (first.inputs, first.outputs)


@pytest.mark.parametrize(
    ("other", "options"),
    [
        (lambda: graph(W * 2), CompileOptions()),
        (lambda: graph(label="stem"), CompileOptions()),  # errors name it
        (graph, CompileOptions(threads=1)),
    ],
)
def test_what_differs_in_anything_is_compiled(
    cache: DiskCache, backend: Counted, other: Any, options: CompileOptions
) -> None:
    compile(cache, backend, graph())
    compile(cache, backend, other(), options)
    assert backend.calls == ["compile_to", "compile_to"]


def test_another_version_is_compiled(cache: DiskCache, backend: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    compile(cache, backend, graph())
    monkeypatch.setattr(onnxruntime_backend, "_stored_version", lambda: "newer")
    compile(cache, backend, graph())
    assert backend.calls == ["compile_to", "compile_to"]


def test_a_graph_whose_weights_change_while_it_is_compiled_is_not_stored(
    cache: DiskCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weight = np.ones((2048, 3, 3, 3), np.float32)  # large enough not to be copied

    class Slow(Counted):
        def compile_to(self, *args: Any) -> Executable:
            weight[0] = 0
            return super().compile_to(*args)

    backend = Slow()
    compile(cache, backend, graph(weight))
    assert list(tmp_path.iterdir()) == []
    assert "could not be stored: a constant was changed while the graph was compiled" in caplog.text
    weight[0] = 1
    compile(cache, backend, graph(weight))
    assert backend.calls == ["compile_to", "compile_to"]


def test_what_another_process_stores_just_before_the_turn_is_not_compiled_again(
    cache: DiskCache, backend: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def late(path: Path, checkpoint: Callable[[], None]) -> Iterator[bool]:
        monkeypatch.setattr(disk_cache, "turn", turn)
        compile(DiskCache(tmp_path), Counted(), graph())
        with turn(path, checkpoint) as waited:
            assert not waited
            yield waited

    monkeypatch.setattr(disk_cache, "turn", late)
    compile(cache, backend, graph())
    assert backend.calls == ["load"]


def test_a_backend_without_a_stored_form_compiles(cache: DiskCache, tmp_path: Path) -> None:
    assert compile(cache, ArraysBackend(), graph()).outputs[0][0] == "y"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pattern", ["*.json", "*/model.onnx"])
@pytest.mark.parametrize("change", [lambda data: data[:-3], lambda data: data[:50] + b"!" + data[51:], lambda _: b""])
def test_what_is_damaged_is_compiled_anew(tmp_path: Path, pattern: str, change: Any) -> None:
    cache, backend = DiskCache(tmp_path), Counted()
    compile(cache, backend, graph())
    (path,) = tmp_path.glob(pattern)
    path.write_bytes(change(path.read_bytes()))
    compile(cache, backend, graph())
    compile(cache, backend, graph())
    assert backend.calls == ["compile_to", "compile_to", "load"]


def test_a_folder_that_cannot_be_written_is_as_no_cache(
    tmp_path: Path, backend: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    compile(DiskCache(tmp_path / "file"), backend, graph())
    assert backend.calls == ["compile"]
    assert "could not be stored" in caplog.text


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is found in memory. (Emptying a cache would not do: graphs let go of what is in it in the background.)"""
    monkeypatch.setattr("webnn.runtime.device.session_cache", NoMemory())


class NoMemory(SessionCache):
    """Finds nothing."""

    def compile(self, *args: Any) -> Use:
        use = SessionCache().compile(*args)
        use.entry.key = None
        return use


def results(**options: Any) -> np.ndarray[Any, Any]:
    with webnn.ML().create_context(backend="onnxruntime", **options) as context:
        builder = context.create_graph_builder()
        x = builder.input("x", X.shape, "float32")
        y = builder.relu(builder.conv2d(x, builder.constant(W)))
        return context.compute(builder.build({"y": y}), {"x": X})["y"].copy()


@pytest.mark.usefixtures("forgetful")
def test_contexts_use_it_when_the_option_says_so(tmp_path: Path, error_log: ErrorLog) -> None:
    off = results(cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []
    for _ in range(2):
        np.testing.assert_array_equal(results(cache_dir=tmp_path, compiled_cache=True), off)
        np.testing.assert_array_equal(results(compiled_cache=tmp_path / "elsewhere"), off)
    assert len(list((tmp_path / "compiled").glob("*.json"))) == 1
    assert len(list((tmp_path / "elsewhere").glob("*.json"))) == 1
    assert error_log.records == []


@pytest.mark.usefixtures("forgetful")
def test_the_environment_switches_it_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBNN_CACHE_DIR", str(tmp_path))
    results()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("WEBNN_COMPILED_CACHE", "on")
    monkeypatch.setenv("WEBNN_COMPILED_CACHE_BYTES", "1000000")
    results()
    assert len(list((tmp_path / "compiled").glob("*.json"))) == 1
    results(compiled_cache=False)
    monkeypatch.setenv("WEBNN_COMPILED_CACHE", str(tmp_path / "other"))
    results()
    assert len(list((tmp_path / "other").glob("*.json"))) == 1
    monkeypatch.setenv("WEBNN_COMPILED_CACHE_BYTES", "much")
    with pytest.raises(ValidationError, match=r"or WEBNN_COMPILED_CACHE_BYTES, must be a number of bytes, got 'much'"):
        webnn.ML().create_context()


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize(("word", "files"), [("0", 0), ("False", 0), ("1", 1), ("TRUE", 1)])
def test_the_environment_switches_it_with_other_words_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, word: str, files: int
) -> None:
    monkeypatch.setenv("WEBNN_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("WEBNN_COMPILED_CACHE", word)
    results()
    assert len(list(tmp_path.glob("compiled/*.json"))) == files


@pytest.mark.usefixtures("forgetful")
def test_what_is_larger_than_the_limit_is_not_stored(tmp_path: Path) -> None:
    results(compiled_cache=tmp_path, compiled_cache_bytes=100)
    assert not list(tmp_path.glob("*.json"))


def test_options_that_are_none_are_refused() -> None:
    with pytest.raises(ValidationError, match="create_context: compiled_cache must be True, False or a folder, got 3"):
        webnn.ML().create_context(compiled_cache=3)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="create_context: compiled_cache_bytes"):
        webnn.ML().create_context(compiled_cache_bytes=-1)


def test_the_option_of_earlier_versions_is_gone() -> None:
    with pytest.raises(TypeError, match="there is no argument 'session_cache'"):
        webnn.ML().create_context(session_cache=True)  # type: ignore[call-arg]
