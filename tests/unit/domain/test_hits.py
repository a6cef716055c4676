"""Hits: rows that are hard to take apart, filters, sorting, and the cursor. Real output is in tests/unit/blast."""

from __future__ import annotations

import base64
import math
import random
from collections.abc import Iterator

import pytest

from shared.domain.errors import ConflictError, InvalidInputError, MalformedError
from shared.domain.hits import (
    PAGE_CHARACTERS,
    Hit,
    HitQuery,
    Place,
    number_lines,
    read_page,
    read_sort,
    sorted_page,
)
from shared.domain.hits_cursor import HitCursor, read_hit_cursor, write_hit_cursor
from shared.domain.hits_index import RECORD_BYTES, WINDOW_RECORDS, IndexBuilder, find_query, key_of
from shared.domain.hits_tabular import TabularReader
from shared.domain.hits_xml import XmlReader
from shared.domain.outfmt import parse_outfmt

SHA = "ab" * 32


def row(outfmt: str, line: str) -> Hit:
    """A hit of one row."""
    hit = TabularReader(parse_outfmt(outfmt)).read(line.encode() + b"\n", 0)
    assert hit is not None
    return hit


class TestRow:
    def test_columns_in_any_order_and_the_others_as_they_stand(self) -> None:
        hit = row("6 evalue saccver staxids qaccver nident pident", "1e-5\ts\t9;10\tq\t 7\t99.500")
        assert (hit.query, hit.subject, hit.evalue, hit.identity) == ("q", "s", 1e-5, 99.5)
        assert hit.columns == {"staxids": "9;10", "nident": " 7"}
        assert (hit.title, hit.length, hit.bit_score) == (None, None, None)

    @pytest.mark.parametrize("text", ["N/A", "", "nan", "inf", "-inf", "1e999", "x"])
    def test_what_is_no_number_is_none(self, text: str) -> None:
        hit = row("6 qaccver evalue length", f"q\t{text}\t{text}")
        assert (hit.evalue, hit.length) == (None, None)

    def test_letters_that_are_no_utf8_do_no_harm(self) -> None:
        hit = TabularReader(parse_outfmt("6 qaccver stitle")).read(b"q\t\xff\xfe\n", 0)
        assert hit is not None
        assert hit.title == "\ufffd\ufffd"

    @pytest.mark.parametrize(
        ("outfmt", "line", "title", "evalue"),
        [
            ("10 qaccver evalue stitle", "q,1e-5,one, two, three", "one, two, three", 1e-5),
            ("10 qaccver stitle evalue", "q,one, two,1e-5", "one, two", 1e-5),
            ("10 stitle evalue", ",,1e-5", ",", 1e-5),
            ("6 delim=; qaccver stitle evalue", "q;a;b;1e-5", "a;b", 1e-5),
            ("10 qaccver evalue stitle sscinames", "q,1e-5,a,b,c", None, 1e-5),
            ("10 qaccver evalue stitle", "q,2,1e-5,a", "1e-5,a", 2.0),
            ("10 qaccver evalue stitle", "q,x,1e-5,a", None, None),
            ("10 qaccver evalue", "q,2,1e-5", None, None),
            ("6 qaccver evalue stitle", "q\t1e-5", None, None),
        ],
    )
    def test_a_delimiter_inside_a_text(self, outfmt: str, line: str, title: str | None, evalue: float | None) -> None:
        hit = row(outfmt, line)
        assert (hit.title, hit.evalue) == (title, evalue)

    def test_a_comment_names_the_query_where_no_column_does(self) -> None:
        reader = TabularReader(parse_outfmt("7 saccver"))
        lines = b"# BLASTN 2.12.0+\n# Query: q1 a title\n# Database: d\n# 1 hits found\ns\n"
        hits, _ = read_page(reader, number_lines([lines], 0, is_end=True), HitQuery("q1"), 9)
        assert [(hit.query, hit.subject) for hit in hits] == [("q1", "s")]
        assert reader.place == Place(len(lines), query_at=17)

    @pytest.mark.parametrize("outfmt", ["6 qaccver evalue", "7 qaccver evalue"])
    def test_a_row_may_begin_with_a_number_sign(self, outfmt: str) -> None:
        assert row(outfmt, "#q\t1").query == "#q"


