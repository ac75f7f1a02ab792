"""Recognize the types of the files in a directory with a neural network: `make demo`.

  python examples/file_types.py [DIRECTORY]

The network is Magika's `standard_v3_3`, which tells 214 types of files apart by their first and last 1024 bytes: an
ONNX file in the PyPI package `magika`, which the extra `demo` installs. Nothing else of that package is used.
`webnn.load_onnx` makes a graph of it, which a stream runs on the files of the directory. The program compares this with
onnxruntime running the same model in a plain loop: in files per second, and in where the time goes.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import importlib.util
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, NamedTuple

import numpy as np
import onnxruntime
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

import webnn

ROUNDS: Final = 5
COMPARED: Final = 200
"""How many of the files the comparison with the plain loop goes over, in each round."""
RESTS: Final = 0.1
"""Seconds before each turn: onnxruntime's threads keep a core busy for a while after a run."""
MARKS: Final[Mapping[str, tuple[str, str]]] = {
    "reading": ("r", "cyan"),
    "network": ("N", "green"),
    "labelling": ("l", "yellow"),
}
"""How the picture shows each step: a character and its colour."""
SHOWN: Final = 12
"""About how many files the picture shows."""
GENERATED: Final = frozenset({"__pycache__", "build", "dist", "node_modules", "venv"})
"""Folders of generated files."""

Array = np.ndarray[Any, Any]


class NotShownError(Exception):
    """A file has too few bytes for the network; its label is the argument."""


@dataclass(frozen=True, slots=True)
class Magika:
    """The model as its package stores it.

    Attributes:
        file: the ONNX model.
        begin: how many bytes from the beginning of a file the network sees.
        end: how many bytes from its end.
        block: how many bytes are read at either end, before white space is stripped.
        padding: the token for "no byte here".
        smallest: files with fewer bytes than this (without white space) are not shown to the network.
        labels: the label of each of the network's outputs.
        thresholds: the probability from which a label is believed.
        threshold: the same for every other label.
        renamed: labels that are said with another word.
        is_text: whether a label is a kind of text.
    """

    file: Path
    begin: int
    end: int
    block: int
    padding: int
    smallest: int
    labels: tuple[str, ...]
    thresholds: Mapping[str, float]
    threshold: float
    renamed: Mapping[str, str]
    is_text: Mapping[str, bool]

    @classmethod
    def installed(cls) -> Magika | None:
        """The model of the installed package; None if there is none. The package's own code is not run."""
        spec = importlib.util.find_spec("magika")
        if spec is None or not spec.submodule_search_locations:
            return None
        package = Path(spec.submodule_search_locations[0])
        model = package / "models" / "standard_v3_3"
        config = json.loads((model / "config.min.json").read_text(encoding="utf-8"))
        types = json.loads((package / "config" / "content_types_kb.min.json").read_text(encoding="utf-8"))
        return cls(
            file=model / "model.onnx",
            begin=config["beg_size"],
            end=config["end_size"],
            block=config["block_size"],
            padding=config["padding_token"],
            smallest=config["min_file_size_for_dl"],
            labels=tuple(config["target_labels_space"]),
            thresholds=config["thresholds"],
            threshold=config["medium_confidence_threshold"],
            renamed=config["overwrite_map"],
            is_text={name: entry["is_text"] for name, entry in types.items()},
        )

    def tokens(self, path: Path) -> Array:
        """The input of the network for a file: int32 [1, begin + end].

        Raises:
            NotShownError: the file has too few bytes.
        """
        with path.open("rb") as file:
            return self.tokens_of(file)

    def tokens_of(self, file: BinaryIO) -> Array:
        """The same for an open file, or for bytes in memory."""
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            raise NotShownError("empty")
        count = min(self.block, size)
        file.seek(0)
        head = file.read(count)
        file.seek(size - count)
        tail = file.read(count).rstrip()
        stripped = head.lstrip()
        if len(stripped) < self.smallest:
            raise NotShownError("txt" if _is_utf8(head) else "unknown")
        tokens = np.full((1, self.begin + self.end), self.padding, np.int32)
        first = np.frombuffer(stripped[: self.begin], np.uint8)
        last = np.frombuffer(tail[-self.end :], np.uint8)
        tokens[0, : first.size] = first
        tokens[0, tokens.size - last.size :] = last
        return tokens

    def label(self, probabilities: Array) -> str:
        """The label with the highest probability if the network is sure enough of it, else "txt" or "unknown"."""
        best = int(probabilities.argmax())
        name = self.labels[best]
        said = self.renamed.get(name, name)
        if probabilities.reshape(-1)[best] >= self.thresholds.get(name, self.threshold):
            return said
        return "txt" if self.is_text[said] else "unknown"


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def build(context: webnn.MLContext, magika: Magika) -> webnn.MLGraph:
    """Magika's network, compiled for `context`: `bytes` int32 [1, count] to `target_label` float32 [1, 214]."""
    return webnn.load_onnx(magika.file, context, shapes={"bytes": [1, magika.begin + magika.end]})


