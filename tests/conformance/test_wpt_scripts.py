"""Every recorded sequence of the WPT files that are code: tensors, reads into buffers, dispatches in parallel."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance import wpt
from tests.conformance.verdicts import verdict


@pytest.mark.parametrize("case", wpt.parameters(wpt.sequences("scripts")))
def test_script(
    case: wpt.Case, backend_name: str, play: Callable[[wpt.Case], None], request: pytest.FixtureRequest
) -> None:
    with verdict(request, "scripts", backend_name, case):
        play(case)
