"""Names of inputs and outputs in an ML Program, which are identifiers: `[A-Za-z_][A-Za-z0-9_@]*`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from webnn.graph.naming import valid_names

__all__ = ["feature_names", "free_prefix"]

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def feature_names(names: Iterable[str], taken: Iterable[str] = ()) -> Mapping[str, str]:
    """A feature name for each of `names`, which differ from each other and from those that are `taken`."""
    return valid_names(names, _IDENTIFIER, taken)


def free_prefix(names: Iterable[str]) -> str:
    """What the names of values inside the program begin with, so that none of them is one of `names`."""
    prefix, given = "v", tuple(names)
    while any(name.startswith(prefix) for name in given):
        prefix += "_"
    return prefix
