"""Files in onnxruntime's own format, `.ort`, which packages for small devices contain in place of ONNX files.

The format has the nodes and weights of an ONNX model, after onnxruntime's optimisations. onnxruntime 1.32 reads it and
writes it as ONNX again. (It leaves out the names of subgraphs, so it cannot read its own result if there are any.)
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from webnn.errors import DataError
from webnn.forking import import_whole

__all__ = ["as_onnx"]


def as_onnx(source: Path | np.ndarray[Any, Any], what: str) -> bytes:
    """The bytes of an ONNX model from a file in onnxruntime's format.

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
    options.add_session_config_entry("session.disable_prepacking", "1")  # nothing runs
    options.log_severity_level = 4
    given = str(source) if isinstance(source, Path) else source.tobytes()
    with TemporaryDirectory(prefix="webnn-ort-") as folder:
        file = Path(folder) / "model.onnx"
        options.optimized_model_filepath = str(file)
        try:
            onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
            return file.read_bytes()
        except Exception as error:  # its classes have no common base
            raise DataError(f"{what} is in onnxruntime's format, and onnxruntime cannot read it: {error}") from None
