"""Large constants of a session: onnxruntime reads them from the file in which they lie, or gets them in memory.

Measured with 1.32: a session copies constants that it gets in memory. It maps those that it reads from a file, and
releases them once they are packed, so that MiniLM (90 MB) takes 120 MB at its peak and not 290.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from webnn.backends.onnx.messages import ModelProto, StringStringEntryProto
from webnn.memory.mapped import place_in_file

__all__ = ["FOLDER", "leave_in_files", "places_in_files"]

FOLDER: Final = "session.model_external_initializers_file_folder_path"
"""The session's option for the one folder in which it finds files."""


def places_in_files(external: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, tuple[Path, int]]:
    """The file and the offset of each array of `external` that was mapped from a file that has not changed since."""
    seen: dict[Path, object] = {}
    return {name: place for name, array in external.items() if (place := place_in_file(array, seen)) is not None}


def leave_in_files(
    model: ModelProto, external: Mapping[str, np.ndarray[Any, Any]], places: Mapping[str, tuple[Path, int]]
) -> tuple[Path | None, dict[str, np.ndarray[Any, Any]]]:
    """Point the declarations in `model` to files, for the arrays of `external` that have a place in `places`.

    Returns:
        The folder of the files, if there are any, and the arrays that have to be given in memory.
    """
    folders = Counter[Path]()
    for path, count in Counter(path for path, _ in places.values()).items():
        folders[path.parent] += count
    folder = folders.most_common(1)[0][0] if folders else None
    locations = {path: path.name for path in {path for path, _ in places.values()} if path.parent == folder}
    rest = {}
    for tensor in model.graph.initializer:
        if tensor.name not in external:
            continue
        array, place = external[tensor.name], places.get(tensor.name)
        if place is not None and place[0] in locations:
            entries = {"location": locations[place[0]], "offset": str(place[1]), "length": str(array.nbytes)}
        else:
            rest[tensor.name] = _aligned(array)
            entries = {"location": "memory"}
        del tensor.external_data[:]  # of an earlier call
        tensor.external_data.extend(StringStringEntryProto(key=key, value=value) for key, value in entries.items())
    return folder, rest


def _aligned(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array if array.flags.aligned else array.copy()
