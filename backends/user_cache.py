"""The folder of this user in which graphs, and what was compiled of them, are kept between programs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from webnn.forking import import_lock

__all__ = ["CACHE_VARIABLE", "cache_folder"]

CACHE_VARIABLE: Final = "WEBNN_CACHE_DIR"
"""The environment variable with the folder of all caches and saved graphs."""


def cache_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """The folder of all caches and saved graphs: as given, or from the environment, or in the user's cache folder."""
    chosen = given or os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    with import_lock:  # here, since most programs keep no graphs
        import platformdirs  # noqa: PLC0415

    return platformdirs.user_cache_path("webnn", appauthor=False)
