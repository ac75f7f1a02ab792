"""Writing files so that nobody ever reads half of one.

What is written goes to a new file in the same folder, reaches the disk, and then takes its name in one step. Whoever
has the old file open, or mapped into memory, keeps the old one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

import numpy as np

__all__ = ["write_elements", "written_at_once"]


@contextmanager
def written_at_once(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """A file to write, which takes the name `path` when the block ends well and vanishes when it does not.

    Args:
        path: in a folder that exists.
        durable: wait until the bytes are on the disk before the file takes its name.
    """
    try:
        file = NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:64]}.", suffix=".part", delete=False)  # noqa: SIM115
    except OSError as error:
        error.filename = str(path)  # the other name means nothing to anybody
        raise
    try:
        with file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.chmod(file.name, 0o666 & ~_umask())
        os.replace(file.name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(file.name)
        raise


def write_elements(file: IO[bytes], array: np.ndarray[Any, Any]) -> None:
    """Write the elements of an array as weight files have them: in row-major order, the lowest byte first."""
    file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8).data)


def _umask() -> int:
    """What a plain `open` would take away from a new file's permissions; temporary files are private to begin with."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
