"""`webnn convert`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from webnn.cli import options
from webnn.cli.models import blueprint, check_writable, save_model
from webnn.cli.output import console, print_json, progress, size, text
from webnn.errors import OperationError

__all__ = ["command"]


@click.command("convert")
@options.model
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace TARGET if it exists.")
@options.as_json
def command(
    *, model: Path, shapes: Sequence[str], constants: Sequence[str], target: Path, force: bool, as_json: bool
) -> int:
    """Write MODEL to TARGET, in the format of its suffix.

    The result is the WebNN graph: open dimensions have the sizes given, and constant expressions are folded.
    Large weights go to a file beside TARGET.
    """
    check_writable(target)
    if target.exists() and not force:
        raise OperationError(f"{target} exists: --force replaces it")
    graph = options.read(model, shapes, constants, blueprint())
    before = {path: path.stat().st_mtime_ns for path in _beside(target)}
    with progress(f"writing {target.name}"):
        save_model(graph, target)
    files = [path for path in _beside(target) if before.get(path) != path.stat().st_mtime_ns]
    sizes = {str(path): path.stat().st_size for path in files}
    if as_json:
        print_json(
            {
                "model": str(model),
                "target": str(target),
                "nodes": len(graph.nodes),
                "files": [{"path": path, "bytes": length} for path, length in sizes.items()],
            }
        )
    else:
        for path, length in sizes.items():
            console().print(f"wrote {text(path)}, {size(length)}")
    return 0


def _beside(target: Path) -> list[Path]:
    """The files that belong to `target`, by name."""
    shared = ("webnn.d.ts",)  # of all modules in the folder
    files = (path for path in target.parent.iterdir() if path.name.startswith(target.stem) or path.name in shared)
    return sorted(path for path in files if path.is_file())
