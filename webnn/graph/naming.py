"""Names in other forms: the specification's camelCase as Python names, and any names as those of a file format."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

__all__ = ["NamesInFile", "camel", "names_in_file", "snake", "valid_names"]

NamesInFile: TypeAlias = Mapping[str, Mapping[str, str]]
"""The names that a file has instead of the graph's, by these, for "inputs" and "outputs"."""


def snake(name: str) -> str:
    """The Python name of an operator, option or operand.

    >>> [snake(n) for n in ("convTranspose2d", "l2Pool2d", "reduceL1", "gatherND", "isNaN", "inputLayout")]
    ['conv_transpose2d', 'l2_pool2d', 'reduce_l1', 'gather_nd', 'is_nan', 'input_layout']
    """
    if name == "isNaN":
        return "is_nan"
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def camel(name: str) -> str:
    """The specification's name of an operator, option or operand: the inverse of `snake`.

    >>> [camel(n) for n in ("conv_transpose2d", "l2_pool2d", "reduce_l1", "gather_nd", "is_nan", "input_layout")]
    ['convTranspose2d', 'l2Pool2d', 'reduceL1', 'gatherND', 'isNaN', 'inputLayout']
    """
    if name == "is_nan":
        return "isNaN"
    first, *rest = name.split("_")
    return first + "".join("ND" if word == "nd" else word[:1].upper() + word[1:] for word in rest)


def valid_names(names: Iterable[str], valid: re.Pattern[str], taken: Iterable[str] = ()) -> Mapping[str, str]:
    """A valid name for each of `names`, which differ from each other and from those that are `taken`.

    Valid names stay as they are; other characters become `_`, and a number follows where names would be the same.
    Names that consist of `_`, letters and digits after it must be valid.

    >>> dict(valid_names(["x", "a/b", "a.b", "3d"], re.compile("[A-Za-z_][A-Za-z0-9_]*")))
    {'x': 'x', 'a/b': 'a_b', 'a.b': 'a_b_2', '3d': '_3d'}
    """
    given = list(names)
    used = {*taken}
    kept = {name for name in given if valid.fullmatch(name) and name not in used}
    used |= kept
    result = {}
    for name in given:
        if name in kept:
            result[name] = name
            continue
        stem = "".join(character if valid.fullmatch(f"_{character}") else "_" for character in name)
        stem = stem if valid.fullmatch(stem) else f"_{stem}"
        spelled, number = stem, 1
        while spelled in used:
            number += 1
            spelled = f"{stem}_{number}"
        used.add(spelled)
        result[name] = spelled
    return result


def names_in_file(inputs: Mapping[str, str], outputs: Mapping[str, str]) -> NamesInFile:
    """The names that are others in the file, of those for all inputs and outputs."""
    return {
        kind: {name: other for name, other in names.items() if other != name}
        for kind, names in (("inputs", inputs), ("outputs", outputs))
    }
