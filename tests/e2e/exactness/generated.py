"""Generated databases and searches: hard ones for whoever puts shards together.

A database is made of families. A family has a founder, close relatives, distant ones, exact copies (whose order the OID
decides alone) and members that carry a piece of the founder several times (several HSPs). They lie all over the
database, so that every shard has some. Everything comes from seeds: one number is always the same database, search and
query.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from shared.domain.outfmt import COLUMNS
from shared.domain.programs import DatabaseType, Program, database_type
from shared.domain.shards import DatabaseMetadata, ShardLayout, alias_file_name, alias_text, plan_layout
from shared.domain.volumes import DatabaseFile, group_files

NUCLEOTIDES = "ACGT"
AMINO_ACIDS = "ARNDCQEGHILKMFPSTWYV"
CODONS = {
    "A": "GCT", "R": "CGT", "N": "AAT", "D": "GAT", "C": "TGT", "Q": "CAA", "E": "GAA", "G": "GGT", "H": "CAT",
    "I": "ATT", "L": "CTG", "K": "AAA", "M": "ATG", "F": "TTT", "P": "CCT", "S": "TCT", "T": "ACT", "W": "TGG",
    "Y": "TAT", "V": "GTT",
}  # fmt: skip
MOST_SHARDS = 7
LIMITS = (1, 2, 3, 5, 10, 25, 50, 500)
"""``-max_target_seqs``: the crowded databases have families of more than twice the larger ones, too."""


@dataclass(frozen=True)
class Plan:
    """What a database is made of.

    Attributes:
        families: members of each.
        change: share of letters in which a close relative differs from the founder.
        length: letters of a founder.
        volume_size: makeblastdb begins a new volume where a file would grow beyond it.
        volumes: how many that makes; 0 for any number that makes seven shards.
        has_ids: BLAST+ 2.12 cannot search a database with ids that has more than 100 volumes of makeblastdb's own
            names: the index of ids counts volumes as they were made, the search in the order of their names.
    """

    name: str
    kind: DatabaseType
    families: tuple[int, ...]
    change: float
    length: int
    volume_size: str
    volumes: int = 0
    has_ids: bool = True


PLANS = (
    Plan("mixed_n", DatabaseType.NUCL, (24,) * 8, 0.08, 420, "3KB"),
    Plan("crowd_n", DatabaseType.NUCL, (130, 40), 0.02, 300, "2KB"),
    Plan("many_n", DatabaseType.NUCL, (34, 34, 34, 34, 33, 33), 0.05, 400, "300B", 101, has_ids=False),
    Plan("mixed_p", DatabaseType.PROT, (24,) * 8, 0.15, 180, "5KB"),
    Plan("crowd_p", DatabaseType.PROT, (130, 40), 0.04, 130, "4KB"),
)


@dataclass(frozen=True)
class Database:
    """A database on disk.

    Attributes:
        whole: the folder with all volumes.
        founders: of each family, in the database's letters.
    """

    plan: Plan
    whole: Path
    founders: tuple[str, ...]

    def layout(self, shards: int) -> ShardLayout:
        """The product's own plan for so many shards."""
        name = self.plan.name
        files = group_files(name, [DatabaseFile(f.name, f.stat().st_size) for f in self.whole.iterdir()])
        assert files.metadata is not None
        return plan_layout(files, DatabaseMetadata.from_json((self.whole / files.metadata.name).read_text()), shards)

    def write_shards(self, shards: int) -> tuple[Path, ...]:
        """A folder for each shard with its own files only, as a node has them."""
        layout = self.layout(shards)
        folders = []
        for shard in layout.shards:
            folder = self.whole.parent / shard.alias
            folder.mkdir()
            for name, _ in shard.files:
                (folder / name).symlink_to(self.whole / name)
            (folder / alias_file_name(layout, shard)).write_text(alias_text(layout, shard))
            folders.append(folder)
        return tuple(folders)


