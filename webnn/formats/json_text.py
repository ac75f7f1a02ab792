"""JSON from files that nobody vouches for: whatever is wrong with it is a `DataError` that says where.

And the words for numbers that it cannot spell.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from webnn.errors import DataError

__all__ = ["NUMBER_WORDS", "json_number", "parse_json", "read_json"]

NUMBER_WORDS: Final[Mapping[str, float]] = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""The strings that stand for numbers which JSON does not have."""


def json_number(value: float) -> float | str:
    """`value`, or the word for it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def parse_json(text: bytes, where: str, *, unique_keys: bool = False) -> Any:
    """What `text` says.

    Args:
        text: UTF-8.
        where: put in front of messages.
        unique_keys: refuse an object that has a key twice, of which JSON would take the last.

    Raises:
        DataError: it is not UTF-8 or no JSON, or is nested too deeply, or has a number of thousands of digits.
    """

    def check_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            seen: set[str] = set()
            repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise DataError(f"{where}: the key {repeated!r:.80} is there twice")
        return result

    def refuse_constant(name: str) -> None:
        raise ValueError(f"no JSON: {name} is no number there")

    try:
        hook = check_keys if unique_keys else None
        return json.loads(text.decode("utf-8"), object_pairs_hook=hook, parse_constant=refuse_constant)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}:{error.lineno}:{error.colno}: no JSON: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise DataError(f"{where}: nested too deeply") from None
    except ValueError as error:  # an integer of more digits than Python converts
        raise DataError(f"{where}: {error}") from None


def read_json(path: Path, limit: int) -> Any:
    """What a file of at most `limit` bytes says; no object in it has a key twice.

    Raises:
        DataError: it is larger, or as `parse_json`.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        text = file.read(limit + 1)
    if len(text) > limit:
        raise DataError(f"{path.name}: at most {limit} bytes are read, this has more")
    return parse_json(text, path.name, unique_keys=True)
