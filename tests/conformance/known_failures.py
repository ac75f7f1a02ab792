"""What is known to fail, and why an implementer of WebNN would accept it.

Strict: a test that is listed here and passes fails the run, until its line is removed. Cases that contradict the
current specification are not listed; the data marks them (`Case.stale`), and they are counted apart.
"""

from __future__ import annotations

from typing import Final

__all__ = ["KNOWN_FAILURES", "known_failure"]

KNOWN_FAILURES: Final[dict[tuple[str, str, str | None], str]] = {
    ("subgraph", "batchNormalization options.axis=0 + gelu", None): (
        "element 4 is expected 34 ULP away from the exact result, -0.0359513043; the tolerance is 24"
    ),
}
"""(file, test, backend or None for every backend) to the reason."""


def known_failure(file: str, name: str, backend: str) -> str | None:
    """Why this test is expected to fail on `backend`; None if it is expected to pass."""
    return KNOWN_FAILURES.get((file, name, backend)) or KNOWN_FAILURES.get((file, name, None))
