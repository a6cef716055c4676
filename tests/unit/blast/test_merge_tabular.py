"""Merging formats 6, 7 and 10."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pytest

from shared.domain.errors import PermanentError
from shared.domain.merge import MergeSummary, concatenate_batches, merge_batch, split_lines
from shared.domain.outfmt import OutputFormat, parse_outfmt

FMT = parse_outfmt("6 qseqid sseqid bitscore")


def row(query: str, subject: str, evalue: str = "1e-5", score: int = 50, bits: str = "90") -> bytes:
    """A row of a shard for `FMT`: the user's three columns, then evalue and score."""
    return f"{query}\t{subject}\t{bits}\t{evalue}\t{score}\n".encode()


def merge(
    shards: Sequence[Iterable[bytes]],
    limit: int = 10,
    ids: Sequence[str] = ("q1", "q2"),
    fmt: OutputFormat = FMT,
    summary: MergeSummary | None = None,
) -> list[str]:
    chunks = merge_batch(fmt, ids, shards, limit, database="db", summary=summary)
    return b"".join(chunks).decode().splitlines()


def subjects(lines: Iterable[str]) -> list[str]:
    return [line.split("\t")[1] for line in lines]


class TestOrder:
    def test_evalue_then_score(self) -> None:
        shards = [
            [row("q1", "a", "0.0", 90), row("q1", "b", "1e-5", 50)],
            [row("q1", "c", "1e-7", 60), row("q1", "d", "1e-5", 51)],
        ]
        assert subjects(merge(shards)) == ["a", "c", "d", "b"]

    def test_evalues_are_numbers_not_text(self) -> None:
        shards = [[row("q1", "a", "2e-05")], [row("q1", "b", "1e-100")], [row("q1", "c", "0.003")]]
        assert subjects(merge(shards)) == ["b", "a", "c"]

    def test_ties_go_to_the_later_shard_first(self) -> None:
        shards = [[row("q1", "a"), row("q1", "b")], [row("q1", "c"), row("q1", "d")], [row("q1", "e")]]
        assert subjects(merge(shards)) == ["e", "c", "d", "a", "b"]

    def test_evalues_below_1e_180_are_one(self) -> None:
        """As in XML, which has more digits: BLAST goes on to the score."""
        shards = [[row("q1", "a", "1e-190", 80)], [row("q1", "b", "1e-200", 70)], [row("q1", "c", "0.0", 90)]]
        assert subjects(merge(shards)) == ["c", "a", "b"]

    def test_the_best_evalue_of_a_subject_need_not_be_its_first(self) -> None:
        """Where statistics link HSPs, the one of the highest score comes first."""
        shards = [
            [row("q1", "a", "1e-5", 50)],
            [row("q1", "b", "1e-3", 60), row("q1", "b", "1e-9", 40)],
        ]
        assert subjects(merge(shards)) == ["b", "b", "a"]

    def test_a_shard_is_never_reordered_within_itself(self) -> None:
        """BLAST knows more digits than it prints: what looks like a wrong order of scores is right."""
        shards = [[row("q1", "a", "1e-5", 49), row("q1", "b", "1e-5", 50)]]
        assert subjects(merge(shards)) == ["a", "b"]

    def test_queries_come_out_in_input_order(self) -> None:
        shards = [[row("q2", "a")], [row("q1", "b"), row("q2", "c")]]
        assert merge(shards) == ["q1\tb\t90", "q2\tc\t90", "q2\ta\t90"]

    def test_all_hsps_of_a_subject_follow_its_best(self) -> None:
        shards = [
            [row("q1", "a", "1e-9", 90), row("q1", "a", "1e-2", 20)],
            [row("q1", "b", "1e-5", 50)],
        ]
        assert subjects(merge(shards)) == ["a", "a", "b"]


class TestFullEvalues:
    """Rows with the E-value in all its digits behind the other columns."""

    @staticmethod
    def merged(*shards: list[bytes], limit: int = 10) -> tuple[list[str], MergeSummary]:
        summary = MergeSummary()
        chunks = merge_batch(FMT, ["q1"], shards, limit, database="db", full_evalues=True, summary=summary)
        return subjects(b"".join(chunks).decode().splitlines()), summary

    @staticmethod
    def row(subject: str, evalue: str, score: int) -> bytes:
        return row("q1", subject, "1e-05", score).rstrip() + f"\t{evalue}\n".encode()

    def test_they_decide_where_printed_ones_are_equal(self) -> None:
        found, summary = self.merged([self.row("a", "1004e-8", 50)], [self.row("b", "1001e-8", 49)])
        assert found == ["b", "a"]
        assert not summary.as_printed

    @pytest.mark.parametrize(("other", "first"), [("10000001e-12", "a"), ("1000002e-11", "b")])
    def test_what_differs_by_less_than_a_millionth_is_equal(self, other: str, first: str) -> None:
        found, _ = self.merged([self.row("a", other, 51)], [self.row("b", "1e-5", 50)])
        assert found[0] == first

    def test_a_piece_without_them_is_told(self) -> None:
        """Of a Job whose image lacks blast_formatter, or that an older version made."""
        found, summary = self.merged([row("q1", "a")], [self.row("b", "1e-5", 50)])
        assert found == ["b", "a"]
        assert summary.as_printed

    def test_they_are_stripped(self) -> None:
        chunks = merge_batch(FMT, ["q1"], [[self.row("a", "1e-5", 50)]], 10, database="db", full_evalues=True)
        assert b"".join(chunks) == b"q1\ta\t90\n"

    def test_they_are_a_column_too_many_where_nobody_asked_for_them(self) -> None:
        with pytest.raises(PermanentError, match="6 columns instead of 5"):
            merge([[self.row("a", "1e-5", 50)]])