def files_in(directory: Path) -> Iterator[Path]:
    """Every file below `directory`, but not in hidden folders, and in those that programs have filled."""
    for path, folders, names in os.walk(directory):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in GENERATED and ".egg-info" not in name
        )
        for name in sorted(names):
            file = Path(path) / name
            if file.is_file() and not file.is_symlink():
                yield file


class Step(NamedTuple):
    """One step of the work on a file: what was done, by which thread, and from when to when."""

    what: Literal["reading", "network", "labelling"]
    thread: int
    begin: float
    end: float


@dataclass(slots=True)
class Found:
    """What a pass over the files gives, and the seconds that the program's own work took."""

    labels: dict[Path, str] = field(default_factory=dict)
    probabilities: dict[Path, Array] = field(default_factory=dict)
    """Of the files that were shown to the network."""
    reading: list[float] = field(default_factory=list)
    """Seconds from a path to tokens, for each file."""
    running: list[float] = field(default_factory=list)
    """Seconds in the network; of our stream, the context's statistics have them."""
    labelling: list[float] = field(default_factory=list)
    """Seconds from probabilities to a label."""
    steps: list[Step] = field(default_factory=list)
    """All of them, for the picture."""

    @contextmanager
    def timed(self, what: Literal["reading", "network", "labelling"], seconds: list[float]) -> Iterator[None]:
        """Append the seconds that the block takes, and its step."""
        begin = time.perf_counter()
        yield
        end = time.perf_counter()
        seconds.append(end - begin)
        self.steps.append(Step(what, threading.get_ident(), begin, end))


async def stream(
    context: webnn.MLContext,
    graph: webnn.MLGraph,
    magika: Magika,
    files: Iterable[Path],
    done: Callable[[], object] = lambda: None,
) -> Found:
    """Label `files`: the functions and the network go over several of them at once, and the results come in order."""
    found = Found()

    def read(file: Path) -> dict[str, Array]:
        with found.timed("reading", found.reading):
            return {"bytes": magika.tokens(file)}

    def label(outputs: dict[str, Array]) -> tuple[str, Array]:
        with found.timed("labelling", found.labelling):
            probabilities = outputs["target_label"]
            return magika.label(probabilities), probabilities

    results = context.stream(graph, files, before=read, after=label, key=lambda file: file, on_error="yield")
    async for file, result in results:
        if isinstance(result, webnn.ItemError):
            found.labels[file] = label_of(result.error)
        else:
            found.labels[file], found.probabilities[file] = result
        done()
    return found


def plain_loop(session: onnxruntime.InferenceSession, magika: Magika, files: Iterable[Path]) -> Found:
    """The same as one writes it with onnxruntime alone."""
    found = Found()
    for file in files:
        try:
            with found.timed("reading", found.reading):
                tokens = magika.tokens(file)
        except (NotShownError, OSError) as error:
            found.labels[file] = label_of(error)
            continue
        with found.timed("network", found.running):
            (probabilities,) = session.run(None, {"bytes": tokens})
        with found.timed("labelling", found.labelling):
            found.labels[file], found.probabilities[file] = magika.label(probabilities), probabilities
    return found


def label_of(error: Exception) -> str:
    """The label of a file that was not shown to the network, for this reason."""
    match error:
        case NotShownError():
            return str(error)
        case OSError():  # gone, or not ours to read: a directory in use has such files
            return "unreadable"
        case _:
            raise error