class TestXml:
    def test_the_subject_is_named_as_in_a_table(self) -> None:
        ids = {
            ("ref|NC_000913.3|", "NC_000913"): "NC_000913.3",
            ("gi|5|gb|AB1.2|", "AB1"): "AB1.2",
            ("lcl|x", "x"): "x",
            ("sp|P01013.1|OVAX_CHICK", "P01013"): "P01013.1",
            ("gnl|BL_ORD_ID|3", "3"): "first",
            ("", ""): None,
        }
        for (whole, accession), subject in ids.items():
            text = f"<Hit>\n<Hit_id>{whole}</Hit_id>\n<Hit_def>first word</Hit_def>\n"
            text += f"<Hit_accession>{accession}</Hit_accession>\n<Hsp>\n</Hsp>\n"
            [hit], _ = read_page(XmlReader(), number_lines([text.encode()], 0, is_end=True), HitQuery(), 9)
            assert hit.subject == subject
            assert (hit.evalue, hit.identity, hit.gap_opens) == (None, None, None)

    @pytest.mark.parametrize("text", ["1e999", "nan", "x", ""])
    def test_what_is_no_number_is_none(self, text: str) -> None:
        content = f"<Hsp>\n<Hsp_evalue>{text}</Hsp_evalue>\n<Hsp_align-len>{text}</Hsp_align-len>\n</Hsp>\n"
        [hit], _ = read_page(XmlReader(), number_lines([content.encode()], 0, is_end=True), HitQuery(), 9)
        assert (hit.evalue, hit.length) == (None, None)


