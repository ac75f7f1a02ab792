"""Large constants of a session: read by onnxruntime from the file they lie in, or handed over in memory.

Measured with 1.32: what is handed over is copied by the session all the same. What it reads from a file it maps, and
lets go of once it has packed it, so that MiniLM (90 MB) takes 120 MB at its peak and not 290.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx

from webnn.memory.mapped import place_in_file

__all__ = ["FOLDER", "leave_in_files"]

FOLDER: Final = "session.model_external_initializers_file_folder_path"
"""The option that names the one folder in which a session finds files."""


def leave_in_files(
    model: onnx.ModelProto, external: Mapping[str, np.ndarray[Any, Any]]
) -> tuple[Path | None, dict[str, np.ndarray[Any, Any]]]:
    """Point the declarations in `model` to files where `external` was mapped from them.

    Returns:
        The folder of the files, if there are any, and the arrays that have to be handed over.
    """
    places = {name: place for name, array in external.items() if (place := place_in_file(array)) is not None}
    folders = Counter[Path]()
    for name, (path, _) in places.items():
        folders[path.parent] += external[name].nbytes
    if not folders:
        return None, {name: _aligned(array) for name, array in external.items()}
    (folder, _), *_ = folders.most_common(1)
    rest = {}
    for tensor in model.graph.initializer:
        if tensor.name not in external:
            continue
        place = places.get(tensor.name)
        if place is None or place[0].parent != folder:
            rest[tensor.name] = _aligned(external[tensor.name])
            continue
        path, offset = place
        del tensor.external_data[:]
        for key, value in (("location", path.name), ("offset", offset), ("length", external[tensor.name].nbytes)):
            tensor.external_data.add(key=key, value=str(value))
    return folder, rest


def _aligned(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array if array.flags.aligned else array.copy()
