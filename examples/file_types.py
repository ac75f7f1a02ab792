"""What kinds of files a directory holds, by a real neural network: `make demo`.

  python examples/file_types.py [DIRECTORY]

The network is Magika's `standard_v3_3`, which tells 214 types of files apart by their first and last 1024 bytes. Its
weights come out of the ONNX file in the PyPI package `magika`; nothing else of that package is used, so install it
without its dependencies: `pip install --no-deps magika==1.0.3`. The network is built here, operator by operator, with
`MLGraphBuilder`, streamed over the files, and compared with onnxruntime running the original file in a plain loop.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import importlib.util
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
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


class Network:
    """Magika's network in WebNN's operators, with the weights of the ONNX file.

    The file spells out layer normalization and softmax; here they are one operator each. Everything else is what the
    file does, in the same order.
    """

    def __init__(self, builder: webnn.MLGraphBuilder[webnn.MLGraph], model: onnx.ModelProto) -> None:
        self._builder = builder
        self._weights = {_short(tensor.name): onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}

    def weight(self, name: str, shape: tuple[int, ...]) -> webnn.MLOperand:
        """The weight called `name`, seen in another shape."""
        return self._builder.constant(self._weights[name].reshape(shape))

    def gelu(self, x: webnn.MLOperand) -> webnn.MLOperand:
        """The approximation by tanh, with which the network was trained; WebNN's own `gelu` is the exact function."""
        b = self._builder
        cubic = b.mul(x, b.mul(x, b.mul(b.constant("float32", 0.044715), x)))
        inner = b.mul(b.constant("float32", math.sqrt(2 / math.pi)), b.add(x, cubic))
        return b.mul(x, b.mul(b.constant("float32", 0.5), b.add(b.constant("float32", 1), b.tanh(inner))))

    def build(self, count: int) -> webnn.MLGraph:
        """The graph: `bytes` int32 [1, count] to `target_label` float32 [1, 214]."""
        b = self._builder
        tokens = b.reshape(b.input("bytes", [1, count], "int32"), [1, count, 1])
        vocabulary = b.constant(np.arange(257, dtype=np.int32).reshape(1, 1, 257))
        one_hot = b.cast(b.equal(tokens, vocabulary), "float32", label="one-hot")
        embedding = b.add(
            b.matmul(one_hot, self.weight("Const:0", (257, 64)), label="embedding"),
            self.weight("Dense_0/Reshape:0", (1, 1, 64)),
        )
        # Four bytes make one step of 256 channels; the convolution takes the channels first.
        steps = b.transpose(b.reshape(self.gelu(embedding), [1, count // 4, 256]), permutation=[0, 2, 1])
        steps = b.layer_normalization(
            steps,
            scale=self.weight("LayerNorm_0/Reshape_2:0", (count // 4,)),
            bias=self.weight("LayerNorm_0/Reshape_3:0", (count // 4,)),
            axes=[2],
            epsilon=1e-6,
            label="first normalization",
        )
        convolved = b.conv2d(
            b.reshape(steps, [1, 256, count // 4, 1]),
            self.weight("Conv_0/transpose_3:0", (512, 256, 5, 1)),
            bias=self.weight("const_fold_opt__209", (512,)),
            label="convolution",
        )
        # Three dimensions again: onnxruntime is slow where a scalar meets a shape that ends in 1.
        convolved = b.reshape(convolved, convolved.shape[:3])
        strongest = b.reduce_max(self.gelu(convolved), axes=[2])
        features = b.layer_normalization(
            strongest,
            scale=self.weight("LayerNorm_1/Reshape_2:0", (512,)),
            bias=self.weight("LayerNorm_1/Reshape_3:0", (512,)),
            axes=[1],
            epsilon=1e-6,
            label="second normalization",
        )
        logits = b.gemm(
            features, self.weight("Const_24:0", (512, 214)), c=self.weight("Dense_1/Reshape:0", (214,)), label="labels"
        )
        return b.build({"target_label": b.softmax(logits, 1)})


def _short(name: str) -> str:
    """An initializer's name without the scopes that all of them share."""
    for scope in ("jax2tf_get_logits_/", "pjit_get_logits_/", "MagikaV2/"):
        name = name.removeprefix(scope)
    return name


def build(context: webnn.MLContext, magika: Magika) -> webnn.MLGraph:
    """Magika's network, compiled for `context`."""
    return Network(context.create_graph_builder(), onnx.load(magika.file)).build(magika.begin + magika.end)


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
