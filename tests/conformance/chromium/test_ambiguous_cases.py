"""The recorded browsers still answer the ambiguous cases as the page has it."""

from __future__ import annotations

import pytest

from webnn.browsers.chromium import Chromium

generator = pytest.importorskip("docs.generate_ambiguous_cases", reason="the sources are not beside the tests")
answers = pytest.importorskip("docs.ambiguous.answers", reason="the sources are not beside the tests")


def test_the_browsers_answer_as_recorded(name: str, chromium: Chromium) -> None:
    recorded = {row["name"]: row["answers"][name] for row in generator.recorded()["cases"]}
    answer = answers.browser(chromium)
    found = {case.name: answer(case) for case in generator.CASES}
    assert {case: found[case] for case in found if not answers.same(found[case], recorded[case])} == {}
