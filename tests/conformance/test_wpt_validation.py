"""Every recorded sequence of WPT's validation tests: which calls must fail, how, and what shape the others give."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance import wpt
from tests.conformance.verdicts import verdict


@pytest.mark.parametrize("case", wpt.parameters(wpt.sequences("validation")))
def test_validation(
    case: wpt.Case, backend_name: str, play: Callable[[wpt.Case], None], request: pytest.FixtureRequest
) -> None:
    with verdict(request, "validation", backend_name, case):
        play(case)
