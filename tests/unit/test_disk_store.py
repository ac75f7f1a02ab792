"""Entries on disk: whole or not there, compared before use, shared between processes."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from webnn.backends import disk_store, leftovers
from webnn.backends.disk_store import DiskStore, StoredEntry
from webnn.errors import DataError


def filled(content: bytes, name: str = "data") -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return fill


def content(store: DiskStore, key: str) -> bytes:
    entry = found(store, key)
    entry.verify("data")
    return entry.path("data").read_bytes()


def found(store: DiskStore, key: str) -> StoredEntry:
    entry = store.find(key)
    assert entry is not None
    return entry


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    return DiskStore(tmp_path / "store")


def test_a_store_that_nobody_has_written_to_is_empty_and_makes_no_folder(store: DiskStore) -> None:
    assert store.entries() == []
    assert store.find("a") is None
    assert not store.remove("a")
    assert store.clear() == 0
    assert not store.folder.exists()


def test_an_entry_is_found_as_it_was_written(store: DiskStore) -> None:
    store.write("a", {"made": "today"}, filled(b"123"))
    entry = found(store, "a")
    assert (entry.key, entry.facts, entry.byte_length) == ("a", {"made": "today"}, 3)
    assert content(store, "a") == b"123"
    with pytest.raises(DataError, match="has no file other"):
        entry.path("other")


@pytest.mark.parametrize("key", ["../../etc/passwd", "a/b\\c", "ä ö\n\0", ".", "CON", "x" * 5000, "\udc80", "A", "a"])
def test_any_key_stays_inside_the_folder(store: DiskStore, key: str) -> None:
    store.write(key, {}, filled(b"1"))
    store.write("other", {}, filled(b"2"))
    assert content(store, key) == b"1"
    assert sorted(entry.key for entry in store.entries()) == sorted([key, "other"])
    assert sorted(path.name for path in store.folder.parent.iterdir()) == ["store"]
    assert store.remove(key)
    assert store.find(key) is None
    assert content(store, "other") == b"2"


def test_writing_again_replaces_the_entry_and_its_files(store: DiskStore) -> None:
    store.write("a", {}, filled(b"old"))
    before = found(store, "a")
    store.write("a", {}, filled(b"new"))
    assert content(store, "a") == b"new"
    assert len(list(store.folder.iterdir())) == 2
    with pytest.raises(DataError, match="damaged: data: No such file"):
        before.path("data")
    store.discard(before)  # another has taken its place: nothing happens
    assert content(store, "a") == b"new"


def test_what_fails_while_it_is_written_leaves_what_was_there(store: DiskStore) -> None:
    store.write("a", {}, filled(b"old"))

    def fail(folder: Path) -> None:
        filled(b"half")(folder)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        store.write("a", {}, fail)
    assert content(store, "a") == b"old"
    assert len(list(store.folder.iterdir())) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(b"1234567"), "data has 7 bytes, not 8"),
        (lambda path: path.write_bytes(b""), "data has 0 bytes, not 8"),
        (lambda path: path.write_bytes(b"1234567x"), "the content of data has changed"),
        (lambda path: path.unlink(), "data: No such file"),
    ],
)
def test_a_damaged_file_is_found(store: DiskStore, change: Callable[[Path], None], message: str) -> None:
    store.write("a", {}, filled(b"12345678"))
    entry = found(store, "a")
    change(entry.folder / "data")
    with pytest.raises(DataError, match=message):
        entry.verify("data")
    store.discard(entry)
    assert store.find("a") is None
    assert list(store.folder.iterdir()) == []


def manifest_of(store: DiskStore) -> Path:
    return next(store.folder.glob("*.json"))


def test_every_changed_byte_of_a_manifest_is_found(store: DiskStore) -> None:
    store.write("a", {}, filled(b"1"))
    text = manifest_of(store).read_bytes()
    for i in range(len(text)):
        manifest_of(store).write_bytes(text[:i] + bytes([text[i] ^ 1]) + text[i + 1 :])
        assert store.entries() == []
    for i in range(len(text)):
        manifest_of(store).write_bytes(text[:i])
        assert store.entries() == []
    with pytest.raises(DataError, match=r"the manifest .* is damaged"):
        store.find("a")
    assert store.find("a") is None


@pytest.mark.parametrize(
    "said",
    [
        {"folder": "../../elsewhere"},
        {"folder": "/etc"},
        {"files": {"../data": [1, "0"]}},
        {"files": {"data": "no list"}},
        {"files": []},
        {"facts": 1},
    ],
)
def test_a_manifest_cannot_point_elsewhere(store: DiskStore, said: dict[str, Any]) -> None:
    store.write("a", {}, filled(b"1"))
    path = manifest_of(store)
    root = {**json.loads(path.read_bytes()), **said}
    digest = disk_store._digest({k: v for k, v in root.items() if k not in ("version", "digest")})
    path.write_text(json.dumps({**root, "digest": digest}))
    with pytest.raises(DataError, match="is damaged"):
        store.find("a")


def test_the_least_recently_used_go_when_the_limit_is_reached(tmp_path: Path) -> None:
    store = DiskStore(tmp_path, limit=25)
    for i, key in enumerate("abc"):
        store.write(key, {}, filled(b"x" * 10))
        for path in store.folder.glob("*.json"):
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 10 * (i + 1)))
        if key == "b":
            store.find("a")  # used now: b is older
    assert [entry.key for entry in store.entries()] == ["a", "c"]
    store.write("big", {}, filled(b"x" * 25))
    assert [entry.key for entry in store.entries()] == ["big"]
    store.write("too big", {}, filled(b"x" * 26))
    assert [entry.key for entry in store.entries()] == ["big"]
    assert store.clear() == 25
    assert list(store.folder.iterdir()) == []


def left_over(store: DiskStore, name: str, age: float = 0) -> Path:
    """A folder and an unfinished manifest as a killed process leaves them."""
    folder, part = store.folder / f"{name}_{'0' * 24}.abcdefgh", store.folder / f".{name}_{'0' * 10}.{'1' * 16}.part"
    folder.mkdir()
    (folder / "data").write_bytes(b"half")
    part.write_bytes(b"half")
    for path in (folder, part):
        os.utime(path, (time.time() - age,) * 2)
    return folder


def test_what_a_killed_process_left_goes_with_the_next_entry(store: DiskStore) -> None:
    store.write("a", {}, filled(b"1"))
    left_over(store, "left")
    store.write("b", {}, filled(b"2"))
    assert len(list(store.folder.iterdir())) == 4
    assert (content(store, "a"), content(store, "b")) == (b"1", b"2")


def test_an_entry_that_is_being_written_stays_while_others_tidy_up(store: DiskStore) -> None:
    def fill(folder: Path) -> None:
        filled(b"slow")(folder)
        os.utime(folder, (0, 0))  # however long it takes
        for key in "bb":
            store.write(key, {}, filled(b"quick"))
        assert store.clear() == 5

    store.write("a", {}, fill)
    assert content(store, "a") == b"slow"


def test_a_new_folder_that_is_taken_for_abandoned_is_made_again(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []

    def claim(descriptor: int, path: Path) -> bool:
        if not taken:  # another process is quicker
            taken.append(path)
            leftovers.remove_abandoned(path)
        return leftovers.claim(descriptor, path)

    monkeypatch.setattr(disk_store, "claim", claim)
    store.write("a", {}, filled(b"1"))
    assert content(store, "a") == b"1"
    assert found(store, "a").folder not in taken
    assert len(list(store.folder.iterdir())) == 2


@pytest.mark.parametrize("locks", ["no module", "no locks on this drive"])
def test_without_locks_only_what_is_old_goes(store: DiskStore, monkeypatch: pytest.MonkeyPatch, locks: str) -> None:
    if locks == "no module":
        monkeypatch.setattr(leftovers, "fcntl", None)
    else:
        monkeypatch.setattr("fcntl.flock", refused)
    store.write("a", {}, filled(b"1"))
    old, new = left_over(store, "old", 4000), left_over(store, "new", 10)
    store.write("a", {}, filled(b"2"))
    assert content(store, "a") == b"2"
    assert (old.exists(), new.exists()) == (False, True)
    assert len(list(store.folder.iterdir())) == 4


def refused(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


KINDS: dict[str, Callable[[Path], object]] = {"folder": Path.mkdir}
if hasattr(os, "mkfifo"):
    KINDS["pipe"] = os.mkfifo


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_the_name_of_a_manifest_and_is_not_a_file_is_told(store: DiskStore, kind: str) -> None:
    store.write("a", {}, filled(b"1"))
    store.write("b", {}, filled(b"2"))
    manifest = store._manifest("a")
    manifest.unlink()
    KINDS[kind](manifest)
    for call in (lambda: store.find("a"), lambda: store.write("a", {}, filled(b"1")), lambda: store.remove("a")):
        with pytest.raises(DataError, match=r"a_[0-9a-f]{24}\.json is not a file, but it has the name of an entry's"):
            call()
    assert [entry.key for entry in store.entries()] == ["b"]
    assert store.clear() == 1
    assert [path.name for path in store.folder.iterdir()] == [manifest.name]  # it may be somebody's


WRITER = """
import sys
from pathlib import Path
from webnn.backends.disk_store import DiskStore
from webnn.errors import DataError
store, mine, keys = DiskStore(Path(sys.argv[1])), sys.argv[2].encode() * 5000, sys.argv[3]
def fill(folder):
    (folder / "data").write_bytes(mine)
