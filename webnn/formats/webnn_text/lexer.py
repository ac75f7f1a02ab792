"""The text form's tokens, one at a time."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from typing import Final, NamedTuple

from webnn.backends.marks import LINE
from webnn.errors import DataError
from webnn.graph.arguments import printable

__all__ = ["IDENTIFIER", "NAMES", "Lexer", "Token"]

IDENTIFIER: Final = re.compile(r"[A-Za-z_/$][A-Za-z0-9_./]*")
"""The names that the text form can hold."""
NAMES: Final = ("webnn.inputs", "webnn.outputs")
"""Comments with the names that it cannot hold, by those in their place, as JSON. Core ML's packages have both, too."""

MAX_TOKENS: Final = 1_000_000
"""More than the largest graphs have (lists of bytes do not count), yet read within seconds."""

# Repetitions are possessive (*+), since places to backtrack to would take more memory than the text.
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
_NAMES: Final = re.compile(rf"# ({'|'.join(map(re.escape, NAMES))}) (.*)")
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
        """The mark of the weights, from a comment in the text that was read so far."""
        self.names: dict[str, Token] = {}
        """The comments with names, by kind, in the text that was read so far."""
        self.peek = self._scan()

    def next(self) -> Token:
        """Consume and return the next token."""
        token = self.peek
        self.peek = self._scan()
        return token

    def accept(self, text: str) -> bool:
        """Consume the next token if it is this punctuation or word; whether it was."""
        if self.peek.text != text or self.peek.kind == "string":
            return False
        self.next()
        return True

    def expect(self, what: str) -> Token:
        """Consume and return the next token, which must be this punctuation, or of this kind."""
        if what not in (self.peek.kind, self.peek.text) or (self.peek.kind == "string" and what != "string"):
            raise self.error(f"expected {what if len(what) > 1 else repr(what)}, got {self.found()}")
        return self.next()

    def byte_list(self) -> bytes | None:
        """Consume a whole `([1, 2, 3])`, which may have megabytes; None if it is written in another way.

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
        """The place of a token: file, line, column."""
        line = bisect_right(self._lines, token.offset)
        return f"{self._where}:{line}:{token.offset - self._lines[line - 1] + 1}"

    def found(self) -> str:
        """The next token, for messages."""
        return repr(self.peek.text[:40]) if self.peek.kind != "end" else "the end of the file"

    def error(self, message: str, token: Token | None = None) -> DataError:
        """An error at `token`, by default the next one."""
        return DataError(f"{self.place(token or self.peek)}: {printable(message)}")

    @cached_property
    def _lines(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self._text))]

    def _scan(self) -> Token:
        skipped = _SKIPPED.match(self._text, self._end)
        assert skipped is not None
        start = skipped.end()
        if "#" in skipped[0]:
            if (marked := _MARK.search(skipped[0])) is not None:
                self.mark = marked[1]
            for named in _NAMES.finditer(skipped[0]):
                self.names[named[1]] = Token("comment", named[2], skipped.start() + named.start())
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
