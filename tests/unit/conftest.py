"""What the unit tests share."""

import pytest

from tests.stepped import LARGE, SMALL, Rig
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend


@pytest.fixture(params=[ArraysBackend, OnnxRuntimeBackend], ids=["arrays", "onnxruntime"])
def backend(request: pytest.FixtureRequest) -> Backend:
    made: Backend = request.param()
    return made


@pytest.fixture(params=[LARGE, SMALL], ids=["large", "small"])
def rig(request: pytest.FixtureRequest) -> Rig:
    """A timeline that runs everything on one stepped lane."""
    return Rig(descriptor=request.param)
