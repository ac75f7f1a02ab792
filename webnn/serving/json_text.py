"""JSON as clients of the protocol send and expect it: with the literals NaN, Infinity and -Infinity.

orjson is several times as fast as the standard library, and refuses these literals; the few documents that have them go
to the standard library.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson

from webnn.serving.protocol import Refused

__all__ = ["parsed", "written"]

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def parsed(text: bytes) -> Any:
    """The value of a document.

    Raises:
        Refused: it is not JSON, or nested too deeply.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        # Only what orjson refuses for these literals is worth a second look.
        if b"NaN" not in text and b"Infinity" not in text:
            raise Refused(400, f"the request is not valid JSON: {error}") from None
    try:
        return json.loads(text)
    except RecursionError:
        raise Refused(400, "the request is not valid JSON: it is nested too deeply") from None
    except ValueError as error:
        raise Refused(400, f"the request is not valid JSON: {error}") from None


def written(value: Any, *, finite: bool = True) -> bytes:
    """The document of `value`, which may hold arrays of one dimension.

    Args:
        value: dictionaries, lists, text, numbers and arrays.
        finite: no array holds NaN or an infinity.
    """
    if finite:
        return orjson.dumps(value, option=_OPTIONS)
    return json.dumps(value, default=np.ndarray.tolist, separators=(",", ":")).encode()
