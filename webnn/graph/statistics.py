"""Statistics of an array, which may be large."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import numpy as np

__all__ = ["statistics"]

Array: TypeAlias = np.ndarray[Any, Any]

CHUNK: Final = 1 << 20
"""Elements that are processed together, so that statistics of large arrays take little memory."""


def statistics(array: Array, bins: int = 0) -> dict[str, Any]:
    """Smallest, largest, mean and standard deviation of the finite elements, how many are 0 or not finite.

    Args:
        array: an array of one of the data types; may be large.
        bins: the number of bins of a histogram from the smallest to the largest; 0 for none.
    """
    flat = array.reshape(-1)
    low, high, total, squares, zeros, finite = np.inf, -np.inf, 0.0, 0.0, 0, 0
    for values in _chunks(flat):
        zeros += int(np.count_nonzero(values == 0))
        sound = values[np.isfinite(values)]
        if sound.size:
            low, high = min(low, float(sound.min())), max(high, float(sound.max()))
            total += float(sound.sum())
            squares += float(np.square(sound).sum())
            finite += sound.size
    result: dict[str, Any] = {"zeros": zeros, "not_finite": flat.size - finite}
    if not finite:
        return result
    mean = total / finite
    deviation = max(0.0, squares / finite - mean * mean) ** 0.5
    result = {"min": low, "max": high, "mean": mean, "deviation": deviation, **result}
    if bins and high > low:
        counts = np.zeros(bins, np.int64)
        for values in _chunks(flat):
            counts += np.histogram(values[np.isfinite(values)], bins, (low, high))[0]
        result["histogram"] = counts.tolist()
    return result


def _chunks(flat: Array) -> Iterator[Array]:
    """`flat` in float64, in pieces."""
    for start in range(0, flat.size, CHUNK):
        yield flat[start : start + CHUNK].astype(np.float64)
