"""What the unit tests share."""

from collections.abc import Iterator

import pytest

import webnn
from tests.stepped import INLINE_LIMIT, LARGE, SMALL, Rig
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


@pytest.fixture(params=[LARGE, SMALL], ids=["large", "small"])
def inline(request: pytest.FixtureRequest) -> Rig:
    """Cheap tasks run where their result is wanted."""
    return Rig(descriptor=request.param, inline_limit=INLINE_LIMIT)


@pytest.fixture
def context() -> Iterator[webnn.MLContext]:
    """A context of the reference backend, which is destroyed at the end of the test."""
    with webnn.ML().create_context(backend="arrays") as context:
        yield context
