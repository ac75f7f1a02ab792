"""`python -m benchmarks [NAME ...]`: every benchmark in turn, or those that are named, each in a process of its own."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Final

SHARED: Final = (
    "__init__",
    "__main__",
    "http_load",
    "measure",
    "mobilenet_v2",
    "models",
    "package_sizes",
    "photos",
    "plot",
    "ray_peer",
    "report",
    "serving_peer",
)
"""Modules here other than benchmarks."""


def names() -> list[str]:
    """The benchmarks."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in SHARED)


def main() -> None:
    """Run them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}")
    parser.add_argument(
        "--scale", default="1", help="0.1 (or small) for a tenth of the work; tiny to see that they run"
    )
    parser.add_argument(
        "--models", metavar="FOLDER", help="folder of models; default: shared/models beside the repository"
    )
    parser.add_argument("--json", type=Path, metavar="FOLDER", help="write NAME.json for each into this folder, too")
    given = parser.parse_args()
    unknown = sorted(set(given.names) - set(names()))
    if unknown:
        parser.error(f"there are no benchmarks called {', '.join(unknown)}; there are {', '.join(names())}")
    failed = []
    for name in given.names or names():
        words = ["--scale", given.scale]
        words += [] if given.models is None else ["--models", given.models]
        words += [] if given.json is None else ["--json", str(given.json / f"{name}.json")]
        if subprocess.call([sys.executable, "-m", f"benchmarks.{name}", *words]):
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
