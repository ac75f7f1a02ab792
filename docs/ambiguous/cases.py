"""All cases, in the order of the page."""

from __future__ import annotations

from typing import Final

from docs.ambiguous.arithmetic import ARITHMETIC
from docs.ambiguous.conversions import CONVERSIONS
from docs.ambiguous.extremes import EXTREMES
from docs.ambiguous.windows import WINDOWS

__all__ = ["CASES"]

CASES: Final = (*EXTREMES, *CONVERSIONS, *ARITHMETIC, *WINDOWS)