@dataclass(slots=True)
class Side:
    """One side of the comparison: seconds, of all rounds but the first."""

    rounds: list[float] = field(default_factory=list)
    reading: list[float] = field(default_factory=list)
    running: list[float] = field(default_factory=list)
    labelling: list[float] = field(default_factory=list)

    def add(self, seconds: float, found: Found) -> None:
        """A round more."""
        self.rounds.append(seconds)
        self.reading += found.reading
        self.running += found.running
        self.labelling += found.labelling


@dataclass(slots=True)
class Comparison:
    """Our stream and the plain loop over the same files, in alternating rounds."""

    files: int
    ours: Side = field(default_factory=Side)
    plain: Side = field(default_factory=Side)
    same_labels: bool = True
    largest_difference: float = 0.0
    last: tuple[Found, Found] | None = None
    """The last round of both, ours first."""
    figures: webnn.GraphStatistics | None = None
    """Of our runs: how long they were queued and how long they took."""

    def rates(self) -> tuple[float, float]:
        """Files per second over all rounds, ours and the plain loop's."""
        whole = self.files * ROUNDS
        return whole / sum(self.ours.rounds), whole / sum(self.plain.rounds)

    def ratios(self) -> list[float]:
        """Our rate as a multiple of the plain loop's, round by round."""
        return [plain / ours for ours, plain in zip(self.ours.rounds, self.plain.rounds, strict=True)]


async def compare(
    context: webnn.MLContext, magika: Magika, files: list[Path], done: Callable[[], object] = lambda: None
) -> Comparison:
    """Time both, after a round that only warms up, and hold their results together."""
    session = onnxruntime.InferenceSession(magika.file, providers=["CPUExecutionProvider"])
    graph = await build(context, magika)
    result = Comparison(len(files))
    for warm in range(ROUNDS + 1):
        await asyncio.sleep(RESTS)
        started = time.perf_counter()
        ours = await stream(context, graph, magika, files)
        ended = time.perf_counter()
        await asyncio.sleep(RESTS)
        began = time.perf_counter()
        plain = plain_loop(session, magika, files)
        if warm:
            result.plain.add(time.perf_counter() - began, plain)
            result.ours.add(ended - started, ours)
        result.same_labels &= ours.labels == plain.labels
        for file, probabilities in plain.probabilities.items():
            difference = float(np.abs(probabilities - ours.probabilities[file]).max())
            result.largest_difference = max(result.largest_difference, difference)
        result.last = ours, plain
        done()
    result.figures = context.statistics().graphs[-1]
    return result


def show_labels(console: Console, labels: Mapping[Path, str], directory: Path) -> None:
    """A row for each type: how many files, and the first of them."""
    table = Table(box=None)
    table.add_column("type")
    table.add_column("files", justify="right")
    table.add_column("for example", overflow="ellipsis", no_wrap=True)
    by_label: dict[str, list[Path]] = collections.defaultdict(list)
    for file, label in labels.items():
        by_label[label].append(file)
    for label, files in sorted(by_label.items(), key=lambda item: (-len(item[1]), item[0])):
        table.add_row(label, str(len(files)), str(files[0].relative_to(directory)))
    console.print(table)


def show_comparison(console: Console, comparison: Comparison) -> None:
    """Both rates, their ratio with its spread, where the time went, and whether the results agree."""
    ours, plain = comparison.rates()
    ratios, figures = comparison.ratios(), comparison.figures
    assert figures is not None
    table = Table(
        box=None, title=f"{comparison.files} of the files, {ROUNDS} rounds of each in turn", title_justify="left"
    )
    for column in ("", "files/s", "reading", "waiting", "network", "labelling", "network, 99 %"):
        table.add_column(column, justify="right" if column else "left")
    network = {"webnn": (figures.queued.median, figures.run.median, figures.run.p99)}
    network["plain loop"] = (0.0, percentile(comparison.plain.running, 50), percentile(comparison.plain.running, 99))
    for name, rate, side in (("webnn", ours, comparison.ours), ("plain loop", plain, comparison.plain)):
        waiting, median, longest = network[name]
        times = (percentile(side.reading, 50), waiting, median, percentile(side.labelling, 50), longest)
        table.add_row(name, f"{rate:.0f}", *(shown(seconds) for seconds in times))
    console.print(table)
    console.print(
        f"webnn has {ours / plain:.2f} times the rate of the plain loop [{min(ratios):.2f} .. {max(ratios):.2f}].\n"
        "It works on several files at once, so each of them takes longer.",
        markup=False,
        highlight=False,
    )
    same = "the same labels" if comparison.same_labels else "NOT the same labels"
    console.print(f"Both give {same}. Probabilities differ by at most {comparison.largest_difference:.1e}.")


