"""From a test's end to its line in the summary: known failures, cases older than the specification, totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pytest

from tests.conformance.known_failures import known_failure
from tests.conformance.wpt import Case
from webnn.errors import MLError

__all__ = ["summary", "verdict"]

_PROPERTY: Final = "wpt"


@contextmanager
def verdict(request: pytest.FixtureRequest, kind: str, backend: str, case: Case) -> Iterator[None]:
    """Around a test of `case`: counts it, expects known failures, and lets a case older than the specification fail."""
    request.node.user_properties.append((_PROPERTY, (kind, backend, case.stale is not None)))
    reason = known_failure(case.file, case.name, backend)
    if reason is not None:
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
    try:
        yield
    except (AssertionError, MLError, TypeError):
        if case.stale is None:
            raise
        pytest.xfail(f"older than the specification: {case.stale}")


def summary(stats: Mapping[str, Sequence[Any]]) -> list[str]:
    """One line for each kind of test and backend, from the terminal reporter's reports by outcome."""
    counts: Counter[tuple[str, str, bool, str]] = Counter()
    for outcome in ("passed", "failed", "error", "xfailed", "skipped"):
        for report in stats.get(outcome, ()):
            for name, value in getattr(report, "user_properties", ()):
                if name == _PROPERTY and (report.when == "call" or outcome in ("error", "skipped")):
                    counts[*value, outcome] += 1
    lines = []
    for kind, backend in dict.fromkeys(key[:2] for key in counts):
        current = {key[3]: n for key, n in counts.items() if key[:3] == (kind, backend, False)}
        stale = {key[3]: n for key, n in counts.items() if key[:3] == (kind, backend, True)}
        words = [f"{current.get('passed', 0)} of {sum(current.values())} pass"]
        if current.get("xfailed"):
            words.append(f"{current['xfailed']} known to fail")
        if failures := current.get("failed", 0) + current.get("error", 0):
            words.append(f"{failures} FAIL")
        if current.get("skipped"):
            words.append(f"{current['skipped']} skipped")
        if stale:
            words.append(f"of {sum(stale.values())} older than the specification {stale.get('passed', 0)} pass")
        lines.append(f"WPT {kind} on {backend}: {', '.join(words)}")
    return lines
