"""`webnn.Model`: one picklable object for all sizes of a model."""

from __future__ import annotations

import asyncio
import copy
import gc
import multiprocessing
import pickle
import threading
import weakref
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from onnx import helper

import webnn
from tests.forks import in_child
from tests.models import WEIGHT, image_model, layer, mixing, save_model
from webnn.errors import DataError, InvalidStateError, NotSupportedError, ValidationError
from webnn.formats.files import Source, load_model
from webnn.model.graphs import MOST_AXES
from webnn.model.loaded import Slots
from webnn.model.sizes import SIZES


def rows(count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(count).standard_normal((count, 4)).astype(np.float32)


def expected(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.maximum(x @ WEIGHT, 0)


# Names only.


def test_a_model_pickles_in_less_than_a_kilobyte_and_works_after_it(tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path), batch="batch", keep=["key"], context={"threads": 1}) as model:
        model({"x": rows(3), "key": [1, 2, 3]})
        sent = pickle.dumps(model)
    assert len(sent) < 1024
    with pickle.loads(sent) as received:
        assert not received.loaded
        outputs = received({"x": rows(3), "key": ["a", "b", "c"]})
        assert outputs["key"] == ["a", "b", "c"]
        np.testing.assert_allclose(outputs["y"], expected(rows(3)), rtol=1e-5)


def test_a_copy_has_a_context_of_its_own(tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path), batch="batch") as model, copy.copy(model) as other:
        assert model.load().context is not other.load().context


def test_a_model_is_collected_with_its_last_reference(tmp_path: Path) -> None:
    model = webnn.Model(layer(tmp_path), batch="batch")
    model(rows(2))
    lost = model.context.lost
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None
    assert lost.result(10)


def test_rows_that_all_fail_have_the_type_and_shape_of_the_others(tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path), batch="batch", errors="error") as model:
        column = np.full(3, None, object)
        outputs = model({"x": column})
        assert (outputs["y"].dtype, outputs["y"].shape) == (np.float32, (3, 3))
        assert np.isnan(outputs["y"]).all()
        assert all("got NoneType" in message for message in outputs["error"])
    with webnn.Model(image_model(tmp_path), batch="batch", errors="error") as model:
        assert model({"image": column})["mean"].shape == (3, 3, 1, 1)


def test_bytes_in_the_other_order_are_named(tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path), batch="batch") as model:
        swapped = rows(2).astype(rows(2).dtype.newbyteorder())
        with pytest.raises(ValidationError, match=r"got '.f4' \(not in native byte order\) \[2, 4\]; convert it"):
            model({"x": swapped})
        assert model({"x": swapped.astype("float32")})["y"].shape == (2, 3)


def test_a_relative_path_means_the_same_file_in_every_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer(tmp_path)
    monkeypatch.chdir(tmp_path)
    model = webnn.Model("layer.onnx")
    assert model.path == str(tmp_path / "layer.onnx")
    assert repr(model) == f"<Model {model.path!r}>"


# Processes.


def test_a_model_that_was_used_before_a_fork_loads_anew_in_the_child(tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path), batch="batch") as model:
        model(rows(2))

        def in_the_child() -> list[Any]:
            was_loaded = model.loaded
            return [was_loaded, model(rows(2))["y"].tolist()]

        was_loaded, y = in_child(in_the_child)
        assert not was_loaded
        np.testing.assert_allclose(y, expected(rows(2)), rtol=1e-5)
        np.testing.assert_allclose(model(rows(2))["y"], expected(rows(2)), rtol=1e-5)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_model_is_sent_to_a_worker_that_loads_it(method: str, tmp_path: Path) -> None:
    with (
        webnn.Model(layer(tmp_path), batch="batch") as model,
        ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool,
    ):
        np.testing.assert_allclose(pool.submit(model, rows(5)).result(50)["y"], expected(rows(5)), rtol=1e-5)
        assert not model.loaded


