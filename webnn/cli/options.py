"""Arguments and options of several commands, and their completion in a shell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from shlex import quote
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from webnn.backends.registry import available_backends
from webnn.cli.data import constant_value
from webnn.cli.models import Source, load_model, outline_of, reader_of
from webnn.cli.output import progress
from webnn.errors import NotSupportedError
from webnn.forking import import_lock
from webnn.formats.outline import OpenDimensionsError
from webnn.graph.arguments import printable
from webnn.graph.builder import GraphHost
from webnn.targets.target import target_names

__all__ = [
    "as_json",
    "backend",
    "browser",
    "by_name",
    "constant_option",
    "explained",
    "inputs",
    "model",
    "only",
    "read",
    "shape_option",
    "shapes",
    "sizes_of",
    "some_inputs",
    "sources",
    "targets",
    "threads",
]

C = TypeVar("C", bound=Callable[..., Any])
G = TypeVar("G")
V = TypeVar("V")


def as_json(command: C) -> C:
    """The option of every command: `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON value, for programs.")(command)


def shapes(command: C) -> C:
    """The option for open dimensions."""
    return click.option(
        "--shape",
        "shapes",
        multiple=True,
        metavar="NAME=SIZE[,SIZE...]",
        help="A size for an open dimension (batch=1), or the whole shape of an input (x=1,3,224,224).",
    )(command)


def only(command: C) -> C:
    """The option for the outputs that are computed."""
    return click.option(
        "--only",
        "only",
        multiple=True,
        metavar="OUTPUT",
        help="Compute this output, and not those that are not named; may be repeated.",
    )(command)


def model(command: Callable[..., int]) -> Callable[..., int]:
    """The argument MODEL and the options for how it is read, which the command takes as one `source`."""

    @wraps(command)
    def with_source(
        *, model: Path, shapes: Sequence[str], constants: Sequence[str], only: Sequence[str], **others: Any
    ) -> int:
        values = by_name("--constant", map(_constant, constants))
        source = Source(model, sizes_of(shapes), values, outputs=only)
        return command(source=source, **others)

    for parameter in (
        only,
        click.option(
            "--constant",
            "constants",
            multiple=True,
            metavar="NAME=VALUE",
            help="A value for an input that never changes: a number, a list or @FILE.npy.",
        ),
        shapes,
        click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path)),
    ):
        with_source = parameter(with_source)
    return with_source


def constant_option(name: str) -> str:
    """The option --constant for an input, as a shell takes it."""
    return f"--constant {quote(printable(name))}=VALUE"


def sizes_of(shapes: Sequence[str]) -> dict[str, int | list[int]]:
    """The sizes that the options --shape give."""
    return by_name("--shape", map(_shape, shapes))


def by_name(option: str, given: Iterable[tuple[str, V]]) -> dict[str, V]:
    """The values of a repeated option by the names that they are for, each of which is given once."""
    values: dict[str, V] = {}
    for name, value in given:
        if name in values:
            raise click.BadParameter(f"{printable(name)!r} is given twice; give it once", param_hint=option)
        values[name] = value
    return values


def shape_option(name: str, sizes: str) -> str:
    """The option --shape for an input or a dimension, as a shell takes it."""
    return f"--shape {quote(printable(name))}={sizes}"


def sources(models: Sequence[Path], given: Source) -> list[Source]:
    """The sources of several models, each with the options of `given` for the inputs, dimensions and outputs it has.

    An option for none of them goes to all, so that reading the first one raises the error.
    """
    if len(models) < 2 or not (given.shapes or given.constants or given.outputs):
        return [replace(given, path=model) for model in models]
    taken = [_names_taken(replace(given, path=model)) for model in models]
    sized, fixed, computed = (set[str]().union(*names) for names in zip(*taken, strict=True))

    def is_for(name: str, own: set[str], any_: set[str]) -> bool:
        return name in own or name not in any_

    return [
        Source(
            model,
            {name: size for name, size in given.shapes.items() if is_for(name, sizes, sized)},
            {name: value for name, value in given.constants.items() if is_for(name, values, fixed)},
            outputs=[name for name in given.outputs if is_for(name, outputs, computed)],
        )
        for model, (sizes, values, outputs) in zip(models, taken, strict=True)
    ]


def _names_taken(source: Source) -> tuple[set[str], set[str], set[str]]:
    """The inputs and dimensions that the model takes a --shape for, the inputs for --constant, the outputs."""
    reader, outline = reader_of(source.path), outline_of(source.path)
    if outline is None:
        return set(source.shapes), set(source.constants), set(source.outputs)
    names = {value.name for value in outline.inputs}
    sizes = {size for value in outline.inputs for size in value.shape or () if isinstance(size, str)}
    shapes = names | sizes if reader.whole_shapes else sizes
    return shapes, names if "constants" in reader.options else set(), {value.name for value in outline.outputs}


def read(source: Source, host: GraphHost[G]) -> G:
    """The model as a graph of `host`, with a progress bar; raises the errors of `load_model`."""
    with progress(f"reading {source.path.name}"), explained(source.path):
        return load_model(source, host)


@contextmanager
def explained(model: Path) -> Iterator[None]:
    """Adds the model, and the options that it needs, to errors of reading it."""
    try:
        yield
    except OpenDimensionsError as error:
        needed = [shape_option(name, sizes.strip("[]").replace(" ", "")) for name, sizes in error.missing.items()]
        error.args = (_with_options(error, model, needed),)
        raise
    except NotSupportedError as error:
        with import_lock:
            from webnn.formats.onnx.importing.problems import OnnxNotSupportedError  # noqa: PLC0415 (most never need it)

        if isinstance(error, OnnxNotSupportedError):
            needed = [f"--only {quote(printable(name))}" for name in error.reachable]
            error.args = (_with_options(error, model, needed),)
        raise


def _with_options(error: Exception, model: Path, needed: Sequence[str]) -> str:
    return f"{model.name}: {error}" + (f"\nOn the command line: {' '.join(needed)}" if needed else "")


def _shape(word: str) -> tuple[str, int | list[int]]:
    name, equals, sizes = word.rpartition("=")
    try:
        numbers = [int(size) for size in sizes.split(",")] if sizes else []
    except ValueError:
        equals = ""
    if not equals or not name:
        raise click.BadParameter(f"expected NAME=SIZE or NAME=SIZE,SIZE,..., got {word!r}", param_hint="--shape")
    return name, numbers[0] if len(numbers) == 1 else numbers


def _constant(word: str) -> tuple[str, Any]:
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"expected NAME=VALUE, got {word!r}", param_hint="--constant")
    return name, constant_value(value)


def browser(command: C) -> C:
    """The option `--browser`."""
    return click.option(
        "--browser",
        required=True,
        metavar="PATH",
        type=click.Path(),
        help="The executable of a Chromium with WebNN, or its name on the PATH.",
    )(command)


def inputs(command: C) -> C:
    """The options `--input` and `--seed`: the values of the model's inputs."""
    return _with_inputs(
        command,
        "VALUE is @FILE.npy, @FILE.npz, @FILE (raw bytes), random, zeros, ones, a number or a JSON list. "
        "@FILE.npz alone holds all inputs.",
    )


def some_inputs(command: C) -> C:
    """As `inputs`, for commands in which inputs without a value are random."""
    return _with_inputs(command, "VALUE as for `webnn run`; inputs without one are random.")


def _with_inputs(command: C, values: str) -> C:
    seed = "The seed of the random values."
    command = click.option("--seed", default=0, type=click.IntRange(0), show_default=True, help=seed)(command)
    return click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help=values)(command)


def threads(command: C) -> C:
    """The option `--threads`."""
    text = "Threads for one run; 0 lets the backend choose."
    return click.option("--threads", default=0, type=click.IntRange(0), help=text)(command)


def backend(command: C) -> C:
    """The option `--backend`."""
    return click.option(
        "--backend",
        metavar="NAME",
        shell_complete=_complete_backend,
        help="One of `webnn devices`. Default: the best one.",
    )(command)


def targets(command: C) -> C:
    """The option `--target`, which may be given several times."""
    return click.option(
        "--target",
        "targets",
        multiple=True,
        metavar="NAME",
        shell_complete=_complete_target,
        help="A recorded browser or a backend, by a prefix of its name; or a JSON file, as from `webnn record`.",
    )(command)


def _complete_backend(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    rows = available_backends()
    return [CompletionItem(row.name) for row in rows if row.available and row.name.startswith(begun)]


def _complete_target(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    files = [CompletionItem(begun, type="file")] if begun and ("/" in begun or begun.endswith(".json")) else []
    return [*files, *(CompletionItem(name) for name in target_names() if name.startswith(begun))]
