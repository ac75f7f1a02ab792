"""The places of `resample2d`'s outputs in its input, computed with integers: halves must not depend on rounding.

Output `o` of `outputs` lies at `(o + 0.5) * inputs / outputs - 0.5`, which is `((2 * o + 1) * inputs - outputs) / (2 *
outputs)`.
Spec: https://www.w3.org/TR/webnn/#api-mlgraphbuilder-resample2d-method
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["coordinates", "nearest"]


def _numerators(inputs: int, outputs: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return (2 * np.arange(outputs, dtype=np.int64) + 1) * inputs - outputs


def nearest(inputs: int, outputs: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The index that each output takes: the nearest, or the lower of two that are equally near.

    >>> nearest(4, 2).tolist(), nearest(2, 5).tolist()
    ([0, 2], [0, 0, 0, 1, 1])
    """
    indices = -((outputs - _numerators(inputs, outputs)) // (2 * outputs))
    clipped: np.ndarray[Any, np.dtype[np.int64]] = np.clip(indices, 0, inputs - 1)
    return clipped


def coordinates(inputs: int, outputs: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The place of each output, clamped into the input."""
    return np.clip(_numerators(inputs, outputs) / (2 * outputs), 0.0, inputs - 1.0)
