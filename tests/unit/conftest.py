"""What the unit tests of operators share."""

import pytest

from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend


@pytest.fixture(params=[ArraysBackend, OnnxRuntimeBackend], ids=["arrays", "onnxruntime"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param()  # type: ignore[no-any-return]
