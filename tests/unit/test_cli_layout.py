"""Where boxes stand: whatever the graph, none lies on another and every edge goes down."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("click")

from webnn.view.layout import ROW, Layout, layout


def check(widths: list[float], sources: list[list[int]], placed: Layout) -> None:
    """What holds for every layout."""
    rows: dict[float, list[tuple[float, float]]] = {}
    for x, y, width in zip(placed.x, placed.y, widths, strict=True):
        rows.setdefault(y, []).append((x - width / 2, x + width / 2))
        assert x - width / 2 >= -0.1
        assert x + width / 2 <= placed.width + 0.1
        assert 0 < y < placed.height
    for row in rows.values():
        for (_, right), (left, _) in itertools.pairwise(sorted(row)):
            assert right < left
    for i, read in enumerate(sources):
        for source in read:
            assert placed.y[source] < placed.y[i]
            passed = round((placed.y[i] - placed.y[source]) / ROW) - 1
            assert len(placed.trunks[source]) >= passed
    for i, trunk in enumerate(placed.trunks):
        assert [y for _, y in trunk] == [placed.y[i] + ROW * (k + 1) for k in range(len(trunk))]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[float], list[list[int]]]:
    count = draw(st.integers(1, 40))
    sources = [draw(st.lists(st.integers(0, i - 1), max_size=4, unique=True)) if i else [] for i in range(count)]
    return draw(st.lists(st.floats(20, 300), min_size=count, max_size=count)), sources


@given(graphs())
def test_boxes_never_overlap_and_edges_go_down(graph: tuple[list[float], list[list[int]]]) -> None:
    widths, sources = graph
    check(widths, sources, layout(widths, sources))


def test_a_chain_is_a_straight_line() -> None:
    placed = layout([50.0, 90.0, 70.0, 10.0], [[], [0], [1], [2]])
    assert placed.x == [45.0] * 4


def test_an_unnecessary_crossing_is_undone() -> None:
    # Two columns, whose lower boxes come in the other order.
    placed = layout([40.0] * 4, [[], [], [1], [0]])
    assert (placed.x[0] < placed.x[1]) == (placed.x[3] < placed.x[2])


def test_edges_of_one_box_share_a_trunk() -> None:
    chain = 30
    sources: list[list[int]] = [[], []]
    for i in range(chain):
        sources.append([i + 1, 0])
    placed = layout([50.0] * len(sources), sources)
    check([50.0] * len(sources), sources, placed)
    assert sum(map(len, placed.trunks)) == chain - 1


def test_an_input_stands_right_above_its_first_reader() -> None:
    placed = layout([50.0] * 4, [[], [0], [], [1, 2]])
    assert placed.y[2] == placed.y[1]


def test_nothing_is_laid_out_as_nothing() -> None:
    placed = layout([], [])
    assert (placed.x, placed.width, placed.height) == ([], 0.0, 0.0)


def test_thousands_of_boxes_take_seconds() -> None:
    count = 5000
    sources = [[i - 1] + ([i - 20] if i % 7 == 0 and i >= 20 else []) if i else [] for i in range(count)]
    started = time.process_time()
    check([80.0] * count, sources, layout([80.0] * count, sources))
    assert time.process_time() - started < 20


def test_values_that_all_wait_for_late_readers_get_so_many_places_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webnn.view.layout.PASSED", 500)
    count = 60
    sources = [[], *([0] for _ in range(count - 1))]
    sources += [[i, len(sources) + i - 1] for i in range(count)]
    placed = layout([80.0] * len(sources), sources)
    assert sum(map(len, placed.trunks)) == 500
    assert all(placed.y[source] < placed.y[i] for i, read in enumerate(sources) for source in read)