@dataclass(frozen=True)
class Case:
    """One search.

    Attributes:
        options: as in a submit request.
        queries: (name, sequence), in input order.
        planted: how many of the queries are relatives of the database's families, so that they must have hits.
        batches: about how many the queries are cut into.
    """

    number: int
    program: Program
    database: str
    shards: int
    batches: int
    options: Mapping[str, Any]
    queries: tuple[tuple[str, str], ...]
    planted: int

    @property
    def fasta(self) -> bytes:
        """The query file."""
        return "".join(f">{name}\n{sequence}\n" for name, sequence in self.queries).encode()

    @property
    def batch_length(self) -> int:
        """Letters in a batch."""
        return max(1, -(-sum(len(sequence) for _, sequence in self.queries) // self.batches))


def mutated(random: Random, sequence: str, change: float, alphabet: str) -> str:
    """The sequence with other letters in some places, and with gaps in one of ten of these."""
    letters: list[str] = []
    for letter in sequence:
        if random.random() >= change:
            letters.append(letter)
        elif random.random() < 0.9:
            letters.append(random.choice(alphabet))
        elif random.random() < 0.5:
            letters += [letter, random.choice(alphabet)]
    return "".join(letters)


def build(plan: Plan, folder: Path) -> Database:
    """Make the database with makeblastdb, and NCBI's metadata of it."""
    random = Random(plan.name)  # noqa: S311  # to be had again
    alphabet = NUCLEOTIDES if plan.kind is DatabaseType.NUCL else AMINO_ACIDS
    founders = tuple(_founder(random, plan) for _ in plan.families)
    members = [
        member
        for founder, size in zip(founders, plan.families, strict=True)
        for member in _family(random, plan, founder, size, alphabet)
    ]
    random.shuffle(members)
    whole = folder / plan.name / "whole"
    whole.mkdir(parents=True)
    command = ["makeblastdb", "-dbtype", str(plan.kind), "-title", plan.name, "-out", plan.name]
    if plan.has_ids:
        command.append("-parse_seqids")
    fasta = "".join(
        f">{plan.name}_{number:04d} member, {number}\n{sequence}\n" for number, sequence in enumerate(members)
    )
    subprocess.run(
        [*command, "-max_file_sz", plan.volume_size], input=fasta, text=True, cwd=whole, capture_output=True, check=True
    )
    volumes = len(list(whole.glob(f"*.{plan.kind.letter}in")))
    assert volumes == plan.volumes or (not plan.volumes and volumes >= MOST_SHARDS), f"{plan.name}: {volumes} volumes"
    metadata = {
        "dbname": plan.name,
        "dbtype": "Nucleotide" if plan.kind is DatabaseType.NUCL else "Protein",
        "number-of-sequences": len(members),
        "number-of-letters": sum(map(len, members)),
        "last-updated": "2024-01-02T00:00:00",
    }
    (whole / f"{plan.name}-{plan.kind.value}-metadata.json").write_text(json.dumps(metadata))
    return Database(plan, whole, founders)


def _founder(random: Random, plan: Plan) -> str:
    """A founder; those of nucleotides code for proteins, so that translated searches find them."""
    if plan.kind is DatabaseType.PROT:
        return "".join(random.choices(AMINO_ACIDS, k=plan.length))
    return "".join(CODONS[amino] for amino in random.choices(AMINO_ACIDS, k=plan.length // 3))


def _family(random: Random, plan: Plan, founder: str, size: int, alphabet: str) -> list[str]:
    members = [founder]
    while len(members) < size:
        kind = random.random()
        if kind < 0.25:
            members.append(random.choice(members))
        elif kind < 0.4:  # several HSPs
            start, length = random.randrange(len(founder) // 3), len(founder) // 2
            pieces = [mutated(random, founder[start : start + length], 0.05, alphabet) for _ in range(2)]
            members.append("".join(random.choices(alphabet, k=40)).join([*pieces, founder[:60]]))
        elif kind < 0.5:
            members.append(mutated(random, founder, 4 * plan.change, alphabet))
        else:
            members.append(mutated(random, founder, plan.change, alphabet))
    return members


def case(seed: str, number: int, databases: Mapping[str, Database]) -> Case:
    """The search of this number; the programs, the databases and the formats take turns, the rest is random."""
    random = Random(f"{seed}/{number}")  # noqa: S311  # to be had again
    program, task = _PROGRAMS[number % len(_PROGRAMS)]
    fitting = [each for each in databases.values() if each.plan.kind is database_type(program)]
    database = fitting[number // len(_PROGRAMS) % len(fitting)]
    queries, planted = _queries(random, program, database)
    options = {
        "task": task,
        "evalue": random.choice((10.0, 1.0, 0.01, 1e-5)),
        "max_target_seqs": random.choice(LIMITS),
        "outfmt": _outfmt(random, number // 3),
        "extra": random.choice(_EXTRA[program]),
    }
    shards = random.choices(range(1, MOST_SHARDS + 1), (3, 6, 5, 4, 2, 1, 2))[0]
    batches = random.choices(range(1, 6), (5, 4, 2, 1, 1))[0]
    return Case(number, program, database.plan.name, shards, batches, options, queries, planted)


#: megablast is the task that blastn has without one.
_PROGRAMS = (
    (Program.BLASTN, "blastn"),
    (Program.BLASTP, None),
    (Program.BLASTN, "megablast"),
    (Program.BLASTX, None),
    (Program.TBLASTN, None),
    (Program.BLASTP, "blastp-fast"),
    (Program.BLASTN, "dc-megablast"),
)
_EXTRA: Mapping[Program, Sequence[str]] = {
    Program.BLASTN: ("", "", "", "-strand plus", "-max_hsps 1", "-dust no", "-perc_identity 80"),
    Program.BLASTP: ("", "", "", "-comp_based_stats 0", "-max_hsps 1", "-seg yes"),
    Program.BLASTX: ("", "", "", "-max_hsps 2", "-sum_stats false"),
    Program.TBLASTN: ("", "", "", "-seg no", "-max_hsps 1"),
}
#: Names of taxa need a file that no generated database has; without it BLAST prints a warning for each row. "frames" is
#: what BLAST+ 2.12 finds in memory: no two runs print the same (ADR 0025).
_PLAIN_COLUMNS = sorted(
    COLUMNS - {"frames"} - {n for n in COLUMNS if n.startswith(("ssci", "scom", "sblast", "sskingdom"))}
)


def _outfmt(random: Random, turn: int) -> str:
    number = (6, 5, 7, 10)[turn % 4]
    if number == 5 or random.random() < 0.2:
        return str(number)
    words = [str(number)]
    if random.random() < 0.2:
        words.append(f"delim={random.choice('@|,')}")
    if random.random() < 0.3:
        words.append("std")
    return " ".join([*words, *random.sample(_PLAIN_COLUMNS, random.randint(1, 9))])


def _queries(random: Random, program: Program, database: Database) -> tuple[tuple[tuple[str, str], ...], int]:
    """One to six queries, at least one of which is a piece of a family in its letters or another program's."""
    planted = random.randint(1, 4)
    kinds = [True] * planted + [False] * random.randint(0, 2)
    random.shuffle(kinds)
    sequences = []
    for is_planted in kinds:
        founder = random.choice(database.founders)
        start = random.randrange(0, len(founder) // 3, 3)
        piece = founder[start : start + random.randrange(len(founder) // 2, len(founder), 3)]
        if program is Program.BLASTX:
            piece = "".join(CODONS[amino] for amino in piece)
        elif program is Program.TBLASTN:
            back = {codon: amino for amino, codon in CODONS.items()}
            piece = "".join(back[piece[at : at + 3]] for at in range(0, len(piece) - 2, 3))
        alphabet = AMINO_ACIDS if program in (Program.BLASTP, Program.TBLASTN) else NUCLEOTIDES
        if not is_planted:
            piece = "".join(random.choices(alphabet, k=len(piece)))
        sequences.append(mutated(random, piece, 0.03, alphabet))
    return tuple((f"q{at}_{random.randrange(1000)}", sequence) for at, sequence in enumerate(sequences)), planted
