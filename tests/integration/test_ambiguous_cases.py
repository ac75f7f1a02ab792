"""The page of ambiguous cases: its text is that of the specification, and its answers are those of the backends."""

from __future__ import annotations

import importlib.metadata
import re
from typing import Any, Final

import numpy as np
import pytest

from tests.conformance.wpt import SHARED

generator = pytest.importorskip("docs.generate_ambiguous_cases", reason="the sources are not beside the tests")
answers = pytest.importorskip("docs.ambiguous.answers", reason="the sources are not beside the tests")

SPECIFICATION: Final = SHARED / "spec" / "webnn-2026-06-27.bs"
DATA: Final[dict[str, Any]] = generator.recorded()


def without_markup(text: str) -> str:
    """A text of the specification as a reader sees it."""
    text = re.sub(r"\{\{([^}]*)\}\}", lambda link: re.split(r"[/|]", link[1])[-1], text)
    text = re.sub(r"\[=([^=]*)=\]", lambda link: link[1].rpartition("|")[2].rpartition("/")[2], text)
    return " ".join(re.sub(r"<[^<>]*>", "", text).replace("*", "").split())


def section(text: str, anchor: str) -> str | None:
    """The text of a section with that anchor; None if there is none."""
    found = re.search(rf"\{{#{re.escape(anchor)}\}}\n(.*?)(?=\n#{{1,4}} )", text, re.DOTALL)
    return without_markup(found[1]) if found else None


@pytest.fixture(scope="module")
def specification() -> str:
    if not SPECIFICATION.is_file():
        pytest.skip(f"no {SPECIFICATION}: set WEBNN_SHARED")
    return SPECIFICATION.read_text(encoding="utf-8")


def quoted(specification: str, anchor: str, sentence: str) -> bool:
    """Whether the section has the sentence; `[...]` stands for anything."""
    text = section(specification, anchor)
    parts = [" ".join(part.replace("*", "").split()) for part in sentence.split("[...]")]
    return text is not None and all(part in text for part in parts)


def test_every_sentence_is_in_its_section(specification: str) -> None:
    wrong = [case.name for case in generator.CASES if not quoted(specification, case.section, case.sentence)]
    assert wrong == []


def test_another_sentence_would_be_seen(specification: str) -> None:
    assert quoted(specification, "api-mlgraphbuilder-relu-method", "builder.max(")
    assert not quoted(specification, "api-mlgraphbuilder-relu-method", "builder.min(")
    assert not quoted(specification, "api-mlgraphbuilder-no-such", "builder.max(")


def test_names_are_anchors_and_do_not_repeat() -> None:
    names = [case.name for case in generator.CASES]
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)
    assert len(set(names)) == len(names) >= 80


def test_the_recorded_cases_are_those_of_the_code() -> None:
    rows = [{key: value for key, value in row.items() if key != "answers"} for row in DATA["cases"]]
    assert rows == [generator.described(case) for case in generator.CASES], "python -m docs.generate_ambiguous_cases"


def test_every_implementation_has_answered_every_case() -> None:
    known = list(DATA["implementations"])
    assert {"arrays", "onnxruntime", "chromium-147", "chromium-153"} <= set(known)
    assert [row["name"] for row in DATA["cases"] if list(row["answers"]) != known] == []


def test_the_page_is_made_of_the_recorded_answers() -> None:
    written = generator.PAGE.read_text(encoding="utf-8")
    assert generator.page(written, DATA) == written, "python -m docs.generate_ambiguous_cases"


def test_a_changed_page_would_be_seen() -> None:
    written = generator.PAGE.read_text(encoding="utf-8")
    changed = written.replace("### max-nan", "### max-nun")
    assert changed != written
    assert generator.page(changed, DATA) == written


@pytest.mark.parametrize("name", ["arrays", "onnxruntime"])
def test_the_backends_answer_as_recorded(name: str) -> None:
    package = generator.DISTRIBUTIONS[name]
    version = DATA["implementations"][name]["version"]
    if name != "arrays" and version != f"{package} {importlib.metadata.version(package)}":
        pytest.skip(f"the answers of {name} are those of {version}")
    answer = answers.backend(name)
    recorded = {row["name"]: row["answers"][name] for row in DATA["cases"]}
    found = {case.name: answer(case) for case in generator.CASES}
    assert {case: found[case] for case in found if not answers.same(found[case], recorded[case])} == {}


def test_answers_differ_in_more_than_the_last_digits() -> None:
    def output(*numbers: float) -> dict[str, Any]:
        return {"output": answers.plain(np.array(numbers, np.float32))}

    assert output(np.nan, -0.0, np.inf, 0.1) == {"output": ["NaN", "-0", "Infinity", 0.1]}
    assert answers.same(output(1, np.nan), output(1 + 1e-7, np.nan))
    assert not answers.same(output(1), output(1.001))
    assert not answers.same(output(0.0), output(-0.0))
    assert not answers.same(output(1), {"failed": "no"})
    assert not answers.same({"output": [1]}, {"output": [1.0]})