class TestCut:
    @pytest.mark.parametrize(("limit", "kept"), [(1, "c"), (2, "cb"), (3, "cba"), (4, "cba")])
    def test_by_subject_over_all_shards(self, limit: int, kept: str) -> None:
        shards = [[row("q1", "a")], [row("q1", "b")], [row("q1", "c")]]
        assert "".join(subjects(merge(shards, limit))) == kept

    def test_a_shard_is_read_on_behind_the_cut(self) -> None:
        """Also the only one that is left: its rows of the next query come after those that were cut."""
        shards = [[row("q1", "a"), row("q1", "b"), row("q1", "c"), row("q2", "d")], []]
        assert subjects(merge(shards, 1)) == ["a", "d"]

    def test_what_is_wrong_behind_the_cut_is_found(self) -> None:
        with pytest.raises(PermanentError, match="not a number"):
            merge([[row("q1", "a"), row("q1", "b", "many")]], 1)

    def test_hsps_do_not_count(self) -> None:
        shards = [
            [row("q1", "a", score=9), row("q1", "a", score=8), row("q1", "b", score=7)],
            [row("q1", "c", score=6)],
        ]
        assert subjects(merge(shards, 2)) == ["a", "a", "b"]

    def test_each_query_for_itself(self) -> None:
        shards = [[row("q1", "a"), row("q2", "b")], [row("q1", "c"), row("q2", "d")]]
        assert subjects(merge(shards, 1)) == ["c", "d"]

    def test_one_id_in_two_shards_is_two_subjects(self) -> None:
        assert subjects(merge([[row("q1", "a")], [row("q1", "a")]], 1)) == ["a"]


class TestColumns:
    def test_extra_columns_are_stripped(self) -> None:
        fmt = parse_outfmt("6 evalue pident")
        assert fmt.shard_columns == ("evalue", "pident", "qseqid", "sseqid", "score")
        assert merge([[b"1e-05\t99.0\tq1\ta\t50\n"]], fmt=fmt) == ["1e-05\t99.0"]

    def test_nothing_to_strip(self) -> None:
        fmt = parse_outfmt("6 score evalue sseqid qseqid")
        assert merge([[b"50\t1e-05\ta\tq1"]], fmt=fmt) == ["50\t1e-05\ta\tq1"]

    @pytest.mark.parametrize(
        ("outfmt", "expected"), [("10 qseqid stitle", "q1,a, b"), ("6 delim=@ qseqid stitle", "q1@a, b")]
    )
    def test_delimiters(self, outfmt: str, expected: str) -> None:
        assert merge([[b"q1\ta, b\ts\t1e-05\t50\n"]], fmt=parse_outfmt(outfmt)) == [expected]

    def test_lines_without_ends_and_with_windows_ends(self) -> None:
        shards = [[row("q1", "a").rstrip()], [row("q1", "b").rstrip() + b"\r\n"]]
        assert merge(shards) == ["q1\tb\t90", "q1\ta\t90"]


class TestSummary:
    def test_counts_what_is_printed(self) -> None:
        summary = MergeSummary()
        shards = [[row("q1", "a"), row("q1", "a")], [row("q1", "b"), row("q3", "c")]]
        lines = merge(shards, 1, ("q1", "q2", "q3"), summary=summary)
        assert summary == MergeSummary(queries=3, queries_with_hits=2, subjects=2, rows=2, as_printed=True)
        assert len(lines) == 2

    def test_adds_up_over_batches(self) -> None:
        summary = MergeSummary()
        for _ in range(2):
            merge([[row("q1", "a")]], summary=summary)
        assert summary == MergeSummary(queries=4, queries_with_hits=2, subjects=2, rows=2, as_printed=True)

    def test_nothing_found(self) -> None:
        summary = MergeSummary()
        assert merge([[], []], summary=summary) == []
        assert summary == MergeSummary(queries=2)


class TestInvalid:
    @pytest.mark.parametrize(
        ("lines", "problem"),
        [
            ([b"q1\ta\t90\t1e-5\n"], "4 columns instead of 5"),
            ([b"q1\ta\t90\t1e-5\t50\tx\n"], "6 columns instead of 5"),
            ([b"\n"], "1 columns"),
            ([row("q9", "a")], "not in the batch"),
            ([row("q2", "a"), row("q1", "a")], "order of the queries"),
            ([row("q1", "a"), row("q2", "a"), row("q1", "b")], "order of the queries"),
            ([row("q1", "a", "low")], "not a number"),
            ([row("q1", "a", "nan")], "not a number"),
            ([row("q1", "a"), row("q1", "b"), b"q1\tc"], "2 columns"),
        ],
    )
    def test_a_piece_that_blast_did_not_write(self, lines: list[bytes], problem: str) -> None:
        with pytest.raises(PermanentError, match=problem) as refused:
            merge([[row("q1", "x")], lines], limit=1)
        assert refused.value.code == "results_invalid"
        assert "shard 1" in refused.value.message

    def test_the_message_shows_nothing_of_the_row(self) -> None:
        with pytest.raises(PermanentError) as refused:
            merge([[row("secret-query", "a")]])
        assert "secret" not in refused.value.message


