"""Memory-mapped arrays that know their file and offset, for libraries that read the file themselves."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

__all__ = ["MappedArray", "map_file", "place_in_file", "unmap"]

_Identity: TypeAlias = tuple[int, int, int, int]


class MappedArray(np.ndarray[Any, Any]):
    """Read-only elements of a mapped file. Slices and views of it are mapped arrays, too."""

    path: Path | None = None
    """The absolute path of the file, without symbolic links."""
    _identity: _Identity | None = None
    _address: int = 0

    @property
    def identity(self) -> object:
        """Equal for mappings of the same file that has not changed between them; hashable."""
        return self._identity

    def __array_finalize__(self, source: object) -> None:
        """Copy the position in the file. NumPy calls this for every array that is made from another one."""
        if isinstance(source, MappedArray):
            self.path, self._identity, self._address = source.path, source._identity, source._address

    def __array_wrap__(self, array: np.ndarray[Any, Any], context: object = None, return_scalar: bool = False) -> Any:
        """Make the result of a computation a plain array."""
        plain = np.asarray(array)
        return plain[()] if return_scalar else plain


def map_file(path: str | os.PathLike[str]) -> MappedArray:
    """The bytes of a file. Pages are read at the first access, and the system can drop them when memory is short.

    Raises:
        OSError: the file does not exist or cannot be read, or it is not a regular file.
    """
    resolved = Path(path).resolve(strict=True)
    if not resolved.is_file():  # opening a pipe could block
        raise OSError(f"{str(path)!r} is not a regular file")
    with resolved.open("rb") as file:
        status = os.fstat(file.fileno())
        data: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if status.st_size else b""
    array = np.frombuffer(data, np.uint8).view(MappedArray)
    array.path, array._identity, array._address = resolved, _identity(status), _address(array)
    return array


def place_in_file(array: np.ndarray[Any, Any], seen: dict[Path, object] | None = None) -> tuple[Path, int] | None:
    """The file and the offset of the elements of `array`, if they are in a mapped file.

    None if the array is not C-contiguous or has memory of its own, or if the file has changed since it was mapped.
    The state of each file is kept in `seen`, so that for many arrays a file is looked at once.
    """
    base: object = array
    while isinstance(base, np.ndarray) and not isinstance(base, MappedArray):
        base = base.base
    if not isinstance(base, MappedArray) or base.path is None or not array.flags.c_contiguous:
        return None
    offset = _address(array) - base._address
    seen = {} if seen is None else seen
    if base.path not in seen:
        try:
            seen[base.path] = _identity(os.stat(base.path))
        except OSError:
            return None
    found = seen[base.path]
    inside = base._identity is not None and found == base._identity and 0 <= offset <= base._identity[2] - array.nbytes
    return (base.path, offset) if inside else None


def unmap(array: np.ndarray[Any, Any]) -> None:
    """Free the memory of the pages of `array`. They are read from the file again at the next access."""
    root: object = array
    while isinstance(root, np.ndarray):
        root = root.base
    mapped = root.obj if isinstance(root, memoryview) else root
    if isinstance(mapped, mmap.mmap) and _DONT_NEED is not None and array.nbytes >= mmap.PAGESIZE:
        start = _address(array) - _address(np.frombuffer(mapped, np.uint8))
        page = start - start % mmap.PAGESIZE
        mapped.madvise(_DONT_NEED, page, start + array.nbytes - page)


_DONT_NEED: Final = getattr(mmap, "MADV_DONTNEED", None)


def _address(array: np.ndarray[Any, Any]) -> int:
    """As `array.ctypes.data`, which imports a module, and so fails for what is collected at the end of the program."""
    address: int = array.__array_interface__["data"][0]
    return address


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
