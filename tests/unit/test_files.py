"""Files appear at once and whole, with the user's permissions, and what a killed process leaves is collected."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import webnn
from webnn import backends, memory, scheduler
from webnn.backends import files, leftovers
from webnn.backends.files import written_at_once


def write(path: Path, content: bytes = b"new") -> None:
    with written_at_once(path) as file:
        file.write(content)


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(b"old")
    with written_at_once(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("the disk is full"), KeyboardInterrupt()])
def test_what_fails_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "m"
    path.write_bytes(b"old")
    with pytest.raises(type(error)), written_at_once(path):
        raise error
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent/m'$"):
        write(tmp_path / "absent" / "m")


@pytest.mark.parametrize("name", ["\N{GRINNING FACE}" * 63, "x" * 255, ".hidden", "a b\nc"])
def test_any_name_that_a_file_can_have_will_do(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o027, 0o077])
def test_a_file_has_the_permissions_of_any_new_file_and_the_umask_is_never_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    before = os.umask(mask)
    try:
        (tmp_path / "plain").write_bytes(b"")
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", None)
            write(tmp_path / "m")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "m")]
    assert modes == [0o666 & ~mask] * 2


def test_no_module_touches_the_umask() -> None:
    folders = [Path(str(package.__file__)).parent for package in (webnn, backends, memory, scheduler)]
    sources = {path for folder in folders for path in folder.rglob("*.py")}
    assert Path(str(files.__file__)) in sources
    assert not [path for path in sources if "umask(" in path.read_text(encoding="utf-8")]


KILLED = """
import os, signal, sys
from pathlib import Path
from webnn.backends.files import written_at_once
with written_at_once(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="there are no locks that tell a killed process from a slow one")
def test_what_a_killed_process_left_goes_with_the_next_file_of_that_name(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], env=environment, timeout=50, check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    (left,) = set(tmp_path.iterdir()) - {path}
    write(tmp_path / "another.onnx")
    assert left.exists()
    write(path)
    assert path.read_bytes() == b"new"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["another.onnx", "model.onnx"]


@pytest.mark.skipif(os.name == "nt", reason="there are no locks that tell a killed process from a slow one")
def test_a_file_that_is_being_written_is_no_leftover_however_old(tmp_path: Path) -> None:
    path = tmp_path / "m"
    with written_at_once(path) as file:
        os.utime(file.fileno(), (0, 0))
        write(path, b"quick")
        file.write(b"slow")
    assert path.read_bytes() == b"slow"


def test_files_of_others_that_look_alike_stay(tmp_path: Path) -> None:
    names = [".m.part", "m.0123456789abcdef.part", ".m.0123456789abcde.part", ".mm.0123456789abcdef.part"]
    for name in names:
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (0, 0))
    write(tmp_path / "m")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "m"])


def test_a_link_in_the_place_of_a_leftover_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"")
    (tmp_path / ".m.0123456789abcdef.part").symlink_to(tmp_path / "kept")
    write(tmp_path / "m")
    assert (tmp_path / "kept").exists()


def test_a_new_file_that_is_taken_for_abandoned_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Path] = []

    def claim(descriptor: int, path: Path) -> bool:
        if not taken:  # another process is quicker
            taken.append(path)
            leftovers.remove_abandoned(path)
        return leftovers.claim(descriptor, path)

    monkeypatch.setattr(files, "claim", claim)
    write(tmp_path / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert len(taken) == 1


def test_many_threads_write_one_file_and_each_of_them_whole(tmp_path: Path) -> None:
    path, errors = tmp_path / "m", list[BaseException]()

    def work(letter: bytes) -> None:
        try:
            for _ in range(20):
                with written_at_once(path, durable=False) as file:
                    file.write(letter * 1000)
                content = path.read_bytes()
                assert content == content[:1] * 1000
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(letter,)) for letter in (b"a", b"b", b"c", b"d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert list(tmp_path.iterdir()) == [path]