def test_memory_holds_no_more_than_a_subject_of_each_shard() -> None:
    taken = 0

    def lines() -> Iterator[bytes]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield row("q1", f"s{number}")

    merged = merge_batch(FMT, ["q1"], [lines(), lines()], 5, database="db")
    next(merged)
    assert taken < 10


def block(query: str, *rows: bytes, fields: str = "query id, subject id, bit score, evalue, score") -> list[bytes]:
    """One query of a shard in format 7."""
    head = ["# BLASTN 2.12.0+", f"# Query: {query} description", "# Database: db_02_00"]
    head += [f"# Fields: {fields}"] if rows else []
    return [*(f"{line}\n".encode() for line in head), b"# %d hits found\n" % len(rows), *rows]


def closing(queries: int) -> bytes:
    return f"# BLAST processed {queries} queries\n".encode()


class TestCommented:
    fmt = parse_outfmt("7 qseqid sseqid bitscore")

    def merge(self, *shards: list[bytes], limit: int = 10) -> list[str]:
        return merge(shards, limit, fmt=self.fmt)

    def test_whole(self) -> None:
        first = [*block("q1"), *block("q2"), closing(2)]
        second = [*block("q1", row("q1", "a"), row("q1", "a", "1")), *block("q2"), closing(2)]
        assert self.merge(first, second) == [
            "# BLASTN 2.12.0+",
            "# Query: q1 description",
            "# Database: db",
            "# Fields: query id, subject id, bit score",
            "# 2 hits found",
            "q1\ta\t90",
            "q1\ta\t90",
            "# BLASTN 2.12.0+",
            "# Query: q2 description",
            "# Database: db",
            "# 0 hits found",
            "# BLAST processed 2 queries",
        ]

    def test_hits_are_counted_after_the_cut(self) -> None:
        first = [*block("q1", row("q1", "a")), *block("q2"), closing(2)]
        second = [*block("q1", row("q1", "b")), *block("q2"), closing(2)]
        assert "# 1 hits found" in self.merge(first, second, limit=1)

    def test_a_query_id_may_begin_with_a_hash(self) -> None:
        shard = [*block("#1", row("#1", "a")), closing(1)]
        assert "#1\ta\t90" in merge([shard], ids=["#1"], fmt=self.fmt)

    @pytest.mark.parametrize(
        "lines",
        [
            [*block("q1"), *block("q2")],
            [*block("q1"), *block("q2"), closing(1)],
            [*block("q1"), *block("q2"), closing(2), closing(2)],
            [*block("q2"), *block("q1"), closing(2)],
            [*block("q1"), closing(1)],
            [*block("q1", row("q2", "a")), *block("q2"), closing(2)],
            [*block("q1", row("q1", "a"))[:-1], *block("q2"), closing(2)],
            [*block("q1", row("q1", "a")), row("q1", "b"), *block("q2"), closing(2)],
            [row("q1", "a")],
            [],
        ],
    )
    def test_invalid(self, lines: list[bytes]) -> None:
        with pytest.raises(PermanentError) as refused:
            self.merge([*block("q1"), *block("q2"), closing(2)], lines)
        assert refused.value.code == "results_invalid"


class TestConcatenation:
    def test_rows_follow_each_other(self) -> None:
        assert b"".join(concatenate_batches(FMT, [[b"a\n", b"b\n"], [], [b"c\n"]])) == b"a\nb\nc\n"

    @pytest.mark.parametrize("size", [1, 3, 1000])
    def test_one_closing_line_for_all_queries(self, size: int) -> None:
        fmt = TestCommented.fmt
        batches = [b"".join([*block("q1"), closing(1)]), b"".join([*block("q2"), *block("q3"), closing(2)])]
        pieces = [[text[start : start + size] for start in range(0, len(text), size)] for text in batches]
        expected = b"".join([*block("q1"), *block("q2"), *block("q3"), closing(3)])
        assert b"".join(concatenate_batches(fmt, pieces)) == expected

    @pytest.mark.parametrize("text", [b"", b"# BLASTN\n"])
    def test_a_batch_without_its_end(self, text: bytes) -> None:
        with pytest.raises(PermanentError) as refused:
            list(concatenate_batches(TestCommented.fmt, [[text]]))
        assert refused.value.code == "results_invalid"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_lines_from_pieces_of_any_size(size: int) -> None:
    text = b"one\r\n\ntwo\rthree\nfour"
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert list(split_lines(pieces)) == [b"one\r\n", b"\n", b"two\rthree\n", b"four"]