def show_picture(console: Console, comparison: Comparison) -> None:
    """What each thread did in the middle of the last round, from left to right, on one scale for both sides."""
    assert comparison.last is not None
    laps = (*comparison.ours.rounds, *comparison.plain.rounds)
    window = min(laps, default=0.0) * SHOWN / max(SHOWN, comparison.files)
    columns = min(console.width, 100) - 14
    if not all(found.steps for found in comparison.last) or window <= 0 or columns < 10:
        return
    legend = Text(f"\nWhere the time went, {shown(window)} of it: ")
    for what, (mark, style) in MARKS.items():
        legend.append(f"{mark} {what}  ", style)
    console.print(legend)
    for name, found in zip(("webnn", "plain loop"), comparison.last, strict=True):
        steps = [*found.steps, *networks(found.steps)]
        middle = (min(step.begin for step in steps) + max(step.end for step in steps)) / 2
        for i, thread in enumerate(sorted({step.thread for step in steps})):
            line = Text(f"{name if i == 0 else '':12s}")
            for column in range(columns):
                moment = middle + window * (column / columns - 0.5)
                doing = next((s.what for s in steps if s.thread == thread and s.begin <= moment < s.end), None)
                line.append(*MARKS.get(doing or "", (" ", "")))
            console.print(line)


def networks(steps: Sequence[Step]) -> list[Step]:
    """The runs of the network in a stream: on each thread, from the end of a reading to the labelling after it."""
    found, read = [], dict[int, float]()
    for step in sorted(steps, key=lambda step: step.begin):
        if step.what == "reading":
            read[step.thread] = step.end
        elif step.what == "labelling" and step.thread in read:
            found.append(Step("network", step.thread, read.pop(step.thread), step.begin))
    return found


def percentile(seconds: Sequence[float], percent: float) -> float:
    """Within how many seconds so many percent were done; NaN of nothing."""
    return float(np.percentile(seconds, percent)) if seconds else math.nan


def shown(seconds: float) -> str:
    """Seconds in a unit that fits them."""
    if math.isnan(seconds):
        return "-"
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} us"


async def main(directory: Path) -> None:
    """Label the files of `directory`, show what was found, and compare with the plain loop."""
    magika = Magika.installed()
    if magika is None:
        sys.exit("the weights are missing: pip install 'magika>=1.0.3,<2'")
    files = list(files_in(directory))
    if not files:
        sys.exit(f"there are no files in {directory}")
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    async with webnn.ML().create_context() as context:
        graph = await build(context, magika)
        with Progress(*columns, TextColumn("{task.fields[speed]}"), console=console) as progress:
            task = progress.add_task("looking at files", total=len(files), speed="")
            started, count = time.perf_counter(), 0

            def done() -> None:
                nonlocal count
                count += 1
                progress.update(task, advance=1, speed=f"{count / (time.perf_counter() - started):.0f} files/s")

            found = await stream(context, graph, magika, files, done)
            speed = len(files) / (time.perf_counter() - started)
        # Drawn between the rounds only: a thread that draws takes a core for milliseconds, from whoever has the turn.
        with Progress(*columns, console=console, auto_refresh=False) as progress:
            compared = progress.add_task("comparing", total=ROUNDS + 1)
            comparison = await compare(
                context, magika, files[:COMPARED], lambda: progress.update(compared, advance=1, refresh=True)
            )
    show_labels(console, found.labels, directory)
    console.print(f"{len(files)} files at {speed:.0f} files/s\n")
    show_comparison(console, comparison)
    show_picture(console, comparison)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Recognize the types of the files in a directory.")
    parser.add_argument("directory", nargs="?", type=Path, default=Path(__file__).resolve().parents[1])
    asyncio.run(main(parser.parse_args().directory))
