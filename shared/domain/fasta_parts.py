"""Reading FASTA text in parts of bounded size, whatever the lengths of its lines and sequences are.

A line of 100 MB is as good as a million short ones: nothing here holds more than about two windows of the text. Called
by the FASTA check, by the cutting into batches, and by whoever needs the ids only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from shared.domain.errors import InvalidInputError

WINDOW_BYTES: Final = 1 << 20
"""Text that is looked at at once, and with it the longest header line."""
_BLANKS: Final = b" \t\r\x0b\x0c"
_ODD_ENDS: Final = b"\r\x0b\x0c"
_MOST_ODD_ENDS: Final = 64
"""Of these at the end of a window that has no line end, so many wait for the next one: a line end may follow."""


class Part(NamedTuple):
    """A header with sequence lines that follow it, or more of the lines of the part before.

    Attributes:
        header: the header line without ``>`` and line end; None where the part has none.
        body: sequence lines as they stand, each with its newline; the last one has none where the line goes on.
        line: number of the part's first line, from 1.
        inside: whether the body begins within a line, the first piece of which the part before has.
    """

    header: bytes | None
    body: bytes
    line: int
    inside: bool = False

    def clean_body(self) -> bytes:
        """The body without blank lines, and its lines without blanks and carriage returns at their ends."""
        body = self.body
        has_blank_lines = b"\n\n" in body or (body.startswith(b"\n") and not self.inside)
        if not has_blank_lines and len(body.translate(None, _BLANKS)) == len(body):
            return body
        lines = body.split(b"\n")
        last = lines.pop()  # empty, or the piece of a line that goes on
        texts = [line.rstrip() for line in lines]
        kept = [text + b"\n" for number, text in enumerate(texts) if text or (number == 0 and self.inside)]
        return b"".join([*kept, last])


def iter_parts(blocks: Iterable[bytes]) -> Iterator[Part]:
    """Yield a FASTA file in parts.

    Args:
        blocks: the file's text, in pieces of any size.

    Raises:
        InvalidInputError: ``not_fasta`` for a header line longer than a window.
    """
    line, goes_on = 1, False
    for data in _windows(blocks):
        position = 0
        while position < len(data):
            first, header = line, None
            if not goes_on and data.startswith(b">", position):
                end = data.find(b"\n", position)
                if end < 0:
                    raise _endless_header(line, data)
                header = data[position + 1 : end]
                line += 1
                following = data.find(b"\n>", end) + 1 or len(data)
                position = end + 1
            else:
                following = data.find(b"\n>", position) + 1 or len(data)
            body = data[position:following]
            yield Part(header, body, first, inside=goes_on)
            line += body.count(b"\n")
            goes_on = bool(body) and not body.endswith(b"\n")
            position = following


def _windows(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, about a window of them at a time; of a longer line, pieces. The end of the text ends its line."""
    held: list[bytes] = []
    size, goes_on = 0, False
    for piece in _small(blocks):
        held.append(piece)
        size += len(piece)
        if size < WINDOW_BYTES:
            continue
        data = b"".join(held)
        cut = data.rfind(b"\n") + 1 or _end_of_piece(data)
        rest = data[cut:]
        held, size, goes_on = [rest], len(rest), data[cut - 1 : cut] != b"\n"
        yield data[:cut] if rest else data
    last = b"".join(held)
    if last or goes_on:
        yield last if last.endswith(b"\n") else last + b"\n"


def _end_of_piece(data: bytes) -> int:
    end = len(data.rstrip(_ODD_ENDS))
    return end if end and len(data) - end <= _MOST_ODD_ENDS else len(data)


def _small(blocks: Iterable[bytes]) -> Iterator[bytes]:
    for block in blocks:
        if len(block) <= WINDOW_BYTES:
            yield block
            continue
        view = memoryview(block)
        for start in range(0, len(block), WINDOW_BYTES):
            yield bytes(view[start : start + WINDOW_BYTES])


def _endless_header(line: int, data: bytes) -> InvalidInputError:
    if b"\r" in data:
        return carriage_returns(line)
    return InvalidInputError(
        "not_fasta",
        f"the header in line {line} has more than {WINDOW_BYTES} characters",
        "Put the sequence on lines of its own, below the header.",
    )


def carriage_returns(line: int, field: str = "") -> InvalidInputError:
    """The error for line ends of the old Macintosh; ``field`` is the request's."""
    return InvalidInputError(
        "not_fasta",
        f"line {line} has carriage returns but no newline",
        "Save the file with Unix or Windows line ends.",
        field=field,
    )
