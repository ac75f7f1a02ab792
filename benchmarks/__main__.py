"""`python -m benchmarks`: every benchmark in turn, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

SHARED: Final = ("__init__", "__main__", "measure", "models")
"""Modules here that are no benchmarks."""

if __name__ == "__main__":
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in SHARED)
    failed = [name for name in names if subprocess.call([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]])]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")
