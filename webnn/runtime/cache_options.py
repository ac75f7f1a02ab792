"""Whether and where graphs are kept between programs, from the options of a context or the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from webnn.backends.user_cache import CACHE_VARIABLE, cache_folder
from webnn.errors import ValidationError
from webnn.forking import import_lock
from webnn.graph.arguments import shown

if TYPE_CHECKING:
    from webnn.backends.disk_cache import DiskCache

__all__ = ["CACHE_VARIABLE", "COMPILED", "cache_folder", "disk_cache"]

COMPILED_VARIABLE: Final = "WEBNN_COMPILED_CACHE"
"""The environment variable that switches the cache of compiled graphs on: "on", "off" or a folder."""

LIMIT_VARIABLE: Final = "WEBNN_COMPILED_CACHE_BYTES"
"""The environment variable with the maximum size of the cache of compiled graphs, in bytes."""

COMPILED: Final = "compiled"
"""The folder of the compiled graphs, if no other is given."""

_SWITCHES: Final = {
    **dict.fromkeys(("on", "1", "true", "yes"), True),
    **dict.fromkeys(("off", "0", "false", "no", ""), False),
}


def disk_cache(
    given: bool | str | os.PathLike[str] | None, limit: int | None, folder: str | os.PathLike[str] | None
) -> DiskCache | None:
    """The cache of compiled graphs that the options of a context, or else the environment, ask for; None if it is off.

    Args:
        given: `compiled_cache` of `create_context`.
        limit: `compiled_cache_bytes`.
        folder: `cache_dir`.

    Raises:
        ValidationError: an option, or a variable of the environment, has no valid value.
    """
    chosen = given if given is not None else os.environ.get(COMPILED_VARIABLE, "off")
    if not isinstance(chosen, bool | str | os.PathLike):
        raise ValidationError(f"compiled_cache must be True, False or a folder, got {chosen!r}")
    said: object = limit if limit is not None else os.environ.get(LIMIT_VARIABLE) or None
    size = int(said) if isinstance(said, str) and said.isdecimal() else said
    if isinstance(size, bool) or not isinstance(size, int | None) or (size or 0) < 0:
        raise ValidationError(
            f"compiled_cache_bytes, or {LIMIT_VARIABLE}, must be a number of bytes, got {shown(said)}"
        )
    switch = _SWITCHES.get(chosen.lower(), chosen) if isinstance(chosen, str) else chosen
    if switch is False:
        return None
    with import_lock:  # here, since most programs keep no graphs
        from webnn.backends.disk_cache import LIMIT, DiskCache  # noqa: PLC0415

    place = cache_folder(folder) / COMPILED if switch is True else Path(switch).expanduser()
    return DiskCache(place, LIMIT if size is None else size)
