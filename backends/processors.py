"""The processor, and the cores of it that this process may use."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Final

__all__ = ["processor_name", "runnable_threads", "usable_cores", "usable_threads"]

_KEPT: Final = 1.0
"""Seconds for which the count of usable cores is kept: the files that tell take 0.4 ms to read, and the first result of
a program asks five times."""

_counted: Final[dict[tuple[Path, frozenset[int]], tuple[float, int]]] = {}
"""The cores by the root folder and the affinity mask, each after the time at which they were counted."""


def processor_name(system: Path = Path("/")) -> str:
    """What its maker calls the processor; its architecture where the system does not say."""
    with suppress(OSError), (system / "proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return os.environ.get("PROCESSOR_IDENTIFIER") or (os.uname().machine if hasattr(os, "uname") else "CPU")


def usable_cores(system: Path = Path("/")) -> int:
    """The cores that this process may keep busy: those of its affinity mask, or fewer if a cgroup limits their time.

    Two hardware threads of one core count as one, since they share its arithmetic units.

    Args:
        system: the root folder, in which the files of the kernel are.
    """
    key = system, frozenset(_affinity())
    now = time.monotonic()
    counted = _counted.get(key)
    if counted is None or now - counted[0] > _KEPT:  # a cgroup may get another limit while the process runs
        cores = {_core(system, thread) for thread in key[1]}
        counted = _counted[key] = now, max(1, math.ceil(min(len(cores), _quota(system))))
    return counted[1]


def usable_threads(system: Path = Path("/")) -> int:
    """The same as `usable_cores`, but each hardware thread counts: for work that is not all arithmetic."""
    return max(1, math.ceil(min(len(_affinity()), _quota(system))))


def _affinity() -> set[int]:
    """The hardware threads on which this process may run."""
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # not on this system
        return set(range(os.cpu_count() or 1))


@cache
def runnable_threads(file: str = "/proc/loadavg") -> Callable[[], int] | None:
    """A function that counts the threads of the machine that run or are ready to run, with its caller's.

    It takes about a microsecond, and returns 0 if the system does not say. None on other systems than Linux. The file
    stays open.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError:
        return None
    return partial(_runnable_threads, descriptor)


def _runnable_threads(loadavg: int) -> int:
    try:
        return int(os.pread(loadavg, 64, 0).split()[3].partition(b"/")[0])  # "0.52 0.61 0.60 2/845 4711"
    except (OSError, ValueError, IndexError):  # a program that makes itself a daemon may close all files
        return 0


def _core(system: Path, thread: int) -> str:
    """A name of the core that has this hardware thread."""
    try:
        folder = system / f"sys/devices/system/cpu/cpu{thread}/topology"
        return (folder / "thread_siblings_list").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):  # the system does not say
        return str(thread)


def _quota(system: Path) -> float:
    """The cores that the cgroups of this process allow, for instance 1.5; infinite without a limit."""
    quota = math.inf
    with suppress(OSError, ValueError):
        for line in (system / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":  # version 2: each group on the way to the root may have a limit
                root = system / "sys/fs/cgroup"
                group = root / path.lstrip("/")
                for folder in (group, *group.parents):
                    if folder.is_relative_to(root):
                        quota = min(quota, _limit(folder / "cpu.max"))
            elif "cpu" in controllers.split(","):
                folder = system / "sys/fs/cgroup/cpu"
                quota = min(quota, _limit(folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us"))
    return quota


def _limit(*files: Path) -> float:
    """The quotient of the two numbers in `files`, which say "max" or -1 for no limit."""
    try:
        quota, period = " ".join(file.read_text(encoding="utf-8") for file in files).split()
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # there is no such limit
        return math.inf
