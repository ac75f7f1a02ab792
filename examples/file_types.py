"""What kinds of files a directory holds, by a real neural network: `make demo`.

  python examples/file_types.py [DIRECTORY]

The network is Magika's `standard_v3_3`, which tells 214 types of files apart by their first and last 1024 bytes: an
ONNX file in the PyPI package `magika`. Nothing else of that package is used, so install it without its dependencies:
`pip install --no-deps magika==1.0.3`. `webnn.load_onnx` makes a graph of it, which is streamed over the files of the
directory and compared with onnxruntime running the same model in a plain loop.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import webnn

ROUNDS: Final = 3
COMPARED: Final = 100
"""How many of the files the comparison with the plain loop goes over, in each round."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Magika:
    """The model as its package stores it.

    Attributes:
        file: the ONNX model.
        begin: how many bytes of a file's begin the network sees.
        end: likewise of its end.
        block: how many bytes are read at either end, before white space is stripped.
        padding: the token that stands for "no byte here".
        smallest: files with fewer bytes than this (without white space) are not shown to the network.
        labels: what each of the network's outputs stands for.
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

    def tokens(self, path: Path) -> Array | str:
        """What the network is shown of a file, int32 [1, begin + end]; or the label of one too small to show."""
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                return "empty"
            count = min(self.block, size)
            file.seek(0)
            head = file.read(count)
            file.seek(size - count)
            tail = file.read(count).rstrip()
        stripped = head.lstrip()
        if len(stripped) < self.smallest:
            return "txt" if _is_utf8(head) else "unknown"
        tokens = np.full((1, self.begin + self.end), self.padding, np.int32)
        first = np.frombuffer(stripped[: self.begin], np.uint8)
        last = np.frombuffer(tail[-self.end :], np.uint8)
        tokens[0, : first.size] = first
        tokens[0, tokens.size - last.size :] = last
        return tokens

    def label(self, probabilities: Array) -> str:
        """What the network says, in Magika's words: only what it is sure enough of, else "txt" or "unknown"."""
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
    """Every file below `directory`, but not in hidden folders and caches."""
    for path, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        for name in sorted(names):
            file = Path(path) / name
            if file.is_file() and not file.is_symlink():
                yield file


@dataclass(slots=True)
class Found:
    """What a pass over the files gives."""

    labels: dict[Path, str]
    probabilities: dict[Path, Array]
    """Of the files that were shown to the network."""


async def stream(
    context: webnn.MLContext,
    graph: webnn.MLGraph,
    magika: Magika,
    files: Iterable[Path],
    done: Callable[[], object] = lambda: None,
) -> Found:
    """Label `files`; the next ones are read while the network looks at one."""
    found = Found({}, {})
    under_way: collections.deque[Path] = collections.deque()

    def shown() -> Iterator[dict[str, Array]]:
        for file in files:
            tokens = _tokens_or_label(magika, file)
            if isinstance(tokens, str):
                found.labels[file] = tokens
                done()
            else:
                under_way.append(file)
                yield {"bytes": tokens}

    async for outputs in context.stream(graph, shown()):
        file = under_way.popleft()
        found.probabilities[file] = outputs["target_label"]
        found.labels[file] = magika.label(outputs["target_label"])
        done()
    return found


def plain_loop(session: onnxruntime.InferenceSession, magika: Magika, files: Iterable[Path]) -> Found:
    """The same as one writes it with onnxruntime alone."""
    found = Found({}, {})
    for file in files:
        tokens = _tokens_or_label(magika, file)
        if isinstance(tokens, str):
            found.labels[file] = tokens
        else:
            (found.probabilities[file],) = session.run(None, {"bytes": tokens})
            found.labels[file] = magika.label(found.probabilities[file])
    return found


def _tokens_or_label(magika: Magika, file: Path) -> Array | str:
    try:
        return magika.tokens(file)
    except OSError:  # gone, or not ours to read: a directory in use has such files
        return "unreadable"


@dataclass(slots=True)
class Comparison:
    """Our stream and the plain loop over the same files, in alternating rounds: files per second."""

    files: int
    ours: list[float]
    plain: list[float]
    same_labels: bool
    largest_difference: float


async def compare(
    context: webnn.MLContext,
    graph: webnn.MLGraph,
    magika: Magika,
    files: list[Path],
    done: Callable[[], object] = lambda: None,
) -> Comparison:
    """Time both, after a round that only warms up, and hold their results together."""
    session = onnxruntime.InferenceSession(magika.file, providers=["CPUExecutionProvider"])
    result = Comparison(len(files), [], [], same_labels=True, largest_difference=0.0)
    for warm in range(ROUNDS + 1):
        started = time.perf_counter()
        ours = await stream(context, graph, magika, files)
        between = time.perf_counter()
        plain = plain_loop(session, magika, files)
        ended = time.perf_counter()
        if warm:
            result.ours.append(len(files) / (between - started))
            result.plain.append(len(files) / (ended - between))
        result.same_labels &= ours.labels == plain.labels
        for file, probabilities in plain.probabilities.items():
            difference = float(np.abs(probabilities - ours.probabilities[file]).max())
            result.largest_difference = max(result.largest_difference, difference)
        done()
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
    """Both throughputs, their ratio with its spread, and whether the results agree."""
    ratios = [a / b for a, b in zip(comparison.ours, comparison.plain, strict=True)]
    console.print(
        f"{comparison.files} files again, {ROUNDS} rounds in turn:"
        f" webnn {statistics.median(comparison.ours):.0f} files/s,"
        f" plain onnxruntime loop {statistics.median(comparison.plain):.0f} files/s;"
        f" ratio {statistics.median(ratios):.2f} [{min(ratios):.2f} .. {max(ratios):.2f}]",
        markup=False,
        highlight=False,
    )
    same = "the same labels" if comparison.same_labels else "NOT the same labels"
    console.print(f"both give {same}; probabilities differ by at most {comparison.largest_difference:.1e}")


async def main(directory: Path) -> None:
    """Label the files of `directory`, show what was found, and compare with the plain loop."""
    magika = Magika.installed()
    if magika is None:
        sys.exit("this needs the weights in the package magika: pip install --no-deps magika==1.0.3")
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
            compared = progress.add_task("comparing", total=ROUNDS + 1, speed="")
            comparison = await compare(
                context, graph, magika, files[:COMPARED], lambda: progress.update(compared, advance=1)
            )
    show_labels(console, found.labels, directory)
    console.print(f"{len(files)} files at {speed:.0f} files/s, streamed through {len(magika.labels)} labels' network")
    show_comparison(console, comparison)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Say what kinds of files a directory holds.")
    parser.add_argument("directory", nargs="?", type=Path, default=Path(__file__).resolve().parents[1])
    asyncio.run(main(parser.parse_args().directory))
