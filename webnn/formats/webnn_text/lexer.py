"""The text form's tokens, one at a time."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from typing import Final, NamedTuple

from webnn.backends.marks import LINE
from webnn.errors import DataError
from webnn.graph.arguments import printable

__all__ = ["IDENTIFIER", "Lexer", "Token"]

IDENTIFIER: Final = re.compile(r"[A-Za-z_/$][A-Za-z0-9_./]*")
"""A name as the text form can spell it."""

MAX_TOKENS: Final = 1_000_000
"""More than the largest graphs have (lists of bytes do not count), and read within seconds."""

# Repetitions are possessive (*+), since remembering where to go back to takes more memory than the text.
_SKIPPED: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*+)*+")
_TOKEN: Final = re.compile(
    rf"""(?P<word>%?{IDENTIFIER.pattern})          # old files have a % in front of operands
    |(?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
    |(?P<string>"(?:[^"\\]++|\\.)*+")
    |(?P<annotation>@[a-z]+)
    |(?P<punctuation>[{{}}\[\]():;,=])""",
    re.VERBOSE | re.DOTALL,
)
_MARK: Final = re.compile(rf"# {LINE.pattern}")
_SPACE: Final = r"[ \t\r\n]*+"
_BYTES: Final = re.compile(rf"\({_SPACE}\[{_SPACE}((?:[0-9]++{_SPACE}(?:,{_SPACE}[0-9]++{_SPACE})*+)?)\]{_SPACE}\)")


class Token(NamedTuple):
    """A token: its kind (word, number, string, annotation, punctuation, end), its text, and where it begins."""

    kind: str
    text: str
    offset: int


class Lexer:
    """Reads tokens off a text; `peek` is the next one."""

    def __init__(self, text: str, where: str) -> None:
        self._text = text
        self._where = where
        self._end = 0
        self._count = 0
        self.mark: str | None = None
        """Which weights belong to the graph, as a comment says that was read so far."""
        self.peek = self._scan()

    def next(self) -> Token:
        """The next token, which is read off."""
        token = self.peek
        self.peek = self._scan()
        return token

    def accept(self, text: str) -> bool:
        """Read the next token off if it is this punctuation or word."""
        if self.peek.text != text or self.peek.kind == "string":
            return False
        self.next()
        return True

    def expect(self, what: str) -> Token:
        """Read off the next token, which must be this punctuation, or of this kind."""
        if what not in (self.peek.kind, self.peek.text) or (self.peek.kind == "string" and what != "string"):
            raise self.error(f"expected {what if len(what) > 1 else repr(what)}, got {self.found()}")
        return self.next()

    def byte_list(self) -> bytes | None:
        """Read off a whole `([1, 2, 3])`, of which there may be megabytes; None if it is not as plain as that.

        Raises:
            ValueError: a number is too large for a byte.
        """
        matched = _BYTES.match(self._text, self.peek.offset)
        if matched is None:
            return None
        self._end = matched.end()
        self.peek = self._scan()
        return bytes(int(item[0]) for item in re.finditer("[0-9]+", matched[1]))

    def place(self, token: Token) -> str:
        """Where a token stands: file, line, column."""
        line = bisect_right(self._lines, token.offset)
        return f"{self._where}:{line}:{token.offset - self._lines[line - 1] + 1}"

    def found(self) -> str:
        """The next token, for messages."""
        return repr(self.peek.text[:40]) if self.peek.kind != "end" else "the end of the file"

    def error(self, message: str, token: Token | None = None) -> DataError:
        """What is wrong at `token`, or else at the next one."""
        return DataError(f"{self.place(token or self.peek)}: {printable(message)}")

    @cached_property
    def _lines(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self._text))]

    def _scan(self) -> Token:
        skipped = _SKIPPED.match(self._text, self._end)
        assert skipped is not None
        start = skipped.end()
        marked = _MARK.search(skipped[0]) if "#" in skipped[0] else None
        if marked is not None:
            self.mark = marked[1]
        if start == len(self._text):
            return Token("end", "", start)
        matched = _TOKEN.match(self._text, start)
        if matched is None:
            what = (
                "a string without an end" if self._text[start] == '"' else f"no token begins with {self._text[start]!r}"
            )
            raise self.error(what, Token("", "", start))
        self._end = matched.end()
        self._count += 1
        if self._count > MAX_TOKENS:
            raise self.error(f"more than {MAX_TOKENS} tokens", Token("", "", start))
        return Token(matched.lastgroup or "", matched[0], start)
