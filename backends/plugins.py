"""Backends of other distributions, which plug in through the entry-point group `webnn.backends`.

Every context without a named backend asks for them, and importing `importlib.metadata` takes some 13 ms.
So the entry points of installed distributions are read for the name of the group first. Only where a distribution has
it, and where distributions are not plain folders, is `importlib.metadata` asked.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Final

from webnn.forking import import_lock

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "may_have_plugins", "plugins"]

GROUP: Final = "webnn.backends"


def plugins(built_in: Collection[str]) -> Mapping[str, EntryPoint]:
    """The entry points by name, without those of `built_in` backends."""
    if not may_have_plugins(built_in):
        return {}
    with import_lock:
        from importlib.metadata import entry_points  # noqa: PLC0415

    return {point.name: point for point in entry_points(group=GROUP) if point.name not in built_in}


def may_have_plugins(built_in: Collection[str]) -> bool:
    """Whether a distribution has an entry point that is not in `built_in`, or could have one that was not seen."""
    finders = [finder for finder in sys.meta_path if hasattr(finder, "find_distributions")]
    return finders != [PathFinder] or any(_may_have_plugins(folder or ".", built_in) for folder in sys.path)


def _may_have_plugins(folder: str, built_in: Collection[str]) -> bool:
    try:
        names = os.listdir(folder)
    except NotADirectoryError:  # an archive
        return True
    except OSError:  # which is not there
        return False
    found = [name for name in names if name.lower().endswith((".dist-info", ".egg-info"))]
    if folder.endswith(".egg"):
        found += [name for name in names if name.lower() == "egg-info"]
    return any(not _names(os.path.join(folder, name, "entry_points.txt")) <= set(built_in) for name in found)


def _names(path: str) -> set[str]:
    """The names in the group of a file of entry points, as `importlib.metadata` reads it."""
    try:
        with open(path, "rb", buffering=0) as file:  # as text, it would take twice as long
            content = file.read()
        text = content.decode() if GROUP.encode() in content else ""
    except (OSError, ValueError):  # most distributions have no entry points
        return set()
    names, section = set(), ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section == GROUP and line and not line.startswith("#"):
            names.add(line.partition("=")[0].strip())
    return names
