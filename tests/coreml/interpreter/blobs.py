"""Blob files, in which packages keep their weights: format version 2 of MILBlob.

A header of 64 bytes: the number of records and the version (uint32 each), then zeros. Each record begins at a multiple
of 64 with 64 bytes of metadata: the sentinel 0xDEADBEEF and the code of the data type (uint32), the size of the data in
bytes and its offset in the file (uint64), then zeros. The offsets in a program are those of the metadata.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from tests.coreml.interpreter.datatypes import BLOB_TYPES, DTYPES, Array, ValueType
from tests.coreml.interpreter.signatures import ProgramError

__all__ = ["ALIGNMENT", "BlobFile", "Record"]

ALIGNMENT: Final = 64
SENTINEL: Final = 0xDEADBEEF


@dataclass(frozen=True, slots=True)
class Record:
    """The metadata of one array."""

    dtype: str
    size: int
    offset: int


class BlobFile:
    """The content of one blob file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = path.read_bytes()
        if len(self.content) < ALIGNMENT:
            raise ProgramError(f"{path.name} has {len(self.content)} bytes: too few for a header")
        self.count, version = struct.unpack_from("<II", self.content)
        if version != 2:
            raise ProgramError(f"{path.name} has the format version {version}, not 2")

    def record(self, offset: int) -> Record:
        """The metadata at `offset`."""
        if offset % ALIGNMENT or not ALIGNMENT <= offset <= len(self.content) - ALIGNMENT:
            raise ProgramError(f"{self.path.name}: no metadata can be at {offset} of {len(self.content)} bytes")
        sentinel, code, size, start = struct.unpack_from("<IIQQ", self.content, offset)
        if sentinel != SENTINEL:
            raise ProgramError(f"{self.path.name}: no metadata is at {offset}")
        if code not in BLOB_TYPES:
            raise ProgramError(f"{self.path.name}: the data type of the record at {offset} has the code {code}")
        if start % ALIGNMENT or start + size > len(self.content):
            raise ProgramError(f"{self.path.name}: {size} bytes at {start} are not aligned or not in the file")
        return Record(BLOB_TYPES[code], size, start)

    def array(self, offset: int, type: ValueType) -> Array:
        """The array whose metadata is at `offset`, which must have the declared type."""
        record = self.record(offset)
        dtype = DTYPES[type.dtype]
        count = int(np.prod(type.shape, dtype=np.int64))
        if record.dtype != type.dtype or record.size != count * dtype.itemsize:
            raise ProgramError(
                f"{self.path.name}: the record at {offset} has {record.size} bytes of {record.dtype},"
                f" declared is {type}"
            )
        return np.frombuffer(self.content, dtype, count, record.offset).reshape(type.shape)
