"""The benchmarks run, and their reports say in a table, in JSON and in a picture what was measured."""

from __future__ import annotations

import asyncio
import io
import itertools
import runpy
import sys
import xml.etree.ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from benchmarks import measure
from benchmarks.__main__ import SHARED, names
from benchmarks.measure import Options, figures_in_turn, in_turn, scale_of
from benchmarks.plot import drawn
from benchmarks.report import Report, Row
from docs.generate_benchmarks import files, stored

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def report() -> Report:
    report = Report("sums", "How fast is a sum?", "sum()", "Raw: Python's own.")
    report.times("one", [1e-6, 2e-6, 3e-6], [2e-6, 2e-6, 2e-6], bar=0.5)
    report.rates("two <b>", [1.0, 1.0, 1.0], [2.0, 4.0, 3.0], peer="numpy.sum()", bar=3)
    report.times("one", [8e-6], [2e-6], subject="JAX")
    report.figure("left", [0, 0], "threads", bar=0)
    report.notes.append("a note")
    return report


def shown(report: Report) -> str:
    console = Console(width=160, file=io.StringIO())
    report.show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("name", names())
def test_a_tiny_run_of_a_benchmark_works(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, picture = tmp_path / "figures.json", tmp_path / "ratios.svg"
    words = ["--scale", "tiny", "--json", str(path), "--svg", str(picture), "--models", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [name, *words])
    runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    if not path.exists():
        pytest.skip("the benchmark says that it cannot run here")
    report = Report.from_json(path.read_text(encoding="utf-8"))
    assert report.name == name
    assert report.question.endswith("?")
    assert report.rows
    assert report.about["versions"]["webnn"]
    xml.etree.ElementTree.fromstring(picture.read_text(encoding="utf-8"))


def test_the_modules_that_are_no_benchmarks_are_there() -> None:
    assert [name for name in SHARED if not (FOLDER / f"{name}.py").exists()] == []


def test_a_row_gives_the_median_of_its_ratios_with_their_spread(report: Report) -> None:
    assert report.rows[0].spread == pytest.approx((1.0, 0.5, 1.5))
    assert report.rows[1].spread == pytest.approx((3.0, 2.0, 4.0))
    assert report.rows[3].spread == (0, 0, 0)


def test_the_values_that_are_shown_give_the_ratio_that_is_shown() -> None:
    row = Row("x", [1.0, 5.0, 9.0, 2.0], [1.0, 1.0, 4.0, 4.0], "us", "lower")
    assert row.typical == (1.0, 1.0)
    assert row.spread[0] == 1.0


def test_a_bar_is_met_from_the_better_side_of_it(report: Report) -> None:
    assert [row.met for row in report.rows] == [False, True, None, True]


def test_a_ratio_to_nothing_is_infinite_and_of_nothing_to_nothing_one() -> None:
    assert Row("x", [1.0, 0.0], [0.0, 0.0], "MB", "lower").ratios == [float("inf"), 1.0]


def test_the_table_shows_each_row_with_its_peer_and_whether_its_bar_is_met(report: Report) -> None:
    lines = shown(report).splitlines()
    one = next(line for line in lines if "one" in line and "JAX" not in line)
    assert "2 us (sum())" in one
    assert "<= 0.5 MISSED" in one
    assert "0.5 .. 1.5" in one
    assert ">= 3 met" in next(line for line in lines if "two" in line)
    assert any("one: JAX" in line for line in lines)
    assert any("a note" in line for line in lines)


def test_json_gives_the_report_back(report: Report) -> None:
    again = Report.from_json(report.json())
    assert again == report


def test_the_picture_has_a_bar_for_each_ratio_and_a_mark_for_each_that_is_wanted(report: Report) -> None:
    picture = xml.etree.ElementTree.fromstring(drawn(report))
    kinds = [element.get("class") for element in picture.iter()]
    assert (kinds.count("better"), kinds.count("worse"), kinds.count("other"), kinds.count("wanted")) == (2, 0, 1, 2)
    assert "two <b>" in [element.text for element in picture.iter()]
    wanted = [element for element in picture.iter() if element.get("class") == "wanted"]
    one = next(element for element in picture.iter() if element.get("class") == "one")
    places = [float(element.get("x1", "nan")) for element in (wanted[0], one, wanted[1])]
    assert places == sorted(places)


def test_a_ratio_without_end_is_drawn_at_the_edge() -> None:
    report = Report("x", "How?", rows=[Row("a", [1.0], [0.0], "MB", "lower"), Row("b", [0.0], [1.0], "MB", "lower")])
    xml.etree.ElementTree.fromstring(drawn(report))


def lasting(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each turn seem to last for so long: the clock goes on by as much whenever it is read."""
    clock = itertools.count(0, seconds)
    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: next(clock), sleep=lambda _: None))


def test_peers_take_turns_there_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    lasting(0.1, monkeypatch)
    turns: list[str] = []

    def kind(name: str) -> float:
        turns.append(name)
        return len(turns)

    async def later() -> float:
        return kind("b")

    times = asyncio.run(in_turn(2, {"a": lambda: kind("a"), "b": later}))
    assert turns == ["b", "a", "a", "b", "b", "a"]
    assert times == {"a": [3, 6], "b": [4, 5]}


def test_a_brief_turn_is_repeated_and_the_last_one_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    lasting(0.0099, monkeypatch)
    turns = iter([9.0, 9.0, 1.0, 9.0, 9.0, 2.0, 9.0, 9.0, 3.0])
    assert asyncio.run(in_turn(2, {"a": lambda: next(turns)})) == {"a": [2.0, 3.0]}


def test_several_figures_of_a_turn_are_sorted_by_kind_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    lasting(0.1, monkeypatch)
    figures = iter([{"rate": 0.0, "delay": 0.0}, {"rate": 1.0, "delay": 2.0}, {"rate": 3.0, "delay": 4.0}])
    given = asyncio.run(figures_in_turn(2, {"ours": lambda: next(figures)}))
    assert given == {"ours": {"rate": [1.0, 3.0], "delay": [2.0, 4.0]}}


def test_a_scale_is_a_word_or_a_number() -> None:
    assert (scale_of("small"), scale_of("0.5")) == (0.1, 0.5)
    small, tiny = Options(scale_of("small")), Options(scale_of("tiny"))
    assert (small.count(50), small.rounds(7), small.some([1, 2])) == (5, 7, [1, 2])
    assert (tiny.count(50, least=2), tiny.rounds(7), tiny.some([1, 2])) == (2, 1, [1])


def test_only_the_cases_with_a_name_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(report: Report, options: Options) -> None:
        for name in ("MLP, JSON", "MLP, bytes"):
            if options.has(name):
                report.figure(name, [1], "s")

    monkeypatch.setattr(sys.modules[__name__], "__doc__", "Which?\n\nSo.")
    monkeypatch.setattr(sys, "argv", ["", "--only", "json"])
    measure.main(measured)
    assert "MLP, JSON" in (printed := capsys.readouterr().out)
    assert "bytes" not in printed
    monkeypatch.setattr(sys, "argv", ["", "--only", "images"])
    with pytest.raises(SystemExit, match="--only images: no case"):
        measure.main(measured)


def test_the_page_in_the_documentation_is_what_its_figures_give() -> None:
    assert [str(path) for path, text in files(stored()).items() if path.read_text(encoding="utf-8") != text] == []


def test_the_page_has_a_section_for_each_report(report: Report) -> None:
    report.about = {"date": "2026-01-01", "machine": "a machine", "versions": {"python": "3.11"}}
    (page, text), (picture, _) = files([report]).items()
    assert picture.name == "sums.svg"
    assert f"]({picture.parent.name}/{picture.name})" in text
    assert "## How fast is a sum?" in text
    assert "two \\<b>" in text
    assert "a machine" in text
    assert page.name == "benchmarks.md"