def test_a_worker_with_a_share_of_the_cores_uses_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with webnn.Model(layer(tmp_path), context={"lanes": 2}) as model:
        assert model.context._device.options.threads == 3
    for other in ("", "0", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", other)
        with webnn.Model(layer(tmp_path)) as model:
            assert model.context._device.options.threads == 0


# Sizes.


@pytest.mark.parametrize("count", [1, 2, 3, 7, 32, 43, 100])
def test_any_number_of_items_gives_as_many_results(count: int, tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path), batch="batch") as model:
        np.testing.assert_allclose(model(rows(count))["y"], expected(rows(count)), rtol=1e-5)
        figures = model.statistics()
        assert (figures.calls, figures.items) == (1, count)


def test_a_batch_without_items_gives_none(tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path), batch="batch") as model:
        y = model(np.empty((0, 4), np.float32))["y"]
        assert (y.shape, y.dtype) == ((0, 3), np.float32)


def test_the_sizes_of_the_batch_may_be_given(tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path), batch={"batch": [4]}) as model:
        np.testing.assert_allclose(model(rows(9))["y"], expected(rows(9)), rtol=1e-5)
        figures = model.statistics()
        assert (figures.graphs, figures.padded) == (1, 3)


def test_open_dimensions_take_their_sizes_from_the_inputs(tmp_path: Path) -> None:
    with webnn.Model(image_model(tmp_path), batch="batch", graphs=2) as model:
        for count, height, width in ((1, 5, 6), (2, 7, 3), (1, 9, 9), (1, 5, 6)):
            image = np.random.default_rng(height).random((count, 3, height, width), np.float32)
            mean = model({"image": image})["mean"]
            np.testing.assert_allclose(mean[..., 0, 0], image.mean(axis=(2, 3)), rtol=1e-5)
        figures = model.statistics()
        assert (figures.graphs, figures.made, figures.evicted) == (2, 4, 2)


def test_what_is_remembered_of_many_sizes_has_a_limit(tmp_path: Path) -> None:
    with webnn.Model(image_model(tmp_path), batch="batch", graphs=2, backend="arrays") as model:
        for width in range(1, MOST_AXES + 10):
            assert model({"image": np.ones((1, 3, 1, width), np.float32)})["mean"].shape == (1, 3, 1, 1)
        graphs = model.load()._load().graphs
        assert len(graphs) == 2
        assert len(graphs._axes) == MOST_AXES


def test_a_model_without_a_batch_makes_a_graph_for_each_shape(tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path)) as model:
        for count in (3, 5, 3):
            np.testing.assert_allclose(model(rows(count))["y"], expected(rows(count)), rtol=1e-5)
        assert model.statistics().made == 2


def test_fixed_sizes_are_known_before_the_first_call(tmp_path: Path) -> None:
    with webnn.Model(image_model(tmp_path), shapes={"batch": 1, "height": 4, "width": 4}) as model:
        assert model.inputs["image"].shape == (1, 3, 4, 4)
        assert model.load().statistics().made == 1


def test_a_model_is_warmed_up_when_it_loads(tmp_path: Path) -> None:
    with webnn.Model(image_model(tmp_path), batch="batch", warmup=[{"batch": 8, "height": 4, "width": 4}]) as model:
        assert model.load().statistics().made == 1
        model(np.ones((8, 3, 4, 4), np.float32))
        assert model.statistics().made == 1
    with webnn.Model(layer(tmp_path), batch="batch", warmup=True) as model:
        assert model.load().statistics().made == len(SIZES)


def test_an_output_of_all_items_together_is_refused_with_a_way_out(tmp_path: Path) -> None:
    path = mixing(tmp_path)
    with (
        webnn.Model(path, batch="batch") as model,
        pytest.raises(ValidationError, match=r"output 'all' is \[4\] for 2"),
    ):
        model(rows(2))
    with webnn.Model(path, batch="batch", outputs=["each"]) as model:
        assert list(model.outputs) == ["each"]
        np.testing.assert_array_equal(model(rows(5))["each"], -rows(5))


def test_outputs_that_name_the_batch_need_no_second_graph_to_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[object] = []

    def counted(source: Source, host: Any) -> Any:
        loads.append(source)
        return load_model(source, host)

    monkeypatch.setattr("webnn.model.graphs.load_model", counted)
    with webnn.Model(layer(tmp_path), batch="batch") as model:
        np.testing.assert_allclose(model(rows(32))["y"], expected(rows(32)), rtol=1e-5)
    assert len(loads) == 1


