"""Writing files so that no reader ever meets half of one.

The content goes to a new file in the same folder, reaches the disk, and then takes its name in one step. A process that
has the old file open, or mapped into memory, keeps the old one. A killed process leaves its unfinished file, and the
next process that writes a file of the same name removes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from webnn.backends.leftovers import claim, remove_abandoned

__all__ = ["PART", "write_elements", "written_at_once"]

PART: Final = re.compile(r"\.(?P<name>.*)\.[0-9a-f]{16}\.part", re.DOTALL)
"""How unfinished files are called."""
_NAME: Final = 32
"""How many characters of the final name they bear: with any more they might be too long for a name."""


@contextmanager
def written_at_once(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """A file to write, which takes the name `path` when the block ends well and vanishes when it does not.

    It has the permissions that any new file of this user has.

    Args:
        path: in a folder that exists.
        durable: wait until the bytes are on the disk before the file takes its name.
    """
    _remove_leftovers(path)
    try:
        file, part = _new_part(path)
    except OSError as error:
        error.filename = str(path)  # the caller has never heard of the other name
        raise
    try:
        with file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
            if os.name == "nt":  # where an open file cannot be renamed
                file.close()
            os.replace(part, path)  # while it is locked: not for a moment does it look abandoned
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _new_part(path: Path) -> tuple[IO[bytes], Path]:
    while True:
        part = path.with_name(f".{path.name[:_NAME]}.{os.urandom(8).hex()}.part")
        file = open(part, "xb")  # noqa: SIM115 (the caller closes it)
        if claim(file.fileno(), part):
            return file, part
        file.close()


def _remove_leftovers(path: Path) -> None:
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            matched = PART.fullmatch(entry.name)
            if matched is not None and matched["name"] == path.name[:_NAME]:
                remove_abandoned(Path(entry.path))


def write_elements(file: IO[bytes], array: np.ndarray[Any, Any]) -> None:
    """Write the elements of an array as weight files have them: in row-major order, the lowest byte first."""
    file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8).data)
