"""Sweeps of windows against their definition: output `o` reads the inputs `o * stride + tap * dilation - begin`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from webnn.graph.windows import Sweep


def sweeps() -> Iterator[Sweep]:
    for numbers in itertools.product((1, 4), (1, 2, 3), (0, 1, 3), (0, 2), (1, 2, 5), (1, 3)):
        yield Sweep(*numbers)


def read(sweep: Sweep, output: int) -> list[int]:
    places = (output * sweep.stride + tap * sweep.dilation - sweep.begin for tap in range(sweep.window))
    return [place for place in places if 0 <= place < sweep.input]


def test_taps_are_what_each_output_reads() -> None:
    for sweep in sweeps():
        for outputs in (size for size in (sweep.floor_size, sweep.ceil_size) if size > 0):
            found: list[list[int]] = [[] for _ in range(outputs)]
            for _, to, source in sweep.taps(outputs, sweep.input):
                places = range(sweep.input)[source]
                for output, place in zip(range(outputs)[to], places, strict=True):
                    found[output].append(place)
            assert found == [read(sweep, output) for output in range(outputs)], sweep
            assert sweep.counts(outputs).tolist() == [len(places) for places in found], sweep


def test_a_trimmed_sweep_reads_the_same_and_skips_only_windows_without_data() -> None:
    for sweep in sweeps():
        for outputs in (size for size in (sweep.floor_size, sweep.ceil_size) if size > 0):
            reached, trimmed = sweep.trimmed(outputs)
            for output in range(outputs):
                expected = read(sweep, output)
                assert expected == (read(trimmed, output - reached.start) if output in reached else []), sweep
            assert trimmed.floor_size == len(reached), sweep
            assert trimmed.window <= sweep.window


def test_a_sweep_with_huge_numbers_is_trimmed_to_the_data() -> None:
    huge = 2**32 - 1
    sweep = Sweep(2, huge, huge, 0, 1, 1)
    reached, trimmed = sweep.trimmed(3)
    assert reached == range(1, 3)
    assert trimmed == Sweep(2, 2, 1, 0, 1, 1)
    assert [read(trimmed, i) for i in range(2)] == [[0], [0, 1]]
    assert [tap for tap, _, _ in sweep.taps(3, 2)] == [huge - 2, huge - 1]
