"""JSON from untrusted files: anything wrong with it is a `DataError` with the place.

Also the strings for numbers that JSON does not have.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from webnn.errors import DataError
from webnn.graph.arguments import shown

__all__ = ["NUMBER_WORDS", "finite", "json_number", "parse_json", "read_json"]

NUMBER_WORDS: Final[Mapping[str, float]] = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""The strings that stand for numbers which JSON does not have."""


def json_number(value: float) -> float | str:
    """`value`, or the string for it if it is not finite."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def finite(data: Any) -> Any:
    """`data` with strings in place of numbers that JSON lacks."""
    if isinstance(data, Mapping):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    return json_number(data) if isinstance(data, float) else data


def parse_json(text: bytes, where: str, *, unique_keys: bool = False) -> Any:
    """The value that `text` holds.

    Args:
        text: UTF-8.
        where: put in front of messages.
        unique_keys: refuse an object that has a key twice; JSON readers take the last.

    Raises:
        DataError: it is not UTF-8 or not JSON, or is nested too deeply, or has a number of thousands of digits.
    """

    def check_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            seen: set[str] = set()
            repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise DataError(f"{where}: the key {shown(repeated)} appears twice")
        return result

    def refuse_constant(name: str) -> None:
        raise ValueError(f"not JSON, which has no number {name}")

    try:
        hook = check_keys if unique_keys else None
        return json.loads(text.decode("utf-8"), object_pairs_hook=hook, parse_constant=refuse_constant)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise DataError(f"{where}: nested too deeply") from None
    except ValueError as error:  # an integer of more digits than Python converts
        raise DataError(f"{where}: {error}") from None


def read_json(path: Path, limit: int) -> Any:
    """The value in a file of at most `limit` bytes; no object in it has a key twice.

    Raises:
        DataError: it is larger, or as for `parse_json`.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        text = file.read(limit + 1)
    if len(text) > limit:
        raise DataError(f"{path.name}: the file may have {limit} bytes, this has more")
    return parse_json(text, path.name, unique_keys=True)
