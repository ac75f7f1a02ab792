"""The models that words of a command line name: files, folders of versions, folders of models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from webnn.formats.files import READERS
from webnn.graph.arguments import printable

__all__ = ["Found", "find_models"]

FIRST: Final = "1"
"""The version of a model that has none."""
_NAME: Final = re.compile(r"[\w.~-]{1,200}", re.ASCII)
"""Names that are a part of an address without escapes."""
_VERSION: Final = re.compile(r"[1-9][0-9]{0,17}")
_FOUND: Final = tuple(suffix for suffix in READERS if suffix != ".json")
"""What counts as a model in a folder; a .json file may be anything else."""


@dataclass(frozen=True, slots=True)
class Found:
    """A version of a model.

    Attributes:
        name: by which clients ask for it.
        version: a positive number as text.
        path: the path of the file.
    """

    name: str
    version: str
    path: Path


def find_models(words: Sequence[str]) -> list[Found]:
    """Every version of the models that `words` name.

    A word is a path, or NAME=PATH. The path is one of these:

    - a model file: version 1 of a model that is called as the file without its suffix
    - a folder of versions, `NAME/1/model.onnx`, `NAME/2/model.onnx` and so on
    - a folder of model files and of such folders

    Raises:
        click.UsageError: a path is none of them, a name cannot be a part of an address, or two models have one name.
    """
    models = [found for word in words for found in _find(word)]
    seen: dict[tuple[str, str], Path] = {}
    for each in models:
        other = seen.setdefault((each.name, each.version), each.path)
        if other is not each.path:
            raise click.UsageError(
                f"{other} and {each.path} are both version {each.version} of {each.name!r}; name one with NAME=PATH"
            )
    return models


def _find(word: str) -> list[Found]:
    name, equals, rest = word.partition("=")
    named = bool(equals) and not Path(word).exists()
    path = Path(rest if named else word)
    if path.is_file():
        if path.suffix.lower() not in READERS:
            raise click.UsageError(f"{path}: not a model file ({', '.join(READERS)})")
        found = [Found(name if named else path.stem, FIRST, path)]
    elif path.is_dir():
        found = [*_versions(path, name if named else path.resolve().name)]
        if not found and not named:
            found = [*_folder(path)]
        if not found:
            expected = "MODEL.onnx, NAME/MODEL.onnx or NAME/VERSION/MODEL.onnx" if not named else "VERSION/MODEL.onnx"
            raise click.UsageError(f"{path}: no model in this folder; expected {expected}")
    else:
        raise click.UsageError(f"{path}: no such file or folder")
    for each in found:
        if not _NAME.fullmatch(each.name):
            raise click.UsageError(
                f"{each.path}: {printable(each.name)!r} cannot be a part of an address; give it a name of letters,"
                f" digits, '.', '_' and '-': NAME={each.path}"
            )
    return found


def _folder(folder: Path) -> Iterator[Found]:
    """The models in a folder: files, and folders of versions."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _versions(path, path.name)
        elif _is_model(path):
            yield Found(path.stem, FIRST, path)


def _versions(folder: Path, name: str) -> Iterator[Found]:
    """The versions of one model, in folders with a number for a name."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and _VERSION.fullmatch(path.name):
            files = sorted(filter(_is_model, path.iterdir()))
            files = [file for file in files if file.stem == "model"] or files
            if len(files) != 1:
                listed = ", ".join(file.name for file in files) or "none"
                raise click.UsageError(
                    f"{path}: exactly one model file is expected in a version's folder, got {listed}"
                )
            yield Found(name, path.name, files[0])


def _is_model(file: Path) -> bool:
    """Whether a file in a folder counts as a model. onnxruntime's converter writes its copy beside the .onnx file."""
    suffix = file.suffix.lower()
    return suffix in _FOUND and not (suffix == ".ort" and file.with_suffix(".onnx").exists())
