"""`webnn run`, `bench` and `trace`, on graphs that are built here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

import webnn
from tests.command_line import answer
from tests.scripted import double, filled
from tests.trace_format import problems
from webnn.cli.program import main
from webnn.cli.tracing import summary


def test_run_takes_files_and_writes_files(
    draft: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.array([[1, -2, 3]], np.float32)
    np.save(tmp_path / "in.npy", x)
    data = answer(
        capsys, "run", draft("perceptron"), "--input", "x=@in.npy", "--output", "y=y.npy", "--output", "a.npz"
    )
    expected = np.maximum(x @ np.arange(12, dtype=np.float32).reshape(3, 4), 0)
    np.testing.assert_allclose(np.load("y.npy"), expected)
    with np.load("a.npz") as archive:
        np.testing.assert_allclose(archive["total"], expected.sum())
    assert data["files"] == ["y.npy", "a.npz"]
    assert data["outputs"][0]["values"] == expected.tolist()


@pytest.mark.parametrize("backend", ["onnxruntime", "arrays"])
def test_run_gives_the_same_random_inputs_for_the_same_seed(
    backend: str, draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", draft("perceptron"), "--random", "--backend", backend]
    first, again, other = (answer(capsys, *words, "--seed", seed)["outputs"][0]["values"] for seed in ("1", "1", "2"))
    assert first == again != other


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no value for input 'x', float32 [1, 3]: give --input x=@x.npy, or --random"),
        (["--input", "z=1"], "unknown input 'z'; the model has 'x'"),
        (["--input", "x=1", "--input", "x=2"], "input 'x' is given twice; give it once"),
        (["--input", "x=[1,2]"], "input 'x': expected float32 [1, 3], got"),
        (["--input", "x=what"], "expected a number, a list, @FILE, random, zeros or ones, got 'what'"),
        (["--input", "x"], "input 'x': expected NAME=VALUE"),
        (["--input", "x=@absent.npy"], "absent.npy: No such file or directory"),
        (["--input", "x=@broken.npy"], "broken.npy: not a .npy file: it does not hold arrays"),
        (["--input", "x=true"], "expected a number, a list, @FILE, random, zeros or ones, got 'true'"),
        (["--input", "x=" + "[" * 50_000], "expected a number, a list, @FILE, random, zeros or ones, got '[[["),
        (["--input", "@broken.npz"], "broken.npz: not a .npz file"),
        (["--input", "@one.npy"], "one.npy holds one array; give it with the name of an input, as in NAME=@one.npy"),
        (["--input", "x=@several.npy"], "several.npy holds several arrays; give it as @several.npy without a name"),
        (["--constant", "x=@several.npy"], "several.npy holds several arrays; a constant is one array, in a .npy file"),
        (["--input", "x=@broken.bin"], "input 'x': expected 12 bytes for float32 [1, 3], got 7"),
        (["--random", "--output", "w=w.npy"], "unknown output 'w'; the model has 'y', 'total'"),
        (["--random", "--output", "y=y.txt"], "output 'y=y.txt': expected NAME=FILE.npy, or FILE.npz"),
        (["--random", "--output", "y=nowhere/y.npy"], "nowhere/y.npy: No such file or directory"),
        (["--random", "--backend", "abacus"], "no backend is called 'abacus'"),
    ],
)
def test_run_says_what_is_wrong(
    words: list[str], message: str, draft: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("broken.npy", "broken.npz", "broken.bin"):
        (tmp_path / name).write_bytes(b"garbage")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with open(tmp_path / "several.npy", "wb") as file:
        np.savez(file, x=np.zeros(3))
    assert main(["run", draft("perceptron"), *words]) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("cut", [4, 40, 100, -30, -4])
def test_an_archive_that_is_cut_off_or_damaged_is_an_error_with_its_name(
    cut: int, draft: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=np.arange(3, dtype=np.float32))
    whole = (tmp_path / "x.npz").read_bytes()
    damaged = bytearray(whole)
    damaged[cut : cut + 3 or None] = b"\xff\xee\xdd"
    for data in (whole[:cut], damaged):
        (tmp_path / "x.npz").write_bytes(data)
        assert main(["run", draft("perceptron"), "--input", "@x.npz"]) in (0, 1)
        assert re.fullmatch(
            r"(webnn: (x\.npz: not a \.npz file: .*|no value for input 'x'.*)\n)?", capsys.readouterr().err
        )


def test_run_for_people_shows_values(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", draft("integers"), "--input", "x=[[1, 2]]"]) == 0
    assert re.search(r"y\s+int32\s+1.2\s+2\s+3\s+2.5\s+2, 3", capsys.readouterr().out)


# bench, convert.


def test_bench_gives_ratios_with_their_spread(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    name = draft("perceptron")
    data = answer(capsys, "bench", name, "--seconds", "0.1", "--rounds", "3")
    for kind in ("latency", "throughput"):
        ratio = data["ratios"][kind]
        assert 0 < ratio["smallest"] <= ratio["median"] <= ratio["largest"]
        assert len(ratio["rounds"]) == 3
    both = [data["latency_ms"][name]["median"] for name in ("webnn", "onnxruntime")]
    assert both[0] / both[1] == pytest.approx(data["ratios"]["latency"]["median"])
    both = [data["throughput_per_second"][name] for name in ("webnn", "onnxruntime")]
    assert both[0] / both[1] == pytest.approx(data["ratios"]["throughput"]["median"])
    assert "exported to ONNX" in data["peer"]
    assert main(["bench", name, "--seconds", "0.05", "--rounds", "1"]) == 0
    printed = capsys.readouterr().out
    assert "smallest .. largest" in printed
    assert data["loop_per_second"] > data["throughput_per_second"]["webnn"], "the runs of a perceptron are short"
    assert "A loop over context.compute makes" in printed


def test_bench_alone_has_no_ratios(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", draft("perceptron"), "--no-peer", "--seconds", "0.05", "--rounds", "2"]
    data = answer(capsys, *words)
    assert data["peer"] is None
    assert "ratios" not in data
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "onnxruntime" not in printed.splitlines()[2]
    assert "ratio" not in printed


def test_bench_says_when_the_peer_cannot_run_the_model(
    draft: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr("webnn.cli.commands.bench.onnxruntime.InferenceSession", refuse)
    message = answer(capsys, "bench", draft("perceptron"), code=1)["error"]["message"]
    assert message.startswith("plain onnxruntime cannot run it: no such kernel")
    assert "--no-peer" in message


def test_trace_says_where_the_time_went(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    data = answer(capsys, "trace", draft("perceptron"), "--runs", "5", "-o", "run.json", "--html", "run.html")
    (graph,) = data["graphs"]
    assert data["tasks"] == {"done": 5}
    assert (graph["name"], graph["runs"], graph["compile_ms"]) == ("perceptron", 5, None)
    assert 0 < graph["run_ms"]["median"] <= graph["whole_ms"]["median"] <= graph["whole_ms"]["p99"]
    assert sum(data["shares"].values()) == pytest.approx(1)
    assert data["files"] == ["run.json", "run.html"]
    assert problems(json.loads(Path("run.json").read_text())) == []
    page = Path("run.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)\s*=\s*["']?(?!data:,)\w""", page.partition("<script id")[0])
    assert main(["trace", "perceptron.draft", "--runs", "5", "--html", "run.html"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"running +[\d.]+ %", printed)
    assert re.search(r"runs: 5 done; [\d.]+ k?B copied; \d+ output buffers? reused", printed)
    assert printed.endswith("wrote run.html\n")


def test_a_cold_trace_has_the_compilation(draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    data = answer(capsys, "trace", draft("perceptron"), "--runs", "1", "--depth", "1", "--cold")
    assert data["graphs"][0]["compile_ms"] > 0
    assert "compile" in {kind for thread in data["threads"] for kind in thread["kinds_ms"]}


def test_a_trace_that_cannot_be_written_is_an_error(
    draft: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    message = answer(capsys, "trace", draft("perceptron"), "-o", "nowhere/run.json", code=1)["error"]["message"]
    assert "nowhere/run.json" in message


def test_the_summary_of_a_trace_counts_what_was_not_run() -> None:
    with webnn.ML().create_context(backend="arrays") as context, context.trace() as trace:
        graph = double(context)
        promises = [context.run(graph, {"x": filled(i)}) for i in range(4)]
        for promise in promises[1:]:
            promise.cancel()
        promises[0].result()
        context.destroy()
    figures = summary(trace.events)
    assert sum(figures["tasks"].values()) == 4
    assert figures["tasks"].get("dropped (cancelled)", 0) + figures["tasks"]["done"] == 4
    assert summary([])["tasks"] == {}
