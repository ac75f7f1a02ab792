"""The default backend: graphs lowered to ONNX, run by ONNX Runtime with buffers bound in place.

Importing onnxruntime 1.32 starts a thread for its telemetry, which does not go together with forks. So telemetry is off
here, unless the program has imported onnxruntime before, or has set the variable itself.
"""

import os
from contextlib import suppress
from typing import Final

_DISABLE: Final = "ORT_DISABLE_TELEMETRY"

if _DISABLE not in os.environ:
    os.environ[_DISABLE] = "1"
    try:
        with suppress(ImportError):  # the modules that need it say so
            import onnxruntime  # noqa: F401
    finally:
        del os.environ[_DISABLE]  # not for other processes that this one starts
