"""What the tests of the Core ML backend share."""

from collections.abc import Iterator

import pytest

import webnn


@pytest.fixture(scope="module")
def context() -> Iterator[webnn.MLContext]:
    """A context of the reference backend, which builds the graphs and computes the expected results."""
    with webnn.create_context(backend="arrays") as context:
        yield context
