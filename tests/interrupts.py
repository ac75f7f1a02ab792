"""Raises an exception at one chosen place, as a signal handler may at any place.

`sys.settrace` calls a tracer before each line runs. An exception of the tracer is raised at that line. Two kinds of
places are left out, since CPython runs no signal handlers there, and relies on nothing being raised:
- A `with` statement has a line event when its block has ended, before it calls `__exit__`. A tracer that raised there
  would leave a lock held for ever.
- The line `try:` does nothing, and its own handlers do not cover it.
"""

from __future__ import annotations

import ast
import dis
import inspect
import linecache
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import webnn.memory
import webnn.scheduler

__all__ = ["FOLDERS", "Interrupt", "Place", "interrupted", "lines_of", "places", "undisturbed"]

FOLDERS: Final = tuple(str(Path(module.__file__ or "").parent) for module in (webnn.scheduler, webnn.memory))
"""The folders whose lines are traced: the scheduler and the memory."""

_NOP: Final = dis.opmap["NOP"]

Place = tuple[str, int, int]
"""A file, a line, and how many times the line had run before."""


class Interrupt(BaseException):
    """The exception that is raised. Like `KeyboardInterrupt`, it is not an `Exception`."""


@cache
def _with_lines(path: str) -> frozenset[int]:
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    return frozenset(node.lineno for node in ast.walk(tree) if isinstance(node, ast.With))


class _Tracer:
    """Counts the lines that run, and raises at one of them."""

    def __init__(self, target: Place | None) -> None:
        self.target = target
        self.raised = False
        self.seen: Counter[tuple[str, int]] = Counter()

    def __call__(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        path = frame.f_code.co_filename
        if event != "call" or not path.startswith(FOLDERS):
            return None
        with_lines, open_blocks = _with_lines(path), set[int]()

        def line(frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
            if event != "line" or self.raised:
                return line
            number = frame.f_lineno
            if frame.f_code.co_code[frame.f_lasti] == _NOP:
                return line
            if number in with_lines:
                if number in open_blocks:  # its block has ended
                    open_blocks.discard(number)
                    return line
                open_blocks.add(number)
            place = (path, number, self.seen[path, number])
            self.seen[path, number] += 1
            if place == self.target:
                self.raised = True
                raise Interrupt(f"at line {number} of {path}")
            return line

        return line


def _is_caused(error: BaseException | None) -> bool:
    """Whether an interrupt caused `error`."""
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return error is not None and (
        isinstance(error, Interrupt)
        or _is_caused(error.__cause__ or error.__context__)
        or any(_is_caused(each) for each in inner)
    )


def interrupted(program: Callable[[], object], target: Place | None) -> _Tracer:
    """Run `program()`, and raise `Interrupt` in it at `target`. It ends there unless it catches the interrupt."""
    tracer = _Tracer(target)
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        program()
    except Interrupt:
        pass
    except (Exception, BaseExceptionGroup) as error:
        if not _is_caused(error):  # an interrupt on a lane fails the task; in a callback of trio, it fails trio
            raise
    finally:
        sys.settrace(before)
    return tracer


@contextmanager
def undisturbed() -> Iterator[None]:
    """In this block a program is not interrupted: it prepares there what follows, and gets by without the time."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)


def places(program: Callable[[], object], *, first: int) -> Iterator[Place]:
    """The places that `program()` reaches: for each line, the first few times that it runs, and the last time.

    Lines with `except` are left out, since an exception has been raised there already.
    """
    for (path, line), count in sorted(interrupted(program, None).seen.items()):
        if not linecache.getline(path, line).lstrip().startswith("except "):
            for time in sorted({*range(min(first, count)), count - 1}):
                yield path, line, time


def lines_of(folder: str) -> dict[tuple[str, int], str]:
    """Every line in the functions of a folder that can run without an earlier exception, and its function's name."""
    found: dict[tuple[str, int], str] = {}
    for path in sorted(Path(folder).rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        handling = {
            line
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.ExceptHandler)
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        }
        stack = [compile(source, str(path), "exec")]
        while stack:
            code = stack.pop()
            stack.extend(constant for constant in code.co_consts if isinstance(constant, CodeType))
            if code.co_flags & inspect.CO_OPTIMIZED:  # in a function, not in a module or a class
                found.update(
                    ((str(path), line), code.co_qualname)
                    for start, _, line in code.co_lines()
                    if line is not None and line != code.co_firstlineno and code.co_code[start] != _NOP
                    if line not in handling
                )
    return found
