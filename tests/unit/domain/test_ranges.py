"""Parts of files: what is asked for, and what that is of a file of some size (RFC 9110, 14)."""

from __future__ import annotations

import pytest

from shared.domain.ranges import Part, names_it, no_part, parse_header, parse_part

SIZE = 100


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("0-0", Part(0, 1)),
        ("0-99", Part(0, 100)),
        ("10-19", Part(10, 10)),
        ("99-", Part(99, 1)),
        ("0-", Part(0, 100)),
        ("-1", Part(99, 1)),
        ("-100", Part(0, 100)),
        ("-101", Part(0, 100)),
        ("90-1000", Part(90, 10)),
        ("007-08", Part(7, 2)),
        ("0-" + "9" * 30, Part(0, 100)),
        ("100-", None),
        ("100-200", None),
        ("-0", None),
        ("9" * 30 + "-", None),
    ],
)
def test_what_a_part_is_of_a_file(text: str, part: Part | None) -> None:
    asked = parse_part(text)
    assert asked is not None
    assert asked.of(SIZE, most=1000) == part
    assert asked.of(0, most=1000) is None, "an empty file has no part"


@pytest.mark.parametrize(
    "text", ["", "-", "5-4", "a-b", "1", "0-1,3-4", " 0-1", "0-1 ", "+1-2", "0x1-2", "\u0661-\u0662", "1" * 31 + "-"]
)
def test_anything_else_is_none(text: str) -> None:
    assert parse_part(text) is None
    assert text == "" or parse_header(f"bytes={text}x") is None


@pytest.mark.parametrize(("most", "length"), [(9, 9), (10, 10), (11, 10)])
def test_of_a_longer_part_the_beginning_is_given(most: int, length: int) -> None:
    asked = parse_part("10-19")
    assert asked is not None
    assert asked.of(SIZE, most) == Part(10, length)


@pytest.mark.parametrize("header", ["bytes=10-19", "Bytes=10-19", " bytes = 10-19 ", "BYTES=\t10-19"])
def test_the_header(header: str) -> None:
    asked = parse_header(header)
    assert asked is not None
    assert asked.of(SIZE, SIZE) == Part(10, 10)


@pytest.mark.parametrize("header", ["", "10-19", "lines=1-2", "bytes", "bytes=", "bytes=1-2, 4-5", "bytes=2-1", "="])
def test_a_header_that_is_to_be_ignored(header: str) -> None:
    assert parse_header(header) is None


def test_content_range() -> None:
    assert Part(10, 10).header(SIZE) == "bytes 10-19/100"
    assert no_part(SIZE) == "bytes */100"


@pytest.mark.parametrize(
    ("header", "named"),
    [('"a"', True), ('W/"a"', True), ('"b", "a"', True), ("*", True), ("", False), ('"b"', False), ("a", False)],
)
def test_if_none_match(header: str, named: bool) -> None:
    assert names_it(header, '"a"') is named
