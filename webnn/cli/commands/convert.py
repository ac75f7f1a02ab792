"""`webnn convert`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from webnn.cli import options
from webnn.cli.data import inputs_from
from webnn.cli.models import Source, blueprint, check_writable, save_model
from webnn.cli.output import console, print_json, progress, size, text
from webnn.errors import OperationError, ValidationError
from webnn.graph.ir import Graph
from webnn.graph.rewriting import renamed

__all__ = ["command"]


@click.command("convert")
@options.model
@click.argument("target", type=click.Path(path_type=Path))
@options.some_inputs
@click.option(
    "--rename",
    "renames",
    multiple=True,
    metavar="OLD=NEW",
    help="Another name for an input or output of the result; may be repeated.",
)
@click.option("--force", is_flag=True, help="Replace TARGET if it exists.")
@options.as_json
def command(
    *,
    source: Source,
    target: Path,
    inputs: Sequence[str],
    seed: int,
    renames: Sequence[str],
    force: bool,
    as_json: bool,
) -> int:
    """Write MODEL to TARGET, in the format of its suffix.

    The result is the WebNN graph: open dimensions have the sizes given, and constant expressions are folded. Large
    weights go to a file beside TARGET. Names that the format cannot hold are replaced, which is printed. A page (.html)
    holds its weights, and tests itself in the browser on the values of --input; inputs without one are random.
    """
    check_writable(target)
    if target.is_dir() and not _is_folder(target):
        raise OperationError(f"{target} is a folder")
    if target.exists() and not force:
        raise OperationError(f"{target} exists: --force replaces it")
    graph = renamed(options.read(source, blueprint()), options.by_name("--rename", map(_rename, renames)))
    more = _options(graph, target, inputs, seed)
    before = {path: _written(path) for path in _beside(target)}
    with progress(f"writing {target.name}"):
        names = save_model(graph, target, **more)
    files = [path for path in _beside(target) if before.get(path) != _written(path)]
    sizes = {str(path): sum(file.stat().st_size for file in _files(path)) for path in files}
    if as_json:
        print_json(
            {
                "model": str(source.path),
                "target": str(target),
                "nodes": len(graph.nodes),
                "renamed": names,
                "files": [{"path": path, "bytes": length} for path, length in sizes.items()],
            }
        )
    else:
        for path, length in sizes.items():
            console().print(f"wrote {text(path)}, {size(length)}")
        for kind, others in names.items():
            for name, other in others.items():
                console().print(f"for other programs, {kind[:-1]} {text(name)} is called {text(other)}")
    return 0


def _rename(word: str) -> tuple[str, str]:
    old, _, new = word.rpartition("=")
    if not old or not new:
        raise click.BadParameter(f"expected OLD=NEW, got {word!r}", param_hint="--rename")
    return old, new


def _options(graph: Graph, target: Path, inputs: Sequence[str], seed: int) -> dict[str, Any]:
    """The options of the format of `target`."""
    if target.suffix.lower() != ".html":
        if inputs:
            raise ValidationError(f"--input is for the test of a page: {target} holds none, a .html file does")
        return {}
    return {"inputs": inputs_from(inputs, graph.input_descriptors, graph.unread_inputs, fill=True, seed=seed)}


def _beside(target: Path) -> list[Path]:
    """The files that belong to `target`, by name."""
    shared = ("webnn.d.ts",)  # of all modules in the folder
    files = (path for path in target.parent.iterdir() if path.name.startswith(target.stem) or path.name in shared)
    return sorted(path for path in files if path.is_file() or _is_folder(path))


def _is_folder(path: Path) -> bool:
    """Whether models of this kind are folders."""
    return path.suffix.lower() == ".mlpackage"


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def _written(path: Path) -> int:
    """When the file, or the last one of the folder, was written."""
    return max((file.stat().st_mtime_ns for file in _files(path)), default=0)
