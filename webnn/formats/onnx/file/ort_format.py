"""Files in onnxruntime's own format, `.ort`, which packages for small devices contain in place of ONNX files.

The format has the nodes and weights of an ONNX model, after onnxruntime's optimisations. onnxruntime 1.32 reads it and
writes it as ONNX again. (It leaves out the names of subgraphs, so it cannot read its own result if there are any.)
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from webnn.errors import DataError
from webnn.forking import import_whole
from webnn.memory.mapped import map_file

__all__ = ["as_onnx"]

_WEIGHTS: Final = "weights"
_EXTERNAL: Final = "session.optimized_model_external_initializers"


def as_onnx(source: Path | np.ndarray[Any, Any], what: str) -> tuple[bytes, dict[str, np.ndarray[Any, Any]]]:
    """The bytes of an ONNX model from a file in onnxruntime's format, and the files of its weights by their name.

    The weights are mapped: in the bytes of the model they would be in memory twice while it is written. The files are
    deleted, and their space is free again with the last array of the mapping.

    Args:
        source: the file, or its bytes.
        what: the file, for errors.

    Raises:
        DataError: onnxruntime cannot read the file.
    """
    onnxruntime = import_whole("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.load_model_format", "ORT")
    options.add_session_config_entry("session.save_model_format", "ONNX")
    options.add_session_config_entry("session.disable_prepacking", "1")  # nothing runs, so nothing below is needed:
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.add_session_config_entry(f"{_EXTERNAL}_file_name", _WEIGHTS)
    options.add_session_config_entry(f"{_EXTERNAL}_min_size_in_bytes", "1024")
    options.log_severity_level = 4
    given = str(source) if isinstance(source, Path) else source.tobytes()
    with TemporaryDirectory(prefix="webnn-ort-", ignore_cleanup_errors=True) as folder:  # not while mapped on Windows
        file = Path(folder) / "model.onnx"
        options.optimized_model_filepath = str(file)
        try:
            onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
            weights = Path(folder) / _WEIGHTS
            return file.read_bytes(), {_WEIGHTS: map_file(weights)} if weights.exists() else {}
        except Exception as error:  # its classes have no common base
            raise DataError(f"{what} is in onnxruntime's format, and onnxruntime cannot read it: {error}") from None
