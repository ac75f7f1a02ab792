"""The browsers in which the tests of this folder run, each of them once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.chromium.browser import NAMES, missing, program
from webnn.browsers.chromium import Chromium


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """The name of a browser that is installed; it goes into the names of programs and of expected results."""
    wanted: str = request.param
    if (absent := missing(wanted)) is not None:
        pytest.skip(absent)
    return wanted


@pytest.fixture(scope="module")
def chromium(name: str) -> Iterator[Chromium]:
    with Chromium(program(name)) as browser:
        yield browser
