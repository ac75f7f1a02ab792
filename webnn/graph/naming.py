"""Conversion between the specification's camelCase names and Python names, by one rule."""

from __future__ import annotations

import re

__all__ = ["camel", "snake"]


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