def test_an_output_that_names_the_batch_wrongly_is_refused_with_the_next_size(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceSum", ["x", "axes"], ["all"], keepdims=1),
        helper.make_node("Expand", ["all", "shape"], ["y"]),
    ]
    weights = {"axes": np.array([0], np.int64), "shape": np.array([32, 4], np.int64)}
    path = save_model(tmp_path / "wrong.onnx", nodes, {"x": ["batch", 4]}, {"y": ["batch", 4]}, weights)
    with webnn.Model(path, batch="batch") as model:
        model(rows(32))
        with pytest.raises(ValidationError, match=r"output 'y' is \[32, 4\] for 8 and \[32, 4\] for 7"):
            model(rows(8))


# Files.


def test_the_text_form_and_saved_graphs_are_models_too(tmp_path: Path) -> None:
    with webnn.ML().create_context(cache_dir=tmp_path) as context:
        graph = webnn.load_onnx(layer(tmp_path), context, shapes={"batch": 2})
        graph.save(tmp_path / "layer.webnn")
        context.save_graph("layer", graph).result()
    with webnn.Model(tmp_path / "layer.webnn") as model:
        np.testing.assert_allclose(model(rows(2))["y"], expected(rows(2)), rtol=1e-5)
    with webnn.Model("layer", saved=tmp_path) as model:
        assert pickle.loads(pickle.dumps(model)).path == "layer"
        assert model.inputs["x"].shape == (2, 4)
        np.testing.assert_allclose(model(rows(2))["y"], expected(rows(2)), rtol=1e-5)
        assert model.outputs["y"].data_type == "float32"


def test_no_batch_is_larger_than_the_file_allows(tmp_path: Path) -> None:
    path = tmp_path / "double.webnn"
    path.write_text(
        'webnn_graph "g" v2 { inputs { x: f32[dyn("batch", 3), 4]; } nodes { y = add(x, x); } outputs { y; } }'
    )
    with webnn.Model(path, batch="batch", warmup=True) as model:
        np.testing.assert_array_equal(model(rows(11))["y"], 2 * rows(11))
        assert sorted(graph.inputs["x"].shape[0] for graph in model._load().graphs.kept()) == [1, 2]


# Event loops and threads.


@pytest.mark.anyio
async def test_runs_are_awaited_and_their_number_is_bounded(tmp_path: Path) -> None:
    async with webnn.Model(layer(tmp_path), batch="batch", concurrency=2) as model:
        results: dict[int, np.ndarray[Any, Any]] = {}

        async def client(count: int) -> None:
            results[count] = (await model.run({"x": rows(count)}))["y"]

        async with anyio.create_task_group() as group:
            for count in range(1, 12):
                group.start_soon(client, count)
        for count, y in results.items():
            np.testing.assert_allclose(y, expected(rows(count)), rtol=1e-5)
        assert len(results) == 11


