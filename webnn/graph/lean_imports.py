"""Names of libraries whose import takes megabytes, in the way that takes the least.

The memory of a small model is mostly that of imported libraries.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from webnn.forking import import_whole

__all__ = ["SMALL_TYPES", "sha256", "small_dtype"]

SMALL_TYPES: Final = frozenset({"bfloat16", "float8_e4m3fn", "float8_e5m2", "int2", "int4", "uint2", "uint4"})
"""The data types that NumPy lacks. They come from ml_dtypes, and are the names of its types."""

# `hashlib` loads OpenSSL, which takes 3.5 MB; like `random` of the standard library, this takes the module behind it.
try:
    from _sha2 import sha256  # type: ignore[import-not-found]  # Python 3.12
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found]  # Python 3.11
    except ImportError:
        from hashlib import sha256


def small_dtype(name: str) -> np.dtype[Any]:
    """The data type called `name`, one of `SMALL_TYPES`. The first call imports ml_dtypes, which takes 2 MB and 5 ms.

    An array of such a type tells so by the name of its data type: no import is needed to ask.
    """
    assert name in SMALL_TYPES
    dtype: np.dtype[Any] = np.dtype(getattr(import_whole("ml_dtypes"), name))
    return dtype
