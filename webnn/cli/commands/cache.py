"""`webnn cache`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from webnn.backends.disk_store import DiskStore, StoredEntry
from webnn.cli import options
from webnn.cli.output import console, counted, heading, print_json, size, table, text
from webnn.errors import ValidationError
from webnn.formats.graph_folder import STRUCTURE
from webnn.runtime.cache_options import CACHE_VARIABLE, COMPILED, cache_folder
from webnn.runtime.saved_graphs import GRAPHS

__all__ = ["command"]

C = TypeVar("C", bound=Callable[..., Any])


@click.group("cache")
def command() -> None:
    """List or clear the graphs that are kept on disk: saved by context.save_graph, or compiled."""


def _place(subcommand: C) -> C:
    return click.option(
        "--dir",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        help=f"A cache_dir or a compiled_cache. Default: {CACHE_VARIABLE}, or else the user's cache folder.",
    )(subcommand)


@command.command("list", short_help="List all entries.")
@_place
@options.as_json
def list_entries(*, folder: Path | None, as_json: bool) -> int:
    """List all entries with their sizes and the times when they were written."""
    root = cache_folder(folder)
    entries = [_told(entry) for store in _stores(root) for entry in store.entries()]
    total = sum(entry["bytes"] for entry in entries)
    if as_json:
        print_json({"folder": str(root), "bytes": total, "entries": entries})
        return 0
    heading(f"{root}: {counted(len(entries), 'entry', 'entries')}, {size(total)}")
    if entries:
        rows = [[entry["kind"], entry["key"], size(entry["bytes"]), entry["written"]] for entry in entries]
        table(["kind", "key", "size", "written"], rows, right=["size"])
    return 0


@command.command("clear")
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@_place
@options.as_json
def clear(*, keys: Sequence[str], folder: Path | None, as_json: bool) -> int:
    """Remove the entries of these keys, or all entries. Programs that use an entry keep working."""
    root = cache_folder(folder)
    entries = [(store, entry) for store in _stores(root) for entry in store.entries()]
    unknown = set(keys).difference(entry.key for _, entry in entries)
    if unknown:
        known = ", ".join(repr(entry.key) for _, entry in entries) or "none"
        raise ValidationError(f"no entry in {root} is called {min(unknown)!r}; the entries are: {known}")
    removed = [(store, entry) for store, entry in entries if not keys or entry.key in keys]
    for store, entry in removed:  # one by one: other files in the folder are not ours
        store.remove(entry.key)
    freed = sum(entry.byte_length for _, entry in removed)
    if as_json:
        print_json({"folder": str(root), "removed": [entry.key for _, entry in removed], "bytes": freed})
    else:
        count = counted(len(removed), "entry", "entries")
        console().print(f"removed {count}, {size(freed)}, from {text(root)}")
    return 0


def _stores(root: Path) -> list[DiskStore]:
    """The stores of a cache folder, one for each kind of entry; the folder itself may be one, of compiled graphs."""
    if not root.is_dir():
        return []
    return [DiskStore(path) for path in (root, *sorted(path for path in root.iterdir() if path.is_dir()))]


def _told(entry: StoredEntry) -> dict[str, Any]:
    try:
        written = datetime.fromtimestamp(entry.folder.stat().st_mtime).isoformat(" ", "seconds")
    except OSError:  # another process has removed it meanwhile
        written = ""
    kind = GRAPHS if STRUCTURE in entry.facts else COMPILED
    return {"kind": kind, "key": entry.key, "bytes": entry.byte_length, "written": written, "facts": dict(entry.facts)}
