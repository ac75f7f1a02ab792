"""Entries on disk that several processes may write, read and remove at the same time, and that survive crashes.

An entry is a folder of files and, beside it, a manifest that names the folder, the files, their sizes and checksums.
What must stay true:
- the manifest appears last and in one step, so an entry exists whole or not at all; replacing it replaces the entry;
- a folder is never changed once a manifest names it, so a reader of the manifest gets the files that it describes, or
  finds files missing because the entry was replaced meanwhile, and reads the manifest again;
- no file is used before its size and checksum were compared with the manifest; an entry that differs is removed;
- a writer holds the lock of its folder until the manifest names it (see `leftovers`). So a folder that is not locked
  and not named by its manifest is left over from a crash, or was replaced, and the next writer removes it.
No process waits for another here. The cache of compiled graphs lets one process at a time make an entry (`turns`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import numpy as np

from webnn.backends.files import PART, written_at_once
from webnn.backends.leftovers import claim, remove_abandoned
from webnn.errors import DataError
from webnn.graph.arguments import shown
from webnn.memory.mapped import map_file

__all__ = ["BlockedError", "DiskStore", "StoredEntry"]

VERSION: Final = 1
MAX_MANIFEST: Final = 1024 * 1024
_PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_MANIFEST: Final = re.compile(r"[A-Za-z0-9-]*_[0-9a-f]{24}\.json")
_FOLDER: Final = re.compile(r"[A-Za-z0-9-]*_[0-9a-f]{24}\.[a-z0-9_]{8}")
_PART_OF: Final = re.compile(r"[A-Za-z0-9-]*_[0-9a-f]*[.json]*|[A-Za-z0-9-]{32}")
"""The names of our own files: other files in the same place are never touched."""


class BlockedError(DataError):
    """Something that is not a file has the name of a manifest. It is not ours, so it stays."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """The content of a manifest. The files may be damaged; use one only after `verify` has returned for it."""

    key: str
    facts: Mapping[str, Any]
    """Notes of the writer about the entry."""
    folder: Path
    files: Mapping[str, tuple[int, str]]
    """File name to size and SHA-256."""

    @property
    def byte_length(self) -> int:
        """The size of all files together."""
        return sum(size for size, _ in self.files.values())

    def path(self, name: str) -> Path:
        """Where the file called `name` is; raises `DataError` if it is not there, or not as long as it should be."""
        if name not in self.files:
            raise DataError(f"the entry {shown(self.key)} has no file {name}")
        path = self.folder / name
        try:
            size = path.stat().st_size
        except OSError as error:
            raise DataError(f"the entry {shown(self.key)} is damaged: {name}: {error.strerror}") from None
        if size != self.files[name][0]:
            raise DataError(
                f"the entry {shown(self.key)} is damaged: {name} has {size} bytes, not {self.files[name][0]}"
            )
        return path

    def verify(self, name: str, data: np.ndarray[Any, Any] | None = None) -> None:
        """Compare a file with the manifest, or `data` that was mapped from it before.

        Raises:
            DataError: the content differs from the manifest.
        """
        content = map_file(self.path(name)) if data is None else data
        if hashlib.sha256(content.data).hexdigest() != self.files[name][1]:
            raise DataError(f"the entry {shown(self.key)} is damaged: the content of {name} has changed")


class DiskStore:
    """Entries by key in a folder, which is made when it is first written to.

    Args:
        folder: a folder for this store alone.
        limit: the most bytes that all entries may take; the least recently used go first, and an entry larger than
            the limit is not kept. None: no limit.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        self.folder = folder
        self.limit = limit

    def entries(self) -> list[StoredEntry]:
        """All entries, sorted by key. Damaged manifests are skipped."""
        found = []
        for path in self._manifests():
            with suppress(DataError, OSError):
                found.append(self._read(path))
        return sorted(found, key=lambda entry: entry.key)

    def find(self, key: str) -> StoredEntry | None:
        """The entry called `key`; None if there is none. Counts as a use of it.

        Raises:
            DataError: its manifest is damaged, and has been removed; or it is not a file (`BlockedError`).
        """
        path = self._manifest(key)
        try:
            entry = self._read(path)
        except FileNotFoundError:
            return None
        except BlockedError:
            raise
        except DataError:
            path.unlink(missing_ok=True)
            raise
        with suppress(OSError):
            os.utime(path)
        return entry if entry.key == key else None

    def write(self, key: str, facts: Mapping[str, Any], fill: Callable[[Path], None]) -> None:
        """Make an entry, or replace it, of the files that `fill` puts into the folder it is given.

        Raises OSError, `BlockedError`, and the errors of `fill`. A failed attempt leaves nothing behind.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        manifest = self._manifest(key)
        _check_is_file(manifest)
        with self._new_folder(manifest.stem) as folder:
            fill(folder)
            files = {}
            for path in sorted(folder.iterdir()):
                with open(path, "rb") as file:
                    files[path.name] = (path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
            if self.limit is not None and sum(size for size, _ in files.values()) > self.limit:
                shutil.rmtree(folder, ignore_errors=True)
                return
            said = {"key": key, "facts": dict(facts), "folder": folder.name, "files": files}
            before = self._folder_named_by(manifest)
            with written_at_once(manifest) as file:
                file.write(json.dumps({"version": VERSION, "digest": _digest(said), **said}).encode())
        if before is not None:  # nothing names it any more
            shutil.rmtree(before, ignore_errors=True)
        self._tidy(keep=manifest)

    @contextmanager
    def _new_folder(self, name: str) -> Iterator[Path]:
        """An empty folder that is locked during the block, and removed if the block fails."""
        while True:
            folder = Path(mkdtemp(prefix=f"{name}.", dir=self.folder))
            try:
                descriptor = os.open(folder, os.O_RDONLY) if os.name != "nt" else None
            except FileNotFoundError:  # another process took it for abandoned
                continue
            if descriptor is None or claim(descriptor, folder):
                break
            os.close(descriptor)
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def turn_of(self, key: str) -> Path:
        """The file of the turn to make the entry called `key` (see `turns`)."""
        return self._manifest(key).with_suffix(".turn")

    def remove(self, key: str) -> bool:
        """Remove an entry; whether there was one.

        Raises:
            BlockedError: its manifest is not a file.
        """
        return self._remove(self._manifest(key))

    def discard(self, entry: StoredEntry) -> bool:
        """Remove an entry that turned out damaged. False: it is gone already, or another has taken its place."""
        manifest = self._manifest(entry.key)
        return self._folder_named_by(manifest) == entry.folder and self._remove(manifest)

    def clear(self) -> int:
        """Remove all entries, and everything that was left over; how many bytes the entries took."""
        freed = sum(entry.byte_length for entry in self.entries())
        for manifest in list(self._manifests()):
            with suppress(BlockedError):
                self._remove(manifest)
        self._tidy()
        return freed

    def _remove(self, manifest: Path) -> bool:
        _check_is_file(manifest)
        folder = self._folder_named_by(manifest)
        try:
            manifest.unlink()
        except FileNotFoundError:
            return False
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        return True

    def _manifest(self, key: str) -> Path:
        """The manifest of a key: readable for people, and different for different keys whatever their characters."""
        readable = re.sub(r"[^A-Za-z0-9]+", "-", key)[:40].strip("-")
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:24]
        return self.folder / f"{readable}_{digest}.json"

    def _manifests(self) -> Iterator[Path]:
        with suppress(FileNotFoundError):
            yield from (path for path in self.folder.iterdir() if _MANIFEST.fullmatch(path.name))

    def _folder_named_by(self, manifest: Path) -> Path | None:
        with suppress(DataError, OSError):
            return self._read(manifest).folder
        return None

    def _read(self, path: Path) -> StoredEntry:
        _check_is_file(path)
        with open(path, "rb") as file:
            text = file.read(MAX_MANIFEST + 1)
        damaged = DataError(f"the manifest {path.name} is damaged")
        try:
            root = json.loads(text) if len(text) <= MAX_MANIFEST else None
        except (ValueError, RecursionError):
            raise damaged from None
        if (
            not isinstance(root, dict)
            or root.pop("version", None) != VERSION
            or root.pop("digest", None) != _digest(root)
        ):
            raise damaged
        try:
            files = {str(name): (int(size), str(digest)) for name, (size, digest) in root["files"].items()}
            entry = StoredEntry(str(root["key"]), dict(root["facts"]), self.folder / str(root["folder"]), files)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise damaged from None
        if not all(_PLAIN.fullmatch(name) for name in (root["folder"], *files)):  # it may not point elsewhere
            raise damaged
        return entry

    def _tidy(self, keep: Path | None = None) -> None:
        """Remove the least recently used entries above the limit, leftovers, and replaced folders."""
        named = set()
        used = []
        for manifest in list(self._manifests()):
            with suppress(DataError, OSError):
                entry = self._read(manifest)
                named.add(entry.folder.name)
                used.append((manifest.stat().st_mtime, manifest, entry.byte_length))
        total = sum(size for _, _, size in used)
        for _, manifest, size in sorted(used):
            if self.limit is None or total <= self.limit:
                break
            if manifest != keep:
                self._remove(manifest)
                total -= size
        with suppress(OSError):
            for path in list(self.folder.iterdir()):
                part = PART.fullmatch(path.name)
                if _FOLDER.fullmatch(path.name) and path.name not in named:
                    remove_abandoned(path, unless=partial(self._is_named, path))
                elif part is not None and _PART_OF.fullmatch(part["name"]):
                    remove_abandoned(path)

    def _is_named(self, folder: Path) -> bool:
        """Whether the manifest names the folder: read under its lock, when its writer has written it, or never will."""
        return self._folder_named_by(folder.with_name(f"{folder.name.rpartition('.')[0]}.json")) == folder


def _check_is_file(manifest: Path) -> None:
    """Raise `BlockedError` if anything but a file has the name of a manifest: a pipe would keep its reader for ever."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(manifest.stat().st_mode):
            raise BlockedError(f"{manifest} is not a file, but it has the name of an entry's manifest; remove it")


def _digest(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