class TestFilters:
    @pytest.mark.parametrize(
        ("wanted", "accepted"),
        [
            (HitQuery(), True),
            (HitQuery("q"), True),
            (HitQuery("Q"), False),
            (HitQuery(min_identity=90.0), True),
            (HitQuery(min_identity=90.001), False),
            (HitQuery(max_evalue=1e-5), True),
            (HitQuery(max_evalue=9.9e-6), False),
            (HitQuery("q", 90, 1e-5), True),
        ],
    )
    def test_at_the_limit_and_just_beyond(self, wanted: HitQuery, accepted: bool) -> None:
        assert wanted.accepts(Hit("q", identity=90.0, evalue=1e-5)) is accepted

    @pytest.mark.parametrize("wanted", [HitQuery(min_identity=0), HitQuery(max_evalue=1e9), HitQuery("q")])
    def test_what_is_not_known_is_not_accepted(self, wanted: HitQuery) -> None:
        assert not wanted.accepts(Hit())

    @pytest.mark.parametrize(
        ("wanted", "field"),
        [(HitQuery("q"), "query"), (HitQuery(max_evalue=1), "max_evalue"), (HitQuery(sort="identity"), "sort")],
    )
    def test_a_column_that_is_not_there_is_refused(self, wanted: HitQuery, field: str) -> None:
        with pytest.raises(InvalidInputError, match="column_missing") as caught:
            wanted.check(TabularReader(parse_outfmt("6 saccver")))
        assert caught.value.field == field
        wanted.check(TabularReader(parse_outfmt("6 std")))

    def test_a_page_of_long_rows_ends_early(self) -> None:
        line = b"q\t" + b"A" * (PAGE_CHARACTERS // 2) + b"\n"
        hits, is_full = read_page(
            TabularReader(parse_outfmt("6 qaccver qseq")), number_lines([line * 5], 0, is_end=True), HitQuery(), 500
        )
        assert (len(hits), is_full) == (2, True)


class TestSort:
    ROWS = ((1e-5, 90.0), (1e-9, 80.0), (1e-5, 99.0), (None, None), (1e-5, 10.0))
    CONTENT = "".join(f"s{n}\t{e or 'N/A'}\t{i or 'N/A'}\n" for n, (e, i) in enumerate(ROWS)).encode()

    def order(self, sort: str, limit: int = 9) -> list[str | None]:
        """Subjects of all pages."""

        def lines(at: int) -> Iterator[tuple[int, bytes]]:
            yield from number_lines([self.CONTENT[at:]], at, is_end=True)

        wanted = HitQuery(None, None, None, *read_sort(sort))
        found: list[str | None] = []
        first: int | None = 0
        while first is not None:
            reader = TabularReader(parse_outfmt("6 saccver evalue pident"))
            hits, first = sorted_page(reader, lines, 0, wanted, first, limit)
            found += [hit.subject for hit in hits]
        return found

    @pytest.mark.parametrize("limit", [1, 2, 5, 9])
    def test_equal_ones_stay_in_blasts_order_and_unknown_ones_come_last(self, limit: int) -> None:
        assert self.order("evalue", limit) == ["s1", "s0", "s2", "s4", "s3"]
        assert self.order("-evalue", limit) == ["s0", "s2", "s4", "s1", "s3"]
        assert self.order("identity", limit) == ["s4", "s1", "s0", "s2", "s3"]
        assert self.order("-identity", limit) == ["s2", "s0", "s1", "s4", "s3"]

    @pytest.mark.parametrize("text", ["", "-", "--evalue", "Evalue", "query", "evalue ", "-columns"])
    def test_other_keys_are_refused(self, text: str) -> None:
        with pytest.raises(InvalidInputError, match="unknown_sort"):
            read_sort(text)


class TestCursor:
    CURSOR = HitCursor(Place(12, 3, -1), 7)

    def written(self) -> str:
        return write_hit_cursor(self.CURSOR, "secret", "job", SHA, "filters")

    def test_is_read_as_it_was_written(self) -> None:
        assert read_hit_cursor(self.written(), "secret", "job", SHA, "filters") == self.CURSOR

    @pytest.mark.parametrize("changed", ["secret", "job", "filters"])
    def test_holds_for_one_app_one_search_and_one_set_of_filters(self, changed: str) -> None:
        arguments = {"secret": "secret", "job_id": "job", "sha256": SHA, "filters": "filters"}
        name = {"job": "job_id"}.get(changed, changed)
        with pytest.raises(MalformedError, match="invalid_cursor"):
            read_hit_cursor(self.written(), **(arguments | {name: "another"}))

    def test_of_a_result_that_was_published_anew_is_a_conflict(self) -> None:
        with pytest.raises(ConflictError, match="results_changed"):
            read_hit_cursor(self.written(), "secret", "job", "cd" * 32, "filters")

    def test_every_changed_letter_is_noticed(self) -> None:
        text = base64.urlsafe_b64decode(self.written()).decode()
        for position in range(len(text)):
            other = "1" if text[position] != "1" else "2"
            forged = base64.urlsafe_b64encode((text[:position] + other + text[position + 1 :]).encode()).decode()
            with pytest.raises(MalformedError, match="invalid_cursor"):
                read_hit_cursor(forged, "secret", "job", SHA, "filters")

    @pytest.mark.parametrize("text", ["x", "", "=", "\udc80", "é", "A" * 5000, "MQ==", "\x00"])
    def test_what_is_no_cursor_is_refused(self, text: str) -> None:
        with pytest.raises(MalformedError, match="invalid_cursor"):
            read_hit_cursor(text, "secret", "job", SHA, "filters")


class TestIndex:
    @pytest.mark.parametrize("number", [0, 1, 2, WINDOW_RECORDS * 2, WINDOW_RECORDS * 2 + 1, 30_000])
    def test_every_query_is_found_with_few_reads(self, number: int) -> None:
        builder = IndexBuilder(parse_outfmt("6 qaccver evalue"))
        rows = b"".join(b"q%d\t1\nq%d\t2\n" % (n, n) for n in range(number))
        assert b"".join(builder.through([rows])) == rows
        index = b"".join(builder.content())
        assert (builder.records, len(index)) == (number, number * RECORD_BYTES)
        reads: list[int] = []

        def read(at: int, length: int) -> bytes:
            reads.append(length)
            return index[at : at + length]

        for n in random.Random(1).sample(range(number), min(number, 200)):  # noqa: S311 - no secret
            reads.clear()
            found = find_query(f"q{n}", number, read)
            assert found is not None
            assert rows[slice(*found)] == b"q%d\t1\nq%d\t2\n" % (n, n)
            assert len(reads) <= 3
            assert max(reads) <= 2 * WINDOW_RECORDS * RECORD_BYTES
        assert find_query("nothing", number, read) is None

    def test_an_index_that_was_cut_ends_the_search(self) -> None:
        assert find_query("q", 1000, lambda at, length: b"") is None

    def test_ids_with_the_same_hash_give_what_lies_between(self) -> None:
        records = [key_of("q") + at.to_bytes(8) + (5).to_bytes(8) for at in (10, 40)]
        assert find_query("q", 2, lambda at, length: b"".join(records)[at : at + length]) == (10, 45)

    def test_without_a_query_in_the_rows_there_is_none(self) -> None:
        builder = IndexBuilder(parse_outfmt("6 saccver evalue"))
        list(builder.through([b"s\t1\n"]))
        assert builder.records is None

    def test_where_a_title_may_push_the_query_aside_there_is_none(self) -> None:
        builder = IndexBuilder(parse_outfmt("10 stitle qaccver"))
        list(builder.through([b"one, two,q1\n"]))
        assert builder.records is None

    def test_a_query_with_letters_that_are_no_text_does_no_harm(self) -> None:
        assert find_query("\udc80", 1, lambda at, length: bytes(RECORD_BYTES)) is None


class TestLines:
    def test_content_in_pieces_of_any_size(self) -> None:
        content = b"a\n\nbb\nccc"
        whole = [(5, b"a\n"), (7, b"\n"), (8, b"bb\n")]
        for size in range(1, 11):
            pieces = [content[at : at + size] for at in range(0, len(content), size)]
            assert list(number_lines(pieces, 5, is_end=False)) == whole
            assert list(number_lines(pieces, 5, is_end=True)) == [*whole, (11, b"ccc")]

    def test_ranks_are_numbers(self) -> None:
        assert HitQuery(sort="evalue").rank(Hit()) == math.inf
