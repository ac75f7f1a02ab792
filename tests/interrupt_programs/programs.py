"""All programs, which together reach all lines of the scheduler and the memory."""

from __future__ import annotations

from typing import Any, Final

from tests.interrupt_programs.batches import Batches
from tests.interrupt_programs.choices import Choices
from tests.interrupt_programs.in_place import InPlace
from tests.interrupt_programs.loops import Loops
from tests.interrupt_programs.merged import Merged
from tests.interrupt_programs.promises import Promises
from tests.interrupt_programs.traces import Traces
from tests.stepped import INLINE_LIMIT, LARGE, DeviceAllocator
from webnn.memory.guarded import GuardedAllocator
from webnn.scheduler.width import Width

__all__ = ["PROGRAMS", "Programs"]


class Programs(Promises, Loops, Choices, Merged, InPlace, Batches, Traces):
    """The programs of all subjects."""


PROGRAMS: Final[dict[str, dict[str, Any]]] = {
    "round_trips": {"inline_limit": INLINE_LIMIT},
    "one_by_one": {"inline_limit": INLINE_LIMIT},
    "chains": {"inline_limit": INLINE_LIMIT, "lanes": 2},
    "runs": {"inline_limit": INLINE_LIMIT},
    "reads": {},
    "fetched": {"inline_limit": INLINE_LIMIT, "allocator": GuardedAllocator(DeviceAllocator(), print)},
    "drops": {},
    "ended": {"inline_limit": INLINE_LIMIT},
    "replays": {"inline_limit": INLINE_LIMIT},
    "made_anew": {"inline_limit": INLINE_LIMIT},
    "failures": {"inline_limit": INLINE_LIMIT},
    "alone": {"inline_limit": INLINE_LIMIT, "lanes": 2},
    "compilations": {},
    "callbacks": {"inline_limit": INLINE_LIMIT},
    "futures": {"inline_limit": INLINE_LIMIT},
    "room": {"inline_limit": INLINE_LIMIT, "max_queued": 4},
    "on_asyncio": {"inline_limit": INLINE_LIMIT, "threads": 1},
    "on_trio": {"inline_limit": INLINE_LIMIT, "threads": 1},
    "dropped_tick": {"inline_limit": INLINE_LIMIT},
    "destroying": {"max_queued": 4},
    "budget": {"budget": 6 * LARGE.byte_length},
    "interruptions": {"inline_limit": INLINE_LIMIT},
    "made": {},
    "threads": {},
    "on_asyncio_given_up": {"inline_limit": INLINE_LIMIT, "threads": 1},
    "on_asyncio_woken": {"inline_limit": INLINE_LIMIT},
    "on_asyncio_lone": {"inline_limit": INLINE_LIMIT, "threads": 1},
    "on_trio_given_up": {"inline_limit": INLINE_LIMIT, "threads": 1},
    "deadlines": {},
    "figures": {"inline_limit": INLINE_LIMIT},
    "batches": {},
    "batches_beside": {"lanes": 2, "width": Width(3)},
    "batches_following": {"lanes": 2, "width": Width(2)},
    "batches_apart": {},
    "batches_cheap": {},
    "batches_fail": {},
    "batches_ended": {},
    "on_asyncio_batch_ended": {"threads": 1},
    "on_asyncio_batched": {"threads": 1},
    "on_trio_batched": {"threads": 1},
    "batches_destroyed": {},
    "batches_budgeted": {"budget": 6 * LARGE.byte_length},
    "mapped": {},
    "widths": {"inline_limit": INLINE_LIMIT, "lanes": 2},
    "trials": {"inline_limit": INLINE_LIMIT, "lanes": 2},
    "crowded": {"inline_limit": INLINE_LIMIT, "lanes": 2},
    "traced": {"inline_limit": INLINE_LIMIT},
    "traced_choices": {"inline_limit": INLINE_LIMIT},
    "in_place": {"inline_limit": INLINE_LIMIT},
    "merged": {"inline_limit": INLINE_LIMIT},
    "merged_again": {"inline_limit": INLINE_LIMIT},
    "merged_failing": {"inline_limit": INLINE_LIMIT},
    "merged_failing_at_once": {"inline_limit": INLINE_LIMIT},
    "merged_spoilt": {"inline_limit": INLINE_LIMIT},
    "merged_forgotten": {"inline_limit": INLINE_LIMIT},
    "merged_shapes": {"inline_limit": INLINE_LIMIT},
    "merged_slower": {"inline_limit": INLINE_LIMIT},
    "merged_budgeted": {"inline_limit": INLINE_LIMIT, "budget": 6 * LARGE.byte_length},
}
"""The name of each program, with the options of its rig."""
