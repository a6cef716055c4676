"""Hits read from what the programs really print: from XML as from a table, and the same from wherever a page ends."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.domain.hits import Hit, HitQuery, HitReader, Place, go_to, number_lines, read_page
from shared.domain.hits_index import RECORD_BYTES, IndexBuilder, find_query
from shared.domain.hits_tabular import TabularReader
from shared.domain.hits_xml import XmlReader
from shared.domain.outfmt import OutputKind, parse_outfmt

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
_CODONS = "GCTTGTGATGAATTTGGTCATATTAAACTGATGAATCCGCAGCGTTCTACCGTTTGGTAT"
CODONS = {letter: _CODONS[3 * number : 3 * number + 3] for number, letter in enumerate(AMINO_ACIDS)}
SEARCHES = {
    "blastn": ("-task blastn", "nucleotides", "genes"),
    "megablast without ids": ("-task megablast", "nucleotides", "genes_without_ids"),
    "blastp": ("", "proteins", "proteins"),
    "blastx": ("", "nucleotides", "proteins"),
    "tblastn": ("", "proteins", "genes"),
    "tblastx": ("", "nucleotides", "genes"),
}


def changed(letters: str, alphabet: str, chance: random.Random) -> str:
    """The sequence with replaced, missing and added letters."""
    kept = []
    for letter in letters:
        kind = chance.randrange(60)
        kept.append({0: chance.choice(alphabet), 1: "", 2: letter + alphabet[0] * 2}.get(kind, letter))
    return "".join(kept)


def reverse(letters: str) -> str:
    """The other strand."""
    return letters[::-1].translate(str.maketrans("ACGT", "TGCA"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Queries and databases with gaps, both strands, several HSPs per subject, titles with commas and entities."""
    made = tmp_path_factory.mktemp("hits")
    chance = random.Random(7)  # noqa: S311 - no secret
    proteins = ["".join(chance.choice(AMINO_ACIDS) for _ in range(120)) for _ in range(4)]
    genes = ["".join(CODONS[letter] for letter in protein) for protein in proteins]
    files: dict[str, list[str]] = {"proteins": [], "genes": [], "query_proteins": [], "query_nucleotides": []}
    for number, (protein, gene) in enumerate(zip(proteins, genes, strict=True)):
        files["query_proteins"].append(f">q{number} a query, & <one>\n{protein}\n")
        files["query_nucleotides"].append(f">q{number} a query, & <one>\n{gene}\n")
        for copy in range(3):
            title = f'copy {copy}, of "gene" {number} & <more>'
            files["proteins"].append(f">P{number}.{copy} {title}\n{changed(protein, AMINO_ACIDS, chance)}\n")
            other = changed(gene, "ACGT", chance)
            other = (reverse(other) if copy == 1 else other) + "A" * 30 + gene[:90]
            files["genes"].append(f">N{number}.{copy} {title}\n{other}\n")
    files["query_nucleotides"] += [f">other_strand\n{reverse(genes[0])}\n", f">nothing\n{'ACGGT' * 4}\n"]
    files["query_proteins"] += [f">nothing\n{'W' * 12}\n"]
    for name, records in files.items():
        (made / f"{name}.fa").write_text("".join(records))
    for name, kind in (("proteins", "prot"), ("genes", "nucl")):
        make = ["makeblastdb", "-in", f"{name}.fa", "-dbtype", kind, "-out"]
        subprocess.run([*make, name, "-parse_seqids"], cwd=made, check=True, capture_output=True, timeout=60)
        subprocess.run([*make, f"{name}_without_ids"], cwd=made, check=True, capture_output=True, timeout=60)
    return made


def printed(folder: Path, search: str, outfmt: str) -> bytes:
    """What BLAST prints."""
    options, query, database = SEARCHES[search]
    program = "blastn" if "-task" in options else search
    command = [program, *options.split(), "-query", f"query_{query}.fa", "-db", database, "-outfmt", outfmt]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60).stdout


def reader_of(outfmt: str) -> HitReader:
    """The reader of a format."""
    fmt = parse_outfmt(outfmt)
    return XmlReader() if fmt.kind is OutputKind.XML else TabularReader(fmt)


def whole(content: bytes, outfmt: str) -> list[Hit]:
    """All hits, read at once."""
    hits, _ = read_page(reader_of(outfmt), number_lines([content], 0, is_end=True), HitQuery(), 10**6)
    return hits


def paged(content: bytes, outfmt: str, limit: int) -> Iterator[Hit]:
    """All hits in pages, each with a new reader that begins where the last one ended."""

    def lines(at: int) -> Iterator[tuple[int, bytes]]:
        yield from number_lines([content[at:]], at, is_end=True)

    place, is_full = Place(0), True
    while is_full:
        reader = reader_of(outfmt)
        go_to(reader, place, lines)
        hits, is_full = read_page(reader, lines(place.offset), HitQuery(), limit)
        place = reader.place
        yield from hits


@pytest.mark.parametrize("search", SEARCHES)
class TestXml:
    def test_tells_what_a_table_tells(self, folder: Path, search: str) -> None:
        table = whole(printed(folder, search, "6 std stitle"), "6 std stitle")
        found = whole(printed(folder, search, "5"), "5")
        assert len(found) == len(table) > 10
        for hit, row in zip(found, table, strict=True):
            same = replace(hit, evalue=row.evalue, bit_score=row.bit_score)
            assert same == row
            assert hit.evalue == pytest.approx(row.evalue, rel=0.5)  # a table may have one digit of it
            assert hit.bit_score == pytest.approx(row.bit_score, rel=0.06)

    @pytest.mark.parametrize("outfmt", ["5", "6 std", "7 std", "7 sseqid evalue", "10 std stitle"])
    @pytest.mark.parametrize("limit", [1, 7])
    def test_pages_of_any_size_give_what_one_gives(self, folder: Path, search: str, outfmt: str, limit: int) -> None:
        content = printed(folder, search, outfmt)
        hits = whole(content, outfmt)
        assert list(paged(content, outfmt, limit)) == hits
        assert {hit.query for hit in hits} >= {"q0", "q3"}

    @pytest.mark.parametrize("outfmt", ["5", "6 std", "7 sseqid evalue", "10 std stitle"])
    def test_the_index_finds_the_hits_of_each_query(self, folder: Path, search: str, outfmt: str) -> None:
        content = printed(folder, search, outfmt)
        builder = IndexBuilder(parse_outfmt(outfmt))
        pieces = [content[at : at + 61] for at in range(0, len(content), 61)]
        assert b"".join(builder.through(pieces)) == content
        index = b"".join(builder.content())
        assert builder.records is not None
        assert len(index) == builder.records * RECORD_BYTES
        hits = whole(content, outfmt)
        for query in ("q0", "q1", "q2", "q3"):
            found = find_query(query, builder.records, lambda at, length: index[at : at + length])
            assert found is not None
            assert whole(content[slice(*found)], outfmt) == [hit for hit in hits if hit.query == query]
        assert find_query("q9", builder.records, lambda at, length: index[at : at + length]) is None