for i in range(40):
    store.write(keys[i % len(keys)], {}, fill)
    assert len(list(store.folder.iterdir())) < 40, "replaced folders pile up"
    entry = store.find(keys[i % len(keys)])
    if entry is None:
        continue
    try:
        entry.verify("data")
        data = entry.path("data").read_bytes()
    except (DataError, OSError):
        continue  # replaced meanwhile
    assert len(set(data)) == 1 and len(data) == 5000, data[:9]
"""


@pytest.mark.parametrize(("names", "keys"), [("ab", "x"), ("abcde", "xy")])
def test_processes_that_write_the_same_keys_see_no_halves_and_leave_nothing(
    tmp_path: Path, names: str, keys: str
) -> None:
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", WRITER, str(tmp_path / "store")]
    running = [subprocess.Popen([*command, name, keys], env=environment, stderr=subprocess.PIPE) for name in names]
    for process in running:
        _, errors = process.communicate(timeout=50)
        assert process.returncode == 0, errors.decode()
    store = DiskStore(tmp_path / "store")
    assert all(content(store, key)[:1].decode() in names for key in keys)
    store.write(keys[0], {}, filled(b"last"))
    assert len(list(store.folder.iterdir())) == 2 * len(keys)


KILLED = """
import os, signal, sys
from pathlib import Path
from webnn.backends.disk_store import DiskStore
def fill(folder):
    (folder / "data").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
