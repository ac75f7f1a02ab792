"""What can go wrong, as one small tree of exceptions.

The names are those of the specification's DOMExceptions. Where the specification throws a ``TypeError`` because an
argument is not valid, this package raises `ValidationError`.
"""

import re
from typing import Final

__all__ = [
    "ContextLostError",
    "DataError",
    "DestroyedError",
    "InvalidStateError",
    "MLError",
    "NotSupportedError",
    "OperationError",
    "UnknownError",
    "ValidationError",
]


_LINES: Final = 100
_LINE: Final = 1000
"""Characters; lines that are longer lose the middle of long words and lists, and then their own."""
_WORD: Final = 200
_ITEMS: Final = 30


class MLError(Exception):
    """The base of every error that this package raises on purpose.

    Names and lists of hundreds of characters, which files and callers put into messages, are cut in their middle.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(_readable(arg) if isinstance(arg, str) else arg for arg in args))


class ValidationError(MLError, ValueError):
    """An argument is not what the specification allows. Raised at the call, and nothing has changed."""


class InvalidStateError(MLError):
    """The object was destroyed, or has been used up: a builder that has built, a tensor after `destroy`."""


class DestroyedError(ValidationError, InvalidStateError):
    """A tensor was used after `destroy`: for the specification a wrong argument, for browsers a wrong state."""


class DataError(MLError):
    """Bytes that were read (a model, a saved graph, an array) do not form what they claim to be."""


class NotSupportedError(MLError):
    """No backend on this machine can do what was asked."""


class OperationError(MLError):
    """A backend failed to compile or to run a graph, or a memory budget does not hold what was asked."""


class UnknownError(MLError):
    """A backend failed in a way that it did not explain; the cause is chained."""


class ContextLostError(InvalidStateError):
    """The context was destroyed, or its device is gone: what was pending will not come."""


def _readable(message: str) -> str:
    """`message` without the middle of what is too long in it; its beginning says where, its end what to do."""
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
