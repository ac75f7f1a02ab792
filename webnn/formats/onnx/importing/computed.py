"""Large constants that are computed from the weights of a file, such as dequantized ones, for all imports of that file.

A model is imported once for each size of its inputs. What depends on its weights alone is the same each time. So an
import finds what an earlier one has computed, for as long as a graph has it, and the file has not changed.
"""

from __future__ import annotations

import weakref
from typing import Any, Final

import numpy as np

from webnn.backends.onnx.messages import TensorProto
from webnn.formats.onnx.file.reading import Model

__all__ = ["Computed", "computed_from", "remember"]

_LEAST: Final = 64 * 1024
"""Bytes; a builder copies smaller constants."""

Computed = weakref.WeakValueDictionary[str, np.ndarray[Any, Any]]
"""The arrays by the names of their values in the model. Nothing here keeps them alive."""

_of_files: Final[dict[object, Computed]] = {}


def computed_from(model: Model) -> Computed | None:
    """What imports of the file of `model` have computed; None if the weights are not in that file."""
    file = model.file
    if file is None or any(t.data_location == TensorProto.EXTERNAL for t in model.proto.graph.initializer):
        return None
    for other in [other for other, arrays in list(_of_files.items()) if not arrays]:
        _of_files.pop(other, None)
    return _of_files.setdefault(file, Computed())


def remember(computed: Computed, name: str, array: np.ndarray[Any, Any]) -> None:
    """Let later imports find `array`, which nothing may write any more."""
    if array.nbytes > _LEAST and array.base is None:
        computed[name] = array
