"""`model.map`: a result or an error for each of many items, in their order."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import webnn
from tests.models import WEIGHT, image_model, layer, save_model
from webnn.errors import InvalidStateError, ValidationError
from webnn.model import progress
from webnn.model.progress import Progress, bar_of


def item(number: int) -> np.ndarray[Any, Any]:
    return np.full(4, number, np.float32)


def result(number: int) -> np.ndarray[Any, Any]:
    return np.maximum(item(number) @ WEIGHT, 0)


def test_results_come_in_the_order_of_the_items_with_their_keys(tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path), batch="batch") as model:
        results = list(model.map(range(100), before=item, key=lambda i: f"row {i}"))
        assert [key for key, _ in results] == [f"row {i}" for i in range(100)]
        for number, (_, outputs) in enumerate(results):
            np.testing.assert_allclose(outputs["y"], result(number), rtol=1e-5)
        assert model.statistics().items == 100


def test_an_error_comes_in_the_place_of_its_item(tmp_path: Path) -> None:
    def before(number: int) -> np.ndarray[Any, Any]:
        if number == 7:
            raise OSError("a broken image")
        return item(number)[: 3 if number == 9 else 4]

    with webnn.Model(layer(tmp_path), batch="batch") as model:
        results = list(model.map(range(12), before=before, after=lambda outputs: outputs["y"].shape, batch=5))
        errors = {error.number: error.error for error in results if isinstance(error, webnn.ItemError)}
        assert [str(errors[7]), sorted(errors)] == ["a broken image", [7, 9]]
        assert "expected float32 [4], got float32 [3]" in str(errors[9])
        assert results.count((3,)) == 10


def test_an_error_is_raised_after_the_results_before_it(tmp_path: Path) -> None:
    closed = []

    def source() -> Iterator[Any]:
        try:
            yield from [item(0), item(1), "no array", item(3)]
        finally:
            closed.append(True)

    with webnn.Model(layer(tmp_path), batch="batch") as model:
        results = iter(model.map(source(), on_error="raise"))
        np.testing.assert_allclose(next(results)["y"], result(0), rtol=1e-5)
        np.testing.assert_allclose(next(results)["y"], result(1), rtol=1e-5)
        with pytest.raises(ValidationError, match=r"layer\.onnx: input 'x'"):
            next(results)
        with pytest.raises(StopIteration):
            next(results)
    assert closed == [True]


@pytest.mark.parametrize("batch", [1, 2, 32])
@pytest.mark.parametrize("on_error", ["raise", "yield"])
@pytest.mark.anyio
async def test_an_error_of_the_source_is_raised_after_the_results_of_all_items_before_it(
    tmp_path: Path, on_error: Any, batch: int
) -> None:
    def source() -> Iterator[int]:
        yield from range(5)
        raise OSError("the disk is gone")

    async def async_source() -> AsyncIterator[int]:
        for number in source():
            yield number

    sums: list[float] = []
    with webnn.Model(layer(tmp_path), batch="batch") as model:
        options: Any = {"before": item, "after": lambda outputs: float(outputs["y"].sum())}
        with pytest.raises(OSError, match="the disk is gone"):
            sums.extend(model.map(source(), batch=batch, on_error=on_error, **options))
        results = aiter(model.map(async_source(), batch=batch, on_error=on_error, **options))
        sums += [await anext(results) for _ in range(5)]
        with pytest.raises(OSError, match="the disk is gone"):
            await anext(results)
    np.testing.assert_allclose(sums, [result(number).sum() for number in range(5)] * 2, rtol=1e-5)


def test_one_item_that_the_backend_refuses_does_not_fail_its_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webnn.Model(layer(tmp_path), batch="batch") as model:
        context = model.load().context
        compute = context.compute

        def refusing(graph: webnn.MLGraph, feeds: Any) -> Any:
            if (feeds["x"] == 2).any():
                raise webnn.errors.OperationError("the kernel refuses 2")
            return compute(graph, feeds)

        monkeypatch.setattr(context, "compute", refusing)
        results = list(model.map(range(6), before=item, batch=6))
        assert isinstance(results[2], webnn.ItemError)
        assert str(results[2].error) == "the kernel refuses 2"
        assert [number for number, each in enumerate(results) if not isinstance(each, webnn.ItemError)] == [
            0,
            1,
            3,
            4,
            5,
        ]


def test_items_may_differ_in_size_and_have_the_dimension_of_the_batch(tmp_path: Path) -> None:
    def image(number: int) -> np.ndarray[Any, Any]:
        shape = (3, 2 + number % 2, 4)
        return np.full(shape if number % 3 else (1, *shape), number, np.float32)

    with webnn.Model(image_model(tmp_path), batch="batch") as model:
        for number, outputs in enumerate(model.map(map(image, range(20)))):
            assert outputs["mean"].shape == ((3, 1, 1) if number % 3 else (1, 3, 1, 1))
            np.testing.assert_allclose(outputs["mean"].reshape(-1), number)


def test_items_that_differ_in_a_shared_input_are_not_computed_together(tmp_path: Path) -> None:
    from onnx import helper  # noqa: PLC0415

    nodes = [helper.make_node("Mul", ["x", "scale"], ["y"])]
    path = save_model(tmp_path / "scale.onnx", nodes, {"x": ["batch", 2], "scale": [1]}, {"y": ["batch", 2]})
    with webnn.Model(path, batch="batch") as model:
        inputs = [{"x": np.ones(2, np.float32), "scale": np.array([i % 3], np.float32)} for i in range(9)]
        assert [int(outputs["y"][0]) for outputs in model.map(inputs)] == [0, 1, 2] * 3


def test_a_model_without_a_batch_computes_each_item_alone(tmp_path: Path) -> None:
    with webnn.Model(image_model(tmp_path)) as model:
        results = list(model.map(np.full((1, 3, 2, 2), i, np.float32) for i in range(5)))
        assert [float(outputs["mean"][0, 0, 0, 0]) for outputs in results] == [0, 1, 2, 3, 4]


def test_results_do_not_keep_their_batch(tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path), batch="batch") as model:
        for outputs in model.map(range(8), before=item):
            assert outputs["y"].base is None


@pytest.mark.anyio
async def test_items_and_results_may_be_async(tmp_path: Path) -> None:
    async def items() -> AsyncIterator[int]:
        for number in range(40):
            yield number

    async with webnn.Model(layer(tmp_path), batch="batch") as model:
        number = 0
        async for outputs in model.map(items(), before=item):
            np.testing.assert_allclose(outputs["y"], result(number), rtol=1e-5)
            number += 1
        assert number == 40
        results = aiter(model.map(range(1000), before=item))
        await anext(results)
        await results.aclose()  # type: ignore[attr-defined]


def test_closing_gives_up_the_items_that_were_not_begun(tmp_path: Path) -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(10_000):
            taken.append(number)
            yield number

    with webnn.Model(layer(tmp_path), batch="batch") as model:
        results = iter(model.map(items(), before=item, batch=2))
        next(results)
        results.close()  # type: ignore[attr-defined]
        assert len(taken) < 10_000


def test_an_iterator_whose_iterator_begins_anew_is_iterated_once(tmp_path: Path) -> None:
    class Numbers:
        def __init__(self) -> None:
            self._numbers = iter(range(10))

        def __iter__(self) -> Numbers:
            return Numbers()

        def __next__(self) -> int:
            return next(self._numbers)

    with webnn.Model(layer(tmp_path), batch="batch") as model:
        for batch in (3, 5, 32):
            assert len(list(model.map(Numbers(), before=item, batch=batch))) == 10


async def awaited(outputs: object) -> object:
    return outputs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"on_error": "ignore"}, "on_error"),
        ({"before": 3}, "before must be a function, got 3"),
        ({"after": awaited}, "map: after must be a plain function, got an async one"),
        ({"items": 3}, "items must be an iterable or an async iterable, got int"),
        ({"items": "images"}, "got 'images'; the files of a folder are sorted"),
        ({"items": Path("images")}, r"got \w+Path\('images'\); the files of a folder are sorted"),
    ],
)
def test_options_that_are_not_valid_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path), batch="batch") as model, pytest.raises(ValidationError, match=message):
        model.map(**{"items": [], **options})


# Progress.


def test_a_function_is_told_of_the_progress_and_of_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with webnn.Model(layer(tmp_path), batch="batch") as model:
        list(model.map(range(50), before=item, progress=lambda done, total: seen.append((done, total))))
    assert seen[0] == (1, 50)
    assert seen[-1] == (50, 50)


def test_a_bar_is_shown_after_a_second_and_not_for_every_item() -> None:
    now = 0.0
    shown: list[int] = []
    closed: list[bool] = []
    bar = Progress(
        30, lambda done, _: shown.append(done), patience=1.0, close=lambda: closed.append(True), clock=lambda: now
    )
    for _ in range(30):
        now += 0.05
        bar.advance()
    bar.end()
    bar.end()
    assert shown[0] == 20
    assert shown[-1] == 30
    assert len(shown) <= 8
    assert closed == [True]


def test_a_short_map_shows_no_bar() -> None:
    bar = Progress(3, lambda done, total: pytest.fail("shown"), patience=1.0, clock=lambda: 0.0)
    for _ in range(3):
        bar.advance()
    bar.end()


def test_the_bar_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    bar = bar_of(2, "layer.onnx", True)
    bar.advance()
    bar.advance()
    bar.end()
    assert "layer.onnx" in capsys.readouterr().err


@pytest.mark.parametrize("stderr", [None, "closed"])
def test_no_bar_is_drawn_where_there_is_no_console(stderr: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stderr", None if stderr is None else stream)
    assert bar_of(2, "x", True)._show is None


def test_no_bar_is_drawn_into_a_file_or_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    assert bar_of(2, "x", True)._show is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    assert bar_of(2, "x", True)._show is None
    assert bar_of(2, "x", False)._show is None


def test_results_are_given_once(tmp_path: Path) -> None:
    with webnn.Model(layer(tmp_path), batch="batch") as model:
        results = model.map(np.ones((3, 4), np.float32), progress=False)
        assert len(list(results)) == 3
        with pytest.raises(InvalidStateError, match=r"map: the results can be iterated once; call model.map again"):
            list(results)
