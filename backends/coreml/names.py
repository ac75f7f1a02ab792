"""Names of inputs and outputs in an ML Program, which are identifiers: `[A-Za-z_][A-Za-z0-9_@]*`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["feature_names", "free_prefix"]

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def feature_names(names: Iterable[str], taken: Iterable[str] = ()) -> Mapping[str, str]:
    """A feature name for each of `names`, which differ from each other and from those that are `taken`.

    Identifiers stay as they are; other characters become `_`, and a number follows where names would be the same.

    >>> feature_names(["x", "a/b", "a.b", "3d"])
    {'x': 'x', 'a/b': 'a_b', 'a.b': 'a_b_2', '3d': '_3d'}
    """
    given = list(names)
    used = {*taken}
    kept = {name for name in given if _IDENTIFIER.fullmatch(name) and name not in used}
    used |= kept
    result = {}
    for name in given:
        if name in kept:
            result[name] = name
            continue
        stem = re.sub(r"[^A-Za-z0-9_]", "_", name) or "_"
        stem = stem if _IDENTIFIER.fullmatch(stem) else f"_{stem}"
        spelled, number = stem, 1
        while spelled in used:
            number += 1
            spelled = f"{stem}_{number}"
        used.add(spelled)
        result[name] = spelled
    return result


def free_prefix(names: Iterable[str]) -> str:
    """What the names of values inside the program begin with, so that none of them is one of `names`."""
    prefix, given = "v", tuple(names)
    while any(name.startswith(prefix) for name in given):
        prefix += "_"
    return prefix
