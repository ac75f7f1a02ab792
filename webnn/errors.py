"""The exceptions of this package.

They are named after the DOMExceptions of the specification. For the ``TypeError`` that the specification throws for an
invalid argument, this package raises `ValidationError`.
"""

import re
from typing import Final

__all__ = [
    "ContextLostError",
    "DataError",
    "DestroyedError",
    "DeviceLostError",
    "InvalidStateError",
    "MLError",
    "NotSupportedError",
    "OperationError",
    "UnknownError",
    "ValidationError",
]


_LINES: Final = 100
_LINE: Final = 1000
"""Characters. In a longer line, first long words, then long lists, then the line itself are cut in the middle."""
_WORD: Final = 200
_ITEMS: Final = 30


class MLError(Exception):
    """The base of all errors that this package defines.

    Very long messages are shortened: long names and lists, which can come from files, are cut in the middle.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(_readable(arg) if isinstance(arg, str) else arg for arg in args))


class ValidationError(MLError, ValueError):
    """An argument is not valid. It is raised at the call, which then has no effect."""


class InvalidStateError(MLError):
    """The object can no longer be used: a tensor after `destroy`, or a builder after `build`."""


class DestroyedError(ValidationError, InvalidStateError):
    """A tensor was used after `destroy`: an invalid argument in the specification, an invalid state in browsers."""


class DataError(MLError):
    """Data that was read (a model, a saved graph, an array) is malformed."""


class NotSupportedError(MLError):
    """No backend on this machine supports the request."""


class OperationError(MLError):
    """A backend failed to compile or run a graph, or the request exceeds the memory budget."""


class UnknownError(MLError):
    """A backend failed for an unknown reason. The original error is its `__cause__`."""


class ContextLostError(InvalidStateError):
    """The context was destroyed, or its device was lost. Pending results fail with this error."""


class DeviceLostError(ContextLostError):
    """A backend raises this when its device is gone for good; its context is then lost."""


def _readable(message: str) -> str:
    """`message`, shortened. The beginning, which says where, and the end, which says what to do, are kept."""
    if len(message) <= _LINE:
        return message
    lines = [_cut_line(line) for line in message.split("\n")]
    if len(lines) > _LINES:
        lines[_LINES - 1 : -1] = [f"... and {len(lines) - _LINES} more lines"]
    return "\n".join(lines)


def _cut_line(line: str) -> str:
    if len(line) > _LINE:
        line = re.sub(r"\S+", lambda word: _cut(word[0], _WORD), line)
    if len(line) > _LINE:
        items = line.split(", ")
        if len(items) > _ITEMS:
            items[_ITEMS // 2 : -_ITEMS // 2] = [f"... ({len(items) - _ITEMS} more) ..."]
        line = ", ".join(items)
    return _cut(line, _LINE)


def _cut(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    half = length // 2
    return f"{text[:half]}...({len(text) - 2 * half} more characters)...{text[-half:]}"