DiskStore(Path(sys.argv[1])).write("a", {}, fill)
"""


def test_what_is_killed_in_the_middle_leaves_the_old_entry_and_one_folder_for_the_next_writer(store: DiskStore) -> None:
    store.write("a", {}, filled(b"old"))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    subprocess.run([sys.executable, "-c", KILLED, str(store.folder)], env=environment, timeout=50, check=False)
    assert len(list(store.folder.iterdir())) == 3
    assert content(store, "a") == b"old"
    store.write("b", {}, filled(b"new"))
    assert len(list(store.folder.iterdir())) == 4


def test_what_a_user_keeps_in_the_same_place_is_never_touched(store: DiskStore) -> None:
    store.write("a", {}, filled(b"1"))
    (store.folder / "settings.json").write_text("{}")
    (store.folder / "notes").mkdir()
    (store.folder / "notes" / "mine.txt").write_text("mine")
    (store.folder / "download.part").write_text("half")
    (store.folder / f".film.{'0' * 16}.part").write_text("half")
    for path in store.folder.iterdir():
        os.utime(path, (0, 0))
    store.clear()
    assert sorted(path.name for path in store.folder.iterdir()) == [
        f".film.{'0' * 16}.part",
        "download.part",
        "notes",
        "settings.json",
    ]
    assert (store.folder / "notes" / "mine.txt").read_text() == "mine"