@pytest.mark.anyio
async def test_a_waiter_that_is_cancelled_leaves_its_turn_to_the_next() -> None:
    slots = Slots(1)
    await slots.take()
    order: list[str] = []

    async def client(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            await slots.take()
            order.append(name)
            slots.give_back()

    cancelled = anyio.CancelScope()
    async with anyio.create_task_group() as group:
        group.start_soon(client, "cancelled", cancelled)
        group.start_soon(client, "next", anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        cancelled.cancel()
        slots.give_back()
    assert order == ["next"]
    await slots.take()  # none was lost


def test_a_loop_that_was_closed_takes_no_slot() -> None:
    slots, tasks = Slots(1), []

    async def leave_waiting() -> None:
        tasks.append(asyncio.create_task(slots.take()))
        await asyncio.sleep(0)

    async def take() -> None:
        await asyncio.wait_for(slots.take(), 20)

    asyncio.run(take())
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it would log that a task was destroyed
    loop.run_until_complete(leave_waiting())
    loop.close()
    slots.give_back()
    asyncio.run(take())
    slots.give_back()
    tasks.clear()
    gc.collect()  # the task ends now, and gives back nothing
    assert slots.taken == 0


@pytest.mark.anyio
@pytest.mark.parametrize("options", [{}, {"keep": ["key"]}, {"errors": "error"}], ids=["plain", "keep", "errors"])
async def test_a_timeout_is_for_all_runs_of_a_call_together(options: dict[str, Any], tmp_path: Path) -> None:
    many = {"x": np.ones((1_000_000, 4), np.float32), **({"key": 1} if "keep" in options else {})}
    async with webnn.Model(layer(tmp_path), batch="batch", **options) as model:
        model.load()
        with pytest.raises(TimeoutError, match=r"layer\.onnx: run: no result after 0\.02 s"):
            await model.run(many, timeout=0.02)
        with pytest.raises(ValidationError, match=r"layer\.onnx: run: timeout must be a number of seconds"):
            await model.run(many, timeout=-1)
        assert len((await model.run({**many, "x": rows(3)}, timeout=20))["y"]) == 3


@pytest.mark.anyio
async def test_calls_beside_each_other_use_large_batches(tmp_path: Path) -> None:
    async with webnn.Model(layer(tmp_path), batch="batch") as model:
        model.load()
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(model.run, rows(64))
        graphs = model.load().context.statistics().graphs
        assert "layer.onnx x=[32, 4]" in [graph.label for graph in graphs]


def test_threads_that_call_it_first_share_one_load(tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path), batch={"batch": [2]}) as model, ThreadPoolExecutor(8) as pool:
        barrier = threading.Barrier(8)

        def call(_: int) -> np.ndarray[Any, Any]:
            barrier.wait(20)
            return model(rows(2))["y"]

        for y in pool.map(call, range(8)):
            np.testing.assert_allclose(y, expected(rows(2)), rtol=1e-5)
        assert model.statistics().made == 1


# Errors, at the call.


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"z": rows(1)}, r"layer\.onnx: missing 'x' and unknown 'z'; the inputs are 'x' float32 \[batch, 4\]"),
        (rows(1)[:, :3], r"layer\.onnx: input 'x': expected float32 \[batch, 4\], got float32 \[1, 3\]"),
        (rows(1).astype(np.float64), r"input 'x': expected float32 \[batch, 4\], got float64 \[1, 4\]; convert it"),
        (rows(1)[0], r"expected float32 \[batch, 4\], got float32 \[4\]"),
        ([[1, 2, 3, "four"]], r"layer\.onnx: input 'x': .*not numbers"),
        ({"x": object()}, r"layer\.onnx: input 'x': .*object"),
    ],
    ids=["names", "shape", "type", "rank", "list", "object"],
)
def test_inputs_that_do_not_fit_are_refused_with_what_was_expected(inputs: Any, message: str, tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path), batch="batch") as model:
        with pytest.raises(ValidationError, match=message):
            model(inputs)
        assert model.statistics().calls == 0


def test_nested_lists_are_inputs_too(tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path), batch="batch") as model:
        np.testing.assert_allclose(
            model([[1, 2, 3, 4]])["y"], expected(np.array([[1, 2, 3, 4]], np.float32)), rtol=1e-5
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 3}, r"batch must be the name of a dimension, or a mapping of one name to sizes, got 3"),
        ({"batch": {"batch": []}}, r"batch must map a name to a list of sizes"),
        ({"batch": {"batch": [0]}}, r"batch\['batch'\] must be at least 1, got 0"),
        ({"outputs": "y"}, r"outputs must be a list of names, got 'y'"),
        ({"shapes": [1]}, r"shapes must be a mapping of names, got \[1\]"),
        ({"graphs": 0}, r"graphs must be at least 1, got 0"),
        ({"context": {"thread": 1}}, r"context has no option 'thread'; the options are accelerated, .*, threads$"),
        ({"warmup": 4}, r"warmup has 4, the size of a batch, but no batch"),
        (
            {"batch": "batch", "warmup": [3]},
            r"warmup has 3 for 'batch', but the sizes of the batch are \[1, 2, 8, 32\]",
        ),
        ({"warmup": ["x"]}, r"warmup must be sizes of the batch or mappings of names to sizes, got 'x'"),
        ({"backend": 1}, r"backend must be a name, got 1"),
        ({"dtypes": {"x": "float12"}}, r"dtypes\['x'\]"),
    ],
)
def test_options_that_are_not_valid_are_refused_when_the_model_is_made(options: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=r"Model\('.*layer\.onnx'\): .*" + message):
        webnn.Model("layer.onnx", **options)


