"""The recorded browsers still answer the ambiguous cases as the page has it."""

from __future__ import annotations

import pytest

from tests.conformance.chromium.browser import missing, program
from webnn.browsers.chromium import Chromium

generator = pytest.importorskip("docs.generate_ambiguous_cases", reason="the sources are not beside the tests")
answers = pytest.importorskip("docs.ambiguous.answers", reason="the sources are not beside the tests")


@pytest.mark.parametrize("name", ["chromium-147", "chromium-153"])
def test_the_browsers_answer_as_recorded(name: str) -> None:
    if (absent := missing(name)) is not None:
        pytest.skip(absent)
    recorded = {row["name"]: row["answers"][name] for row in generator.recorded()["cases"]}
    with Chromium(program(name)) as chromium:
        answer = answers.browser(chromium)
        found = {case.name: answer(case) for case in generator.CASES}
    assert {case: found[case] for case in found if not answers.same(found[case], recorded[case])} == {}
