"""Processes take turns at the same work, and none is stuck when another ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forks import Child, split
from webnn.backends.turns import turn

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="this system has no flock")


def nothing() -> None:
    pass


def test_the_second_waits_for_the_first_and_knows_it(tmp_path: Path) -> None:
    path, order = tmp_path / "work.turn", []
    inside, looked = threading.Event(), threading.Event()

    def second() -> None:
        inside.wait(20)
        with turn(path, looked.set) as waited:
            order.append(("second", waited))

    thread = threading.Thread(target=second)
    thread.start()
    with turn(path, nothing) as waited:
        inside.set()
        assert looked.wait(20)
        order.append(("first", waited))
    thread.join(20)
    assert order == [("first", False), ("second", True)]
    assert not path.exists()


def test_a_process_that_is_killed_gives_its_turn_up(tmp_path: Path) -> None:
    path = tmp_path / "work.turn"
    side = split()
    if isinstance(side, Child):
        with turn(path, nothing):
            os.kill(os.getpid(), signal.SIGKILL)
    with pytest.raises(AssertionError, match="without an answer"):
        side.outcome()  # type: ignore[union-attr]
    assert path.exists()
    with turn(path, nothing, patience=0.0) as waited:
        assert not waited
    assert not path.exists()


def test_a_child_that_was_forked_in_a_turn_does_not_hold_it(tmp_path: Path) -> None:
    path = tmp_path / "work.turn"
    with turn(path, nothing):
        side = split()
        if isinstance(side, Child):
            signal.pause()
    try:
        with turn(path, nothing, patience=0.0) as waited:
            assert not waited
    finally:
        os.kill(side._pid, signal.SIGKILL)  # type: ignore[union-attr]
        with pytest.raises(AssertionError, match="without an answer"):
            side.outcome()  # type: ignore[union-attr]


def test_waiting_ends_by_its_checkpoint_or_its_patience(tmp_path: Path) -> None:
    path = tmp_path / "work.turn"

    def refuse() -> None:
        raise RuntimeError("cancelled")

    def enter(checkpoint: Callable[[], None]) -> bool:
        with turn(path, checkpoint, patience=0.0) as waited:
            return waited

    with turn(path, nothing):
        with pytest.raises(RuntimeError, match="cancelled"):
            enter(refuse)
        assert enter(nothing)
        assert path.exists()  # the one who waited in vain has not removed it


def test_without_a_place_for_the_file_there_is_no_turn(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with turn(tmp_path / "file" / "work.turn", nothing) as waited:
        assert not waited