def test_options_that_do_not_fit_the_file_are_refused_when_it_loads(tmp_path: Path) -> None:
    path = layer(tmp_path)
    with pytest.raises(ValidationError, match=r"layer\.onnx: batch='n', but no input has a dimension of that name"):
        webnn.Model(path, batch="n").load()
    with pytest.raises(ValidationError, match=r"image\.onnx: no size is given for dimension 'height'"):
        webnn.Model(image_model(tmp_path), batch="batch", warmup=8).load()
    with pytest.raises(ValidationError, match=r"layer\.onnx: outputs: the model has no value 'q'"):
        webnn.Model(path, outputs=["q"])(rows(1))


def test_a_file_that_is_no_model_is_refused_by_its_name_or_when_it_loads(tmp_path: Path) -> None:
    with pytest.raises(NotSupportedError, match=r"weights\.pt: cannot read this kind of file"):
        webnn.Model("weights.pt")
    with pytest.raises(NotSupportedError, match=r"cannot read this kind of file, only .*; it is a folder"):
        webnn.Model(tmp_path)
    (tmp_path / "bad.onnx").write_bytes(b"\x00\xff")
    with pytest.raises(DataError):
        webnn.Model(tmp_path / "bad.onnx").load()
    with pytest.raises(FileNotFoundError, match=r"absent\.onnx"):
        webnn.Model(tmp_path / "absent.onnx").load()


def test_an_item_without_the_first_dimension_is_refused_with_the_words_that_add_it(tmp_path: Path) -> None:
    added = r"; add the first dimension: array\[np\.newaxis\]$"
    with webnn.Model(layer(tmp_path)) as model:
        with pytest.raises(ValidationError, match=r"expected float32 \[batch, 4\], got float32 \[4\]" + added):
            model(rows(1)[0])
        assert model(rows(1)[0][np.newaxis])["y"].shape[0] == 1
        with pytest.raises(ValidationError, match=r"got float32 \[5\]$"):
            model(np.zeros(5, np.float32))
    image = webnn.Model(image_model(tmp_path), shapes={"batch": 1, "height": 2, "width": 2})
    with image, pytest.raises(ValidationError, match=r"image\.onnx: .*" + added):
        image(np.zeros((3, 2, 2), np.float32))


def test_entries_to_keep_must_be_there(tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path), batch="batch", keep=["key"]) as model:
        with pytest.raises(ValidationError, match=r"keep names 'key', but the inputs have only 'x'"):
            model({"x": rows(1)})
        with pytest.raises(ValidationError, match=r"with keep=\['key'\], inputs must be a mapping, got ndarray"):
            model(rows(1))


def test_inputs_must_agree_on_the_number_of_items(tmp_path: Path) -> None:
    from onnx import helper  # noqa: PLC0415

    from tests.models import save_model  # noqa: PLC0415

    nodes = [helper.make_node("Add", ["a", "b"], ["y"])]
    path = save_model(tmp_path / "add.onnx", nodes, {"a": ["batch", 2], "b": ["batch", 2]}, {"y": ["batch", 2]})
    with webnn.Model(path, batch="batch") as model:
        inputs = {"a": np.ones((2, 2), np.float32), "b": np.ones((3, 2), np.float32)}
        with pytest.raises(ValidationError, match=r"same number of items in dimension 'batch': 'a' has 2, 'b' has 3"):
            model(inputs)


def test_a_closed_model_takes_no_calls(tmp_path: Path) -> None:
    model = webnn.Model(layer(tmp_path))
    with model:
        model(rows(1))
    with pytest.raises(InvalidStateError, match=r"layer\.onnx: the model is closed; make another"):
        model(rows(1))
    model.close()
    assert "(closed)" in repr(model)


# Rows: batches as data frames have them.


