"""Arrays on the command line: `@FILE.npy`, `random`, numbers and lists."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from webnn.errors import DataError, MLError, ValidationError
from webnn.graph.arrays import array_from, random_array
from webnn.graph.descriptor import MLOperandDescriptor

__all__ = ["Array", "check_outputs", "constant_value", "inputs_from", "write_outputs"]

Array = np.ndarray[Any, Any]


# In.


def inputs_from(
    words: Sequence[str],
    descriptors: Mapping[str, MLOperandDescriptor],
    unread: Collection[str],
    *,
    fill: bool,
    seed: int,
) -> dict[str, Array]:
    """The array of each input of a graph, from the values of `--input`.

    Args:
        words: `NAME=VALUE`, where VALUE is `@FILE.npy`, `@FILE.npz` (the array called NAME), `@FILE` (raw bytes),
            `random`, `zeros`, `ones`, a number or a JSON list; or `@FILE.npz` alone: all arrays in it.
        descriptors: the types and shapes of the graph's inputs, by name.
        unread: names of further inputs, whose values are not needed.
        fill: whether inputs that no word names are random.
        seed: the seed of the random values.

    Raises:
        ValidationError: an input is missing or unknown, or a value does not fit it.
        DataError: a file is not of the kind that its name says.
        OSError: it cannot be read.
    """
    values: dict[str, str | Array] = {}
    said: set[str] = set()
    taken = {*descriptors, *unread}
    for word in words:
        if word.startswith("@"):
            values.update({name: array for name, array in _npz(Path(word[1:])).items() if name in descriptors})
            continue
        name, equals, value = word.partition("=")
        while equals and name not in taken and "=" in value:  # a name may contain an equals sign
            more, _, value = value.partition("=")
            name = f"{name}={more}"
        if not equals:
            raise ValidationError(f"input {word!r}: expected NAME=VALUE, e.g. {_example(descriptors)}")
        if name in said:
            raise ValidationError(f"input {name!r} is given twice; give it once")
        said.add(name)  # apart from what a file of all inputs holds, of which a value of its own may replace one
        values[name] = value
    known = ", ".join(map(repr, descriptors))
    unknown = [name for name in values if name not in taken]
    if unknown:
        raise ValidationError(f"unknown input {unknown[0]!r}; the model has {known}")
    missing = [name for name in descriptors if name not in values]
    if missing and not fill:
        raise ValidationError(
            f"no value for input {missing[0]!r}, {descriptors[missing[0]]}: give"
            f" {_example({missing[0]: descriptors[missing[0]]})}, or --random for all that are left out"
        )
    generator = np.random.default_rng(seed)
    arrays = {}
    for name, descriptor in descriptors.items():
        try:
            arrays[name] = _value(values.get(name, "random"), name, descriptor, generator)
        except ValidationError as error:
            raise ValidationError(f"input {name!r}: {error}") from None
    return arrays


def _value(value: str | Array, name: str, descriptor: MLOperandDescriptor, generator: np.random.Generator) -> Array:
    if isinstance(value, np.ndarray):
        return array_from(value, descriptor)
    match value:
        case "random":
            return random_array(descriptor, generator)
        case "zeros":
            return np.zeros(descriptor.shape, descriptor.dtype)
        case "ones":
            return np.ones(descriptor.shape, descriptor.dtype)
    if not value.startswith("@"):
        number = _parse(value, _example({name: descriptor}))
        if isinstance(number, list):
            return array_from(number, descriptor)
        return np.broadcast_to(array_from(number, MLOperandDescriptor(descriptor.data_type, [])), descriptor.shape)
    path = Path(value[1:])
    if path.suffix == ".npy":
        return array_from(_npy(path, f"give it as @{path} without a name"), descriptor)
    if path.suffix == ".npz":
        arrays = _npz(path)
        if name not in arrays:
            raise ValidationError(f"{path} has no array {name!r}; it has {', '.join(map(repr, arrays))}")
        return array_from(arrays[name], descriptor)
    return array_from(path.read_bytes(), descriptor)


def constant_value(value: str) -> Any:
    """The value in `--constant NAME=VALUE`: a number, nested lists or an array."""
    if value.startswith("@"):
        return _npy(Path(value[1:]), "a constant is one array, in a .npy file")
    return _parse(value, "sr=16000 or shape=[1,3] or table=@table.npy")


def _parse(value: str, example: str) -> Any:
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        parsed = None
    if isinstance(parsed, bool) or not isinstance(parsed, int | float | list):
        raise ValidationError(f"expected a number, a list, @FILE, random, zeros or ones, got {value!r}; e.g. {example}")
    return parsed


def _npy(path: Path, else_: str) -> Array:
    """The array in a file; `else_` says what to do with a file of several."""
    with _loaded(path, ".npy") as loaded:
        if not isinstance(loaded, np.ndarray):
            raise ValidationError(f"{path} holds several arrays; {else_}")
        return loaded


def _npz(path: Path) -> dict[str, Array]:
    with _loaded(path, ".npz") as loaded:
        if isinstance(loaded, np.ndarray):
            raise ValidationError(f"{path} holds one array; give it with the name of an input, as in NAME=@{path}")
        return dict(loaded)


@contextmanager
def _loaded(path: Path, kind: str) -> Iterator[Any]:
    """What NumPy reads from a file; whatever NumPy, zipfile and zlib raise about its contents becomes a `DataError`."""
    with path.open("rb") as file:  # np.load would leave a broken archive open
        try:
            yield np.load(file, allow_pickle=False)
        except (MLError, MemoryError):
            raise
        except Exception as error:
            raise DataError(f"{path}: not a {kind} file: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """NumPy's message, without its advice on pickled objects, for which it takes any other file."""
    return "it does not hold arrays" if "pickle" in str(error) else str(error)


def _example(descriptors: Mapping[str, MLOperandDescriptor]) -> str:
    name = next(iter(descriptors), "x")
    return f"--input {name}=@{name if name.isidentifier() else 'data'}.npy"


# Out.


def check_outputs(words: Sequence[str], names: Collection[str]) -> list[tuple[str | None, Path]]:
    """The name, or None for all outputs, and the file of each `--output`.

    Raises:
        ValidationError: a word is not `NAME=FILE.npy` or `FILE.npz`, or no output has that name.
    """
    result: list[tuple[str | None, Path]] = []
    for word in words:
        name, equals, target = word.rpartition("=")
        path = Path(target)
        if path.suffix != (".npy" if equals else ".npz"):
            raise ValidationError(f"output {word!r}: expected NAME=FILE.npy, or FILE.npz for all outputs")
        if equals and name not in names:
            raise ValidationError(f"unknown output {name!r}; the model has {', '.join(map(repr, names))}")
        result.append((name if equals else None, path))
    return result


def write_outputs(words: Sequence[str], outputs: Mapping[str, Array]) -> list[Path]:
    """Write the outputs that `--output` asks for; returns the files."""
    chosen = check_outputs(words, outputs)
    for name, path in chosen:
        if name is not None:
            np.save(path, outputs[name], allow_pickle=False)
        else:
            with zipfile.ZipFile(path, "w") as archive:  # np.savez refuses names that are its own parameters
                for each, array in outputs.items():
                    with archive.open(f"{each}.npy", "w", force_zip64=True) as file:
                        np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
    return [path for _, path in chosen]
