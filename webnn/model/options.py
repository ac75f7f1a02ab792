"""The options of a model, checked."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from webnn.errors import ValidationError
from webnn.graph.arguments import shown, unsigned
from webnn.model.sizes import SIZES

__all__ = [
    "at_least_one",
    "batch_option",
    "check_columns",
    "names_in",
    "names_known",
    "names_mapped",
    "warmup_option",
    "worker_threads",
]


def names_mapped(where: str, option: str, given: Any) -> Mapping[str, Any]:
    """A mapping whose keys are names; empty for None."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ValidationError(f"{where}: {option} must be a mapping of names, got {shown(given)}")
    return given


def names_known(where: str, option: str, given: Any, known: Collection[str]) -> Mapping[str, Any]:
    """A mapping whose keys are among the known names."""
    named = names_mapped(where, option, given)
    for name in named:
        if name not in known:
            raise ValidationError(
                f"{where}: {option} has no option {name!r}; the options are {', '.join(sorted(known))}"
            )
    return named


def names_in(where: str, option: str, given: Any) -> Sequence[str]:
    """A list of names."""
    if isinstance(given, str) or not isinstance(given, Sequence) or not all(isinstance(name, str) for name in given):
        raise ValidationError(f"{where}: {option} must be a list of names, got {shown(given)}")
    return given


def at_least_one(where: str, option: str, given: Any) -> int:
    """A number of things, one at least."""
    number = unsigned(f"{where}: {option}", given)
    if number < 1:
        raise ValidationError(f"{where}: {option} must be at least 1, got 0")
    return number


def batch_option(where: str, given: Any) -> tuple[str | None, tuple[int, ...]]:
    """The name of the batch's dimension and the sizes that are compiled."""
    if given is None or isinstance(given, str):
        return given, SIZES
    if not isinstance(given, Mapping) or len(given) != 1:
        raise ValidationError(
            f"{where}: batch must be the name of a dimension, or a mapping of one name to sizes, got {shown(given)}"
        )
    ((name, sizes),) = given.items()
    if not isinstance(name, str) or isinstance(sizes, str) or not isinstance(sizes, Sequence) or not sizes:
        raise ValidationError(f"{where}: batch must map a name to a list of sizes, got {shown(given)}")
    return name, tuple(sorted({at_least_one(where, f"batch[{name!r}]", size) for size in sizes}))


def check_columns(
    where: str, keep: Collection[str], errors: str | None, inputs: Collection[str], outputs: Collection[str]
) -> None:
    """Refuse columns beside the outputs that would take the place of another."""
    for option, name in [*(("keep", name) for name in keep), *([] if errors is None else [("errors", errors)])]:
        if name in outputs or name in (inputs if option == "keep" else keep):
            what = "an output" if name in outputs else "an input" if name in inputs else "an entry to keep"
            raise ValidationError(f"{where}: {option} names {name!r}, which is {what}")


def warmup_option(
    where: str, given: Any, batch: str | None, sizes: tuple[int, ...]
) -> Literal[True] | tuple[Mapping[str, int | Sequence[int]], ...]:
    """The sizes of open dimensions, by name, to compile when the model loads; True for every size of the batch."""
    if given is True:
        return True
    if given is False:
        return ()
    each = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    found: list[Mapping[str, int | Sequence[int]]] = []
    for item in each:
        one = item
        if isinstance(item, int) and not isinstance(item, bool):
            if batch is None:
                raise ValidationError(f"{where}: warmup has {item}, the size of a batch, but no batch=... is given")
            one = {batch: item}
        if not isinstance(one, Mapping):
            raise ValidationError(
                f"{where}: warmup must be sizes of the batch or mappings of names to sizes, got {shown(one)}"
            )
        if batch is not None and one.get(batch, sizes[0]) not in sizes:
            raise ValidationError(
                f"{where}: warmup has {one[batch]} for {batch!r}, but the sizes of the batch are {list(sizes)}"
            )
        found.append(dict(one))
    return tuple(found)


def worker_threads() -> dict[str, int]:
    """The options of a context in a worker that is to use so many cores, as its framework says in OMP_NUM_THREADS."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return {"threads": int(given), "lanes": 1} if given.isdecimal() and int(given) > 0 else {}