def test_rows_of_different_shapes_are_computed_by_shape(tmp_path: Path) -> None:
    images = [np.full((3, 2 + i % 2, 4), i, np.float32) for i in range(5)]
    column = np.empty(5, object)
    column[:] = images
    with webnn.Model(image_model(tmp_path), batch="batch", keep=["key"]) as model:
        outputs = model({"image": column, "key": np.arange(5)})
        np.testing.assert_allclose(outputs["mean"][:, 0, 0, 0], np.arange(5), rtol=1e-6)
        assert outputs["key"].tolist() == [0, 1, 2, 3, 4]
        assert model.statistics().items == 5


def test_a_row_that_fails_does_not_fail_the_others(tmp_path: Path) -> None:
    column = np.empty(3, object)
    column[:] = [np.ones(4, np.float32), None, np.ones(3, np.float32)]
    path = layer(tmp_path)
    with webnn.Model(path, batch="batch", errors="error") as model:
        outputs = model({"x": column})
        np.testing.assert_allclose(outputs["y"][0], expected(np.ones((1, 4), np.float32))[0], rtol=1e-5)
        assert np.isnan(outputs["y"][1:]).all()
        assert [message[:15] for message in outputs["error"]] == ["", "ValidationError", "ValidationError"]
        assert "expected float32 [4], got float32 [3]" in outputs["error"][2]
        assert model({"x": rows(2)})["error"].tolist() == ["", ""]
        column[:] = None
        assert model({"x": column})["y"].shape == (3, 3)  # as the file declares it
    with webnn.Model(path, batch="batch") as model:
        column[0] = np.ones(4, np.float32)
        with pytest.raises(ValidationError, match=r"input 'x'") as raised:
            model({"x": column})
        assert raised.value.__notes__ == ["in row 1 of 3"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": ["y"]}, r"layer\.onnx: keep names 'y', which is an output"),
        ({"keep": ["x"]}, r"layer\.onnx: keep names 'x', which is an input"),
        ({"errors": "y"}, r"layer\.onnx: errors names 'y', which is an output"),
        ({"errors": "id", "keep": ["id"]}, r"layer\.onnx: errors names 'id', which is an entry to keep"),
    ],
)
def test_no_column_takes_the_place_of_another(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path), batch="batch", **options) as model, pytest.raises(ValidationError, match=message):
        model.load()


def test_errors_need_a_batch() -> None:
    with pytest.raises(ValidationError, match=r"errors must be the name of an output, for a model with batch"):
        webnn.Model("x.onnx", errors="error")


@pytest.mark.anyio
async def test_an_async_model_is_awaited(tmp_path: Path) -> None:
    async with webnn.AsyncModel(layer(tmp_path), batch="batch", keep=["key"]) as model:
        outputs = await model({"x": rows(3), "key": np.arange(3)})
        np.testing.assert_allclose(outputs["y"], expected(rows(3)), rtol=1e-5)
        assert outputs["key"].tolist() == [0, 1, 2]
        assert repr(model).startswith("<AsyncModel ")


# Streams.


def test_a_stream_takes_items_of_any_size(tmp_path: Path) -> None:
    with webnn.Model(image_model(tmp_path)) as model:
        results = model.stream(
            range(1, 6),
            before=lambda i: np.full((1, 3, i, i), i, np.float32),
            after=lambda outputs: float(outputs["mean"][0, 0, 0, 0]),
            key=str,
        )
        assert list(results) == [(str(i), i) for i in range(1, 6)]


def test_a_stream_with_state_needs_fixed_sizes(tmp_path: Path) -> None:
    path = tmp_path / "sum.webnn"
    path.write_text(
        'webnn_graph "g" v1 { inputs { x: f32[2]; s: f32[2]; } nodes { t = add(x, s); y = relu(t); }'
        " outputs { t; y; } }"
    )
    with webnn.Model(path) as model:
        ones = [{"x": np.ones(2, np.float32)}] * 3
        assert [int(out["y"][0]) for out in model.stream(ones, state={"t": "s"})] == [1, 2, 3]
    with webnn.Model(layer(tmp_path)) as model, pytest.raises(ValidationError, match="inputs without open dimensions"):
        model.stream([], state={"y": "x"})
