"""The demo's job: the right tokens from a file, the network as it is in its file, the right words at the end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from rich.console import Console

import webnn
from examples import file_types

MAGIKA = file_types.Magika.installed()

pytestmark = pytest.mark.skipif(MAGIKA is None, reason="needs the weights in the package magika: make test installs it")

PAD = 256


@pytest.fixture
def magika() -> file_types.Magika:
    assert MAGIKA is not None
    return MAGIKA


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """One file of each kind that is told apart without the network or with it."""
    contents = {
        "empty": b"",
        "blank.txt": b" \n\t" * 3000,
        "few.bin": b"\xff\xfe\x00",
        "page.html": b"<!DOCTYPE html>\n<html><head><title>x</title></head><body><p>Hello</p></body></html>\n" * 40,
        "program.py": Path(__file__).read_bytes(),
        "picture.png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 40,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return sorted(tmp_path.iterdir())


def shown(magika: file_types.Magika, path: Path, content: bytes) -> list[int]:
    """The tokens of a file with `content`."""
    path.write_bytes(content)
    tokens = magika.tokens(path)
    assert (tokens.shape, tokens.dtype) == ((1, 2048), np.int32)
    return [int(token) for token in tokens[0]]


def test_tokens_are_the_first_and_last_bytes(magika: file_types.Magika, tmp_path: Path) -> None:
    content = bytes(i % 251 for i in range(10_000))
    assert shown(magika, tmp_path / "long", content) == [*content[:1024], *content[-1024:]]


def test_a_short_file_is_padded_behind_its_begin_and_before_its_end(magika: file_types.Magika, tmp_path: Path) -> None:
    content = b"0123456789"
    expected = [*content, *[PAD] * 1014, *[PAD] * 1014, *content]
    assert shown(magika, tmp_path / "short", content) == expected


def test_white_space_is_stripped_from_the_outer_ends_only(magika: file_types.Magika, tmp_path: Path) -> None:
    tokens = shown(magika, tmp_path / "spaces", b" \n\t some text \r\n")
    assert tokens[:13] == [*b"some text \r\n", PAD]
    assert tokens[-14:] == [PAD, *b" \n\t some text"]


def test_white_space_is_stripped_within_the_first_block_only(magika: file_types.Magika, tmp_path: Path) -> None:
    tokens = shown(magika, tmp_path / "block", b" " * 4000 + b"x" * 2000)
    assert tokens[:1024] == [*b"x" * 96, *[PAD] * 928]


@pytest.mark.parametrize(
    ("content", "label"),
    [(b"", "empty"), (b"1234567", "txt"), (b" " * 5000 + b"12345678", "txt"), (b"\xff\xff", "unknown")],
)
def test_files_with_hardly_any_bytes_are_not_shown(
    magika: file_types.Magika, tmp_path: Path, content: bytes, label: str
) -> None:
    path = tmp_path / "few"
    path.write_bytes(content)
    with pytest.raises(file_types.NotShownError, match=f"^{label}$"):
        magika.tokens(path)


def test_a_label_that_is_not_sure_becomes_a_general_one(magika: file_types.Magika) -> None:
    def labelled(name: str, probability: float) -> str:
        probabilities = np.zeros((1, len(magika.labels)), np.float32)
        probabilities[0, magika.labels.index(name)] = probability
        return magika.label(probabilities)

    assert labelled("python", 0.51) == "python"
    assert labelled("python", 0.49) == "txt"
    assert labelled("png", 0.49) == "unknown"
    assert labelled("markdown", 0.74) == "txt"
    assert labelled("randombytes", 0.9) == "unknown"


@pytest.mark.parametrize("backend", ["onnxruntime", "arrays"])
def test_the_network_gives_what_onnxruntime_gives_for_the_original_file(
    magika: file_types.Magika, files: list[Path], backend: str
) -> None:
    session = onnxruntime.InferenceSession(magika.file, providers=["CPUExecutionProvider"])
    with webnn.ML().create_context(backend=backend) as context:
        graph = file_types.build(context, magika)
        shown = [magika.tokens(file) for file in files if file.suffix in (".html", ".py", ".png")]
        for tokens in shown:
            (expected,) = session.run(None, {"bytes": tokens})
            result = context.compute(graph, {"bytes": tokens})["target_label"]
            np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


def test_the_stream_labels_every_file_as_the_plain_loop_does(magika: file_types.Magika, files: list[Path]) -> None:
    files = [*files, files[0].parent / "gone"]

    async def main() -> file_types.Found:
        async with webnn.ML().create_context() as context:
            return await file_types.stream(context, file_types.build(context, magika), magika, files)

    found = asyncio.run(main())
    session = onnxruntime.InferenceSession(magika.file, providers=["CPUExecutionProvider"])
    assert found.labels == file_types.plain_loop(session, magika, files).labels
    labels = {file.name: label for file, label in found.labels.items()}
    assert labels == {
        "empty": "empty",
        "blank.txt": "txt",
        "few.bin": "unknown",
        "page.html": "html",
        "program.py": "python",
        "picture.png": "png",
        "gone": "unreadable",
    }


def test_another_error_than_that_a_file_cannot_be_shown_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        file_types.label_of(ZeroDivisionError())


def test_folders_that_programs_have_filled_are_left_out(tmp_path: Path) -> None:
    for folder in ("src", "build/lib", "a.egg-info", ".hidden", "node_modules"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file").write_bytes(b"x")
    assert list(file_types.files_in(tmp_path)) == [tmp_path / "src" / "file"]


def test_the_rates_give_the_ratio_that_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    figures = webnn.Histogram(((0.001, 0.002, 10),))
    graph = webnn.GraphStatistics("", 1, 0, {}, None, figures, figures, figures)
    comparison = file_types.Comparison(100, figures=graph)
    found = file_types.Found(reading=[1e-3], running=[2e-3, 2e-3], labelling=[1e-3])
    for ours, plain in ((1.0, 3.0), (4.0, 1.0), (1.0, 1.0), (1.0, 1.0), (1.0, 1.0)):
        comparison.ours.add(ours, found)
        comparison.plain.add(plain, found)
    file_types.show_comparison(Console(width=200), comparison)
    lines = capsys.readouterr().out.splitlines()
    rates = [next(line for line in lines if line.strip().startswith(name)).split() for name in ("webnn ", "plain loop")]
    assert (rates[0][1], rates[1][2]) == ("62", "71")  # 500 files in 8 and in 7 seconds
    assert any("webnn has 0.88 times the rate" in line and "[0.25 .. 3.00]" in line for line in lines)


def test_a_directory_of_files_that_are_not_shown_to_the_network_can_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").touch()
    monkeypatch.setattr(file_types, "Console", lambda: Console(width=200))
    asyncio.run(file_types.main(tmp_path))
    assert "Both give the same labels" in capsys.readouterr().out


def test_the_demo_shows_what_it_found(
    files: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(file_types, "Console", lambda: Console(width=200))
    asyncio.run(file_types.main(files[0].parent))
    printed = capsys.readouterr().out
    assert "html" in printed
    assert "Both give the same labels" in printed
    assert "times the rate of the plain loop" in printed
    picture = printed.partition("Where the time went")[2].splitlines()[1:]
    assert picture[0].startswith("webnn ")
    assert picture[-1].startswith("plain loop ")
    assert {*picture[-1].removeprefix("plain loop").strip()} <= {"r", "N", "l", " "}


def test_the_network_runs_between_a_reading_and_the_labelling_on_the_same_thread() -> None:
    step = file_types.Step
    steps = [step("labelling", 1, 5, 6), step("reading", 1, 0, 2), step("reading", 2, 1, 3), step("reading", 1, 6, 7)]
    assert file_types.networks(steps) == [step("network", 1, 2, 5)]
