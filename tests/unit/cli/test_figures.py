"""Figures that the command line tells: costs of operators, statistics, timings, sizes; and strict JSON."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("click")

from tests.direct import direct_builder
from webnn.cli.output import TIMES, amount, print_json, progress, shape_text, size, text
from webnn.cli.timing import percentiles, ratios
from webnn.graph.arrays import random_array
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.costs import multiply_adds
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import DATA_TYPES, DataType
from webnn.graph.operand import MLOperand
from webnn.graph.statistics import statistics


def cost(operand: MLOperand) -> int:
    assert operand.node is not None
    return multiply_adds(operand.node)


def floats(builder: MLGraphBuilder[Any], *shape: int) -> MLOperand:
    return builder.input("x", shape, "float32")


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_convolution_costs_its_window_for_each_output(layout: Any) -> None:
    b = direct_builder()
    x = floats(b, *([2, 4, 5, 5] if layout == "nchw" else [2, 5, 5, 4]))
    y = b.conv2d(x, floats(b, 6, 2, 3, 3), groups=2, input_layout=layout)
    assert cost(y) == (2 * 6 * 3 * 3) * (2 * 3 * 3)


def test_a_transposed_convolution_costs_its_window_for_each_input() -> None:
    b = direct_builder()
    assert cost(b.conv_transpose2d(floats(b, 1, 4, 5, 5), floats(b, 4, 6, 3, 3))) == (4 * 5 * 5) * (6 * 3 * 3)


def test_matrices_cost_their_common_side_for_each_output() -> None:
    b = direct_builder()
    assert cost(b.gemm(floats(b, 3, 2), floats(b, 3, 5), a_transpose=True)) == 2 * 5 * 3
    assert cost(b.matmul(floats(b, 7, 2, 3), floats(b, 3, 5))) == 7 * 2 * 5 * 3


def test_recurrent_networks_cost_their_weights_for_each_step_and_batch() -> None:
    b = direct_builder()
    x, weight, again = floats(b, 5, 2, 3), floats(b, 1, 16, 3), floats(b, 1, 16, 4)
    assert cost(b.lstm(x, weight, again, 5, 4)[0]) == 5 * 2 * 16 * (3 + 4)
    cell = b.gru_cell(floats(b, 2, 3), floats(b, 12, 3), floats(b, 12, 4), floats(b, 2, 4), 4)
    assert cost(cell) == 2 * 12 * (3 + 4)


def test_what_only_looks_at_elements_counts_as_nothing() -> None:
    b = direct_builder()
    assert cost(b.relu(floats(b, 100))) == 0


def test_statistics_are_those_of_the_finite_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webnn.graph.statistics.CHUNK", 7)
    array = np.random.default_rng(0).standard_normal((5, 5)).astype(np.float32)
    array[0, :3] = np.nan, np.inf, 0
    told = statistics(array, 4)
    sound = array[np.isfinite(array)].astype(np.float64)
    assert told["not_finite"] == 2
    assert told["zeros"] == 1
    assert (told["min"], told["max"]) == (sound.min(), sound.max())
    assert told["mean"] == pytest.approx(sound.mean())
    assert told["deviation"] == pytest.approx(sound.std())
    assert told["histogram"] == np.histogram(sound, 4)[0].tolist()


@pytest.mark.parametrize("data_type", DATA_TYPES)
def test_every_data_type_has_statistics_and_random_values(data_type: DataType) -> None:
    array = random_array(MLOperandDescriptor(data_type, [100]), np.random.default_rng(0))
    assert array.dtype == DATA_TYPES[data_type].dtype
    told = statistics(array, 8)
    assert sum(told["histogram"]) == 100
    assert told["min"] < told["mean"] < told["max"]


def test_statistics_of_nothing_finite_say_so() -> None:
    assert statistics(np.full(3, np.nan, np.float32), 4) == {"zeros": 0, "not_finite": 3}


def test_ratios_are_taken_round_by_round() -> None:
    told = ratios([[2.0, 2.0, 8.0], [3.0]], [[1.0], [1.0]], rate=False)
    assert (told["rounds"], told["median"], told["smallest"], told["largest"]) == ([2, 3], 2, 2, 3)
    assert told["rounds"][told["round"]] == told["median"]
    assert ratios([[2.0, 4.0]], [[6.0]], rate=True)["median"] == 2
    assert percentiles([[0.001, 0.002], [0.003]])["median"] == pytest.approx(2)


def test_json_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [float("nan"), float("inf"), -float("inf"), 1.5], "b": ("é",)})
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told == {"a": ["NaN", "Infinity", "-Infinity", 1.5], "b": ["é"]}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_to_whoever_watches_and_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr("sys.stderr", stream)
        with progress("counting [b]things", 3) as advance:
            advance(3)
        assert ("counting [b]things" in stream.getvalue()) == shown


@given(st.recursive(st.integers() | st.text() | st.none(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)))
def test_json_is_the_same_however_it_is_laid_out(data: Any) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        print_json(data)
    assert json.loads(printed.getvalue()) == data


def test_counts_are_short() -> None:
    assert [amount(n) for n in (0, 999, 1000, 12345, 3_490_000, 2e9, 5e15)] == [
        "0", "999", "1 k", "12.3 k", "3.49 M", "2 G", "5000 T",
    ]  # fmt: skip
    assert [amount(n) for n in (999_499, 999_500, 999_999_999, 999_999e9)] == ["999 k", "1 M", "1 G", "1000 T"]
    assert [size(n) for n in (0, 999, 14_200_000)] == ["0 B", "999 B", "14.2 MB"]
    assert (shape_text([]), shape_text([1, 3])) == ("scalar", f"1{TIMES}3")


def test_names_can_neither_style_nor_steer_the_terminal() -> None:
    assert text("[red]x\x1b[2J\n") == r"\[red]x\x1b[2J\n"
