"""`context.save_graph` and its like: graphs that outlive the program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest

import webnn
from tests.loops import Loop
from webnn.errors import ContextLostError, DataError, InvalidStateError, NotSupportedError, ValidationError
from webnn.formats import graph_folder
from webnn.formats.webnn_text import import_webnn
from webnn.graph.limits import narrowed
from webnn.runtime.cache_options import cache_folder
from webnn.runtime.graph import MLGraph
from webnn.runtime.saved_graphs import GraphStorage

W = np.random.default_rng(1).random((64, 64), np.float32)
X = np.ones((1, 64), np.float32)


def built(context: webnn.MLContext, bias: float = 0.5) -> MLGraph:
    builder = context.create_graph_builder()
    x = builder.input("x", [1, 64], "float32")
    y = builder.add(builder.matmul(x, builder.constant(W)), builder.constant("float32", bias))
    return builder.build({"y": y})


async def test_a_saved_graph_is_found_by_the_next_context(event_loop: Loop, tmp_path: Path) -> None:
    async with webnn.ML().create_context(cache_dir=tmp_path) as context:
        graph = built(context)
        await context.save_graph("mine", graph)
        expected = (await context.run(graph, {"x": X}))["y"]
    async with webnn.ML().create_context(cache_dir=tmp_path) as context:
        assert await context.list_graphs() == ["mine"]
        graph = context.load_graph("mine")
        assert {n: d.key for n, d in graph.inputs.items()} == {"x": ("float32", (1, 64))}
        assert {n: d.key for n, d in graph.outputs.items()} == {"y": ("float32", (1, 64))}
        np.testing.assert_array_equal((await context.run(graph, {"x": X}))["y"], expected)
        assert await context.load_graph("mine") is not graph
        await context.delete_graph("mine")
        await context.delete_graph("mine")  # is fine
        assert await context.list_graphs() == []
        np.testing.assert_array_equal((await context.run(graph, {"x": X}))["y"], expected)


def test_any_backend_loads_what_another_saved(tmp_path: Path) -> None:
    with webnn.ML().create_context(backend="onnxruntime", cache_dir=tmp_path) as context:
        context.save_graph("mine", built(context)).result()
    with webnn.ML().create_context(backend="arrays", cache_dir=tmp_path) as context:
        graph = context.load_graph("mine")
        np.testing.assert_allclose(context.compute(graph, {"x": X})["y"], X @ W + 0.5, rtol=1e-5)


def test_calls_take_effect_in_their_order_without_waiting(tmp_path: Path) -> None:
    with webnn.ML().create_context(cache_dir=tmp_path) as context:
        graph = built(context)
        context.save_graph("a", graph)
        context.save_graph("b", graph)
        context.delete_graph("a")
        assert context.list_graphs().result() == ["b"]


def test_saving_again_replaces_and_loaded_graphs_go_on(tmp_path: Path) -> None:
    with webnn.ML().create_context(cache_dir=tmp_path) as context:
        context.save_graph("mine", built(context, 1)).result()
        first = context.load_graph("mine")
        context.save_graph("mine", built(context, 2)).result()
        second = context.load_graph("mine")
        for graph, bias in ((first, 1), (second, 2)):
            np.testing.assert_allclose(context.compute(graph, {"x": X})["y"], X @ W + bias, rtol=1e-5)


def test_a_loaded_graph_can_be_saved_under_the_same_key(tmp_path: Path) -> None:
    with webnn.ML().create_context(cache_dir=tmp_path) as context:
        context.save_graph("mine", built(context)).result()
        for _ in range(2):
            context.save_graph("mine", context.load_graph("mine")).result()
        np.testing.assert_allclose(context.compute(context.load_graph("mine"), {"x": X})["y"], X @ W + 0.5, rtol=1e-5)


def test_a_key_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with webnn.ML().create_context(cache_dir=tmp_path) as context:
        with pytest.raises(ValidationError, match="load_graph: no graph is saved as 'x'; the saved graphs are: none"):
            context.load_graph("x")
        context.save_graph("mine", built(context)).result()
        with pytest.raises(ValidationError, match="no graph is saved as 'x'; the saved graphs are: 'mine'"):
            context.load_graph("x")


@pytest.mark.parametrize("key", ["", None, 3, b"x"])
def test_a_key_is_a_string_that_is_not_empty(tmp_path: Path, key: Any) -> None:
    with webnn.ML().create_context(cache_dir=tmp_path) as context:
        graph = built(context)
        for call in (lambda key: context.save_graph(key, graph), context.load_graph, context.delete_graph):
            with pytest.raises(ValidationError, match=r"^[a-z]+_graph: key must be a string that is not empty, got"):
                call(key)


def test_graphs_that_cannot_be_saved_are_refused_at_the_call(tmp_path: Path) -> None:
    with webnn.ML().create_context(cache_dir=tmp_path) as context, webnn.ML().create_context() as other:
        with pytest.raises(ValidationError, match=r"save_graph: .* belongs to another context"):
            other.save_graph("x", built(context))
        graph = built(context)
        graph.destroy()
        with pytest.raises(InvalidStateError, match=r"save_graph: .* was destroyed"):
            context.save_graph("x", graph)


def entry_of(folder: Path) -> Path:
    (entry,) = (path for path in (folder / "graphs").iterdir() if path.is_dir())
    return entry


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("graph.json", lambda data: data[:-1]),
        ("graph.json", lambda data: data.replace(b"matmul", b"matmu1")),
        ("graph.safetensors", lambda data: data[:-4]),
        ("graph.safetensors", lambda data: b"\xff" + data[1:]),
    ],
)
def test_a_damaged_graph_is_removed_and_never_used(tmp_path: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    with webnn.ML().create_context(cache_dir=tmp_path) as context:
        context.save_graph("mine", built(context)).result()
        path = entry_of(tmp_path) / name
        path.write_bytes(change(path.read_bytes()))
        with pytest.raises(DataError, match="the saved graph 'mine' could not be trusted and was removed"):
            context.load_graph("mine")
        assert context.list_graphs().result() == []


def test_a_folder_in_the_place_of_a_manifest_is_told_and_kept(tmp_path: Path) -> None:
    with webnn.ML().create_context(cache_dir=tmp_path) as context:
        graph = built(context)
        context.save_graph("mine", graph).result()
        (manifest,) = (tmp_path / "graphs").glob("*.json")
        manifest.unlink()
        manifest.mkdir()
        with pytest.raises(DataError, match=r"the saved graph 'mine' cannot be read: .*json is not a file"):
            context.load_graph("mine")
        for promise in (context.save_graph("mine", graph), context.delete_graph("mine")):
            with pytest.raises(DataError, match=r"json is not a file, but it has the name of an entry's manifest"):
                promise.result()
        assert context.list_graphs().result() == []
        assert manifest.is_dir()


def test_a_graph_that_this_backend_cannot_run_is_kept(tmp_path: Path) -> None:
    with webnn.ML().create_context(cache_dir=tmp_path) as context:
        context.save_graph("mine", built(context)).result()
        context._device.limits = narrowed({"matmul": {"a": ["float32"]}}, context.limits)
        with pytest.raises(NotSupportedError, match=r"cannot run the saved graph: .*matmul: a is float32"):
            context.load_graph("mine")
        assert context.list_graphs().result() == ["mine"]


@pytest.mark.parametrize("there", [True, False])
def test_a_graph_that_another_process_replaces_or_removes_meanwhile_is_not_called_damaged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: bool
) -> None:
    with webnn.ML().create_context(cache_dir=tmp_path) as context:
        context.save_graph("mine", built(context)).result()
        interruptions = [lambda: context.save_graph("mine", built(context)) if there else context.delete_graph("mine")]

        def interrupted(*given: Any) -> Any:
            outputs = import_webnn(*given)
            if interruptions:  # the inputs are on the builder already, and the weights are gone
                interruptions.pop()().result()
                raise DataError("g.safetensors is not there")
            return outputs

        monkeypatch.setattr(graph_folder, "import_webnn", interrupted)
        if there:
            assert context.compute(context.load_graph("mine"), {"x": X})["y"].shape == (1, 64)
        else:
            with pytest.raises(ValidationError, match="no graph is saved as 'mine'; the saved graphs are: none"):
                context.load_graph("mine")


async def test_damaged_weights_are_found_in_the_background_before_they_are_used(
    event_loop: Loop, tmp_path: Path
) -> None:
    async with webnn.ML().create_context(cache_dir=tmp_path) as context:
        await context.save_graph("mine", built(context))
        path = entry_of(tmp_path) / "graph.safetensors"
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        graph = context.load_graph("mine")
        assert list(graph.inputs) == ["x"]
        with pytest.raises(DataError, match=r"could not be trusted .* content of graph\.safetensors has changed"):
            await graph
        with pytest.raises(DataError, match="could not be trusted"):
            await context.run(graph, {"x": X})
        assert await context.list_graphs() == []


def test_a_folder_that_cannot_be_written_is_told_by_the_promise(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with webnn.ML().create_context(cache_dir=tmp_path / "file") as context, pytest.raises(OSError, match="file"):
        context.save_graph("mine", built(context)).result()


def test_a_lost_context_saves_and_loads_nothing(tmp_path: Path) -> None:
    context = webnn.ML().create_context(cache_dir=tmp_path)
    graph = built(context)
    context.save_graph("mine", graph).result()
    context.destroy()
    for call in (
        lambda: context.save_graph("x", graph),
        lambda: context.load_graph("mine"),
        context.list_graphs,
        lambda: context.delete_graph("mine"),
    ):
        with pytest.raises(ContextLostError):
            call()


def test_destroying_the_context_leaves_no_promise_pending(tmp_path: Path) -> None:
    context = webnn.ML().create_context(cache_dir=tmp_path)
    promises = [context.save_graph(f"g{i}", built(context)) for i in range(20)]
    context.destroy()
    assert all(promise.done() for promise in promises)
    assert isinstance(promises[-1].exception(), ContextLostError | None)


def test_the_folder_is_the_one_given_or_of_the_environment_or_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WEBNN_CACHE_DIR", str(tmp_path / "environment"))
    assert cache_folder(tmp_path / "given") == tmp_path / "given"
    assert cache_folder() == tmp_path / "environment"
    monkeypatch.delenv("WEBNN_CACHE_DIR")
    assert cache_folder() == platformdirs.user_cache_path("webnn", appauthor=False)
    with pytest.raises(ValidationError, match="create_context: cache_dir must be a path, got 3"):
        webnn.ML().create_context(cache_dir=3)  # type: ignore[arg-type]


def test_another_process_finds_the_graph(tmp_path: Path) -> None:
    with webnn.ML().create_context(cache_dir=tmp_path) as context:
        context.save_graph("mine", built(context)).result()
    script = (
        "import webnn, numpy as np\nwith webnn.ML().create_context() as c:\n"
        "  print(c.compute(c.load_graph('mine'), {'x': np.ones((1, 64), 'f')})['y'].sum())"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(webnn.__file__).parents[1]), "WEBNN_CACHE_DIR": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert float(result.stdout) == pytest.approx(float((X @ W + 0.5).sum()), rel=1e-5)


def test_what_meets_the_end_of_the_context_on_another_thread_is_not_left_pending(tmp_path: Path) -> None:
    saved = GraphStorage(tmp_path)
    saved.lose(ContextLostError("gone"))
    with pytest.raises(ContextLostError, match="gone"):
        saved.submit(lambda store: store.keys())
