"""Every option of the five BLAST+ programs: which are allowed, with which values, and why the others are refused.

Data only; ``shared.domain.blast_options`` reads a search's options by it. The table is that of ``-help`` of BLAST+
2.12.0, and of what the programs say when they are given something else. A test holds it against the programs: an option
is either allowed with the type, the limits and the choices of ``-help``, or refused by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.domain.programs import Program

INT_MAX: Final = 2**31 - 1
"""Integers are 32 bits wide: BLAST+ refuses more."""
_WHOLE: Final = re.compile(r"-?[0-9]{1,10}")
_REAL: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][-+]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number from ``least`` to ``most``; ``but_not`` names those between that BLAST does not have."""

    least: int = -INT_MAX
    most: int = INT_MAX
    but_not: frozenset[int] = frozenset()

    def takes(self, text: str) -> bool:
        """Whether the text is such a number, as BLAST reads one: no ``1e3``, no ``5.0``."""
        return bool(_WHOLE.fullmatch(text)) and self.least <= int(text) <= self.most and int(text) not in self.but_not

    def wanted(self) -> str:
        """What is taken, for a message."""
        without = f" without {', '.join(map(str, sorted(self.but_not)))}" if self.but_not else ""
        return f"a whole number{_limits(self.least, self.most, INT_MAX)}{without}"


@dataclass(frozen=True, slots=True)
class Real:
    """A number from ``least`` to ``most``, or ``above`` a limit."""

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf

    def takes(self, text: str) -> bool:
        """Whether the text is such a number. Infinity and NaN are none."""
        if not _REAL.fullmatch(text) or not math.isfinite(float(text)):
            return False
        return self.least <= float(text) <= self.most and float(text) > self.above

    def wanted(self) -> str:
        """What is taken, for a message."""
        above = f" above {self.above:g}" if self.above > -math.inf else ""
        return f"a number{above}{_limits(self.least, self.most, math.inf)}"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words, written as they are here."""

    values: tuple[str, ...]

    def takes(self, text: str) -> bool:
        """Whether the text is one of them."""
        return text in self.values

    def wanted(self) -> str:
        """What is taken, for a message."""
        return f"one of {', '.join(self.values)}"


@dataclass(frozen=True, slots=True)
class Filter:
    """``yes``, ``no``, or the three numbers of a low-complexity filter; ``real`` are those that may have a fraction."""

    numbers: str
    real: tuple[bool, bool, bool]

    def takes(self, text: str) -> bool:
        """Whether the text is ``yes``, ``no`` or three such numbers between single blanks."""
        if text in ("yes", "no"):
            return True
        words = text.split(" ")
        kinds: list[Integer | Real] = [Real(least=0, most=INT_MAX) if real else Integer(0) for real in self.real]
        return len(words) == 3 and all(kind.takes(word) for kind, word in zip(kinds, words, strict=True))

    def wanted(self) -> str:
        """What is taken, for a message."""
        return f"yes, no or '{self.numbers}'"


def _limits(least: float, most: float, unlimited: float) -> str:
    low = f" from {least:g}" if least > -unlimited else ""
    return low + (f" to {most:g}" if most < unlimited else "")


Value = Integer | Real | Choice | Filter

MATRICES: Final[Mapping[str, tuple[tuple[int, int], str]]] = {
    "BLOSUM45": ((14, 2), "13/3 12/3 11/3 10/3 16/2 15/2 14/2 13/2 12/2 19/1 18/1 17/1 16/1"),
    "BLOSUM50": ((13, 2), "13/3 12/3 11/3 10/3 9/3 16/2 15/2 14/2 13/2 12/2 19/1 18/1 17/1 16/1 15/1"),
    "BLOSUM62": ((11, 1), "11/2 10/2 9/2 8/2 7/2 6/2 13/1 12/1 11/1 10/1 9/1"),
    "BLOSUM80": ((10, 1), "25/2 13/2 9/2 8/2 7/2 6/2 11/1 10/1 9/1"),
    "BLOSUM90": ((10, 1), "9/2 8/2 7/2 6/2 11/1 10/1 9/1"),
    "PAM30": ((9, 1), "7/2 6/2 5/2 10/1 9/1 8/1 15/3 14/2 14/1 13/3"),
    "PAM70": ((10, 1), "8/2 7/2 6/2 11/1 10/1 9/1 11/2 12/3"),
    "PAM250": ((14, 2), "15/3 14/3 13/3 12/3 11/3 17/2 16/2 15/2 14/2 13/2 21/1 20/1 19/1 18/1 17/1"),
    "IDENTITY": ((15, 2), "15/2"),
}
"""Matrix -> its own costs to open and to extend a gap, and all pairs for which BLAST knows the statistics: those that
it prints when it is given another pair, but for "32767, 32767", which stands for an ungapped search."""
UNADJUSTED: Final = ("0", "F", "f")
"""Values of ``-comp_based_stats`` for none."""
_GENETIC_CODE: Final = Integer(1, 33, frozenset({7, 8, *range(17, 21), 32}))
_BOOLEAN: Final = Choice(("true", "false"))

_N, _P, _X, _TN, _TX = Program
_ALL: Final = frozenset(Program)
_PROTEIN: Final = _ALL - {_N}
_GAPPED: Final = _ALL - {_TX}
_ADJUSTED: Final = frozenset({_P, _X, _TN})
_ONLY_BLASTN: Final = frozenset({_N})


@dataclass(frozen=True, slots=True)
class Rule:
    """An option that is allowed: in which programs, with which value (None for a flag), and what it needs besides."""

    programs: frozenset[Program]
    value: Value | None = None
    requires: str = ""


ALLOWED: Final[Mapping[str, Rule]] = {
    "-strand": Rule(frozenset({_N, _X, _TX}), Choice(("both", "minus", "plus"))),
    "-gapopen": Rule(_GAPPED, Integer(0)),
    "-gapextend": Rule(_GAPPED, Integer(0)),
    "-penalty": Rule(_ONLY_BLASTN, Integer(most=-1)),
    "-reward": Rule(_ONLY_BLASTN, Integer(1)),
    "-dust": Rule(_ONLY_BLASTN, Filter("level window linker", (False, False, False))),
    "-seg": Rule(_PROTEIN, Filter("window locut hicut", (False, True, True))),
    "-soft_masking": Rule(_ALL, _BOOLEAN),
    "-lcase_masking": Rule(_ALL),
    "-perc_identity": Rule(_ONLY_BLASTN, Real(0, 100)),
    "-qcov_hsp_perc": Rule(_ALL, Real(0, 100)),
    "-max_hsps": Rule(_ALL, Integer(1)),
    "-subject_besthit": Rule(_ALL),
    "-template_type": Rule(
        _ONLY_BLASTN, Choice(("coding", "coding_and_optimal", "optimal")), requires="-template_length"
    ),
    "-template_length": Rule(_ONLY_BLASTN, Choice(("16", "18", "21")), requires="-template_type"),
    "-sum_stats": Rule(_ALL - {_P}, _BOOLEAN),
    "-xdrop_ungap": Rule(_ALL, Real()),
    "-xdrop_gap": Rule(_GAPPED, Real()),
    "-xdrop_gap_final": Rule(_GAPPED, Real()),
    "-no_greedy": Rule(_ONLY_BLASTN),
    "-min_raw_gapped_score": Rule(_ONLY_BLASTN, Integer()),
    "-ungapped": Rule(_GAPPED),
    "-window_size": Rule(_ALL, Integer(0)),
    "-off_diagonal_range": Rule(_ONLY_BLASTN, Integer(0)),
    "-matrix": Rule(_PROTEIN, Choice(tuple(MATRICES))),
    "-threshold": Rule(_PROTEIN, Real(above=0)),
    "-comp_based_stats": Rule(_ADJUSTED, Choice(("D", "d", *UNADJUSTED, "1", "2", "T", "t", "3"))),
    "-use_sw_tback": Rule(_ADJUSTED),
    "-query_gencode": Rule(frozenset({_X, _TX}), _GENETIC_CODE),
    "-db_gencode": Rule(frozenset({_TN, _TX}), _GENETIC_CODE),
    "-max_intron_length": Rule(frozenset({_X, _TN}), Integer(0)),  # tblastx lists it and refuses it
}

_SUBJECTS: Final = "it chooses among all subjects, which no shard sees"
_STATISTICS: Final = "it would change the E-values of a sharded search"
_SEQUENCES: Final = "it searches other sequences than those whose numbers the statistics have"
_FILE: Final = "it names a file, and a search has none but its query and its database"
_READERS: Final = "it is for reports that are made for reading; the results are in options.outfmt"
_OWN: Final = "the product chooses how a search is run"
_MASK_FILE: Final = "it needs a database of masks, which the nodes do not have"
_MASK: Final = "it needs masks that the shards of a database do not have"

REFUSED: Final[Mapping[str, str]] = {
    "-h": "it prints help; see the BLAST+ manual",
    "-help": "it prints help; see the BLAST+ manual",
    "-version": "the provenance of a result has the version",
    "-remote": "searches run on the cluster only",
    "-out": "the product writes the output",
    "-outfmt": "use options.outfmt",
    "-query": "use query_fasta or query_blob",
    "-query_loc": "it would cut every query in the same place; send the part that is to be searched",
    "-db": "use database",
    "-evalue": "use options.evalue",
    "-max_target_seqs": "use options.max_target_seqs",
    "-word_size": "use options.word_size",
    "-task": "use options.task",
    "-num_threads": "the product chooses the threads",
    "-mt_mode": _OWN,
    "-use_index": "it needs an index of the database that the product does not make",
    "-index_name": "it needs an index of the database that the product does not make",
    "-culling_limit": _SUBJECTS,
    "-best_hit_overhang": _SUBJECTS,
    "-best_hit_score_edge": _SUBJECTS,
    "-parse_deflines": "it changes the query ids by which the shards' results are put together",
    "-dbsize": _STATISTICS,
    "-searchsp": _STATISTICS,
    "-entrez_query": "it works with -remote only, and searches run on the cluster only",
    **dict.fromkeys(("-subject", "-subject_loc"), "use database"),
    **dict.fromkeys(("-taxids", "-negative_taxids"), _SEQUENCES),
    **dict.fromkeys(
        (
            *("-gilist", "-seqidlist", "-taxidlist", "-ipglist", "-negative_gilist", "-negative_seqidlist"),
            *("-negative_taxidlist", "-negative_ipglist", "-import_search_strategy", "-export_search_strategy"),
            "-in_pssm",
        ),
        _FILE,
    ),
    **dict.fromkeys(("-filtering_db", "-window_masker_db", "-window_masker_taxid"), _MASK_FILE),
    **dict.fromkeys(("-db_soft_mask", "-db_hard_mask"), _MASK),
    **dict.fromkeys(
        ("-show_gis", "-html", "-line_length", "-sorthits", "-sorthsps", "-num_descriptions", "-num_alignments"),
        _READERS,
    ),
}
"""Option -> why. Two programs may have it or all."""

WORD_SIZES: Final[Mapping[Program, tuple[int, int]]] = {
    _N: (4, INT_MAX),
    **dict.fromkeys((_P, _X, _TN), (2, 7)),
    _TX: (2, 5),
}
"""Least and most ``-word_size``."""
DISCONTIGUOUS_WORD_SIZES: Final = (11, 12)
"""The only ones of the task dc-megablast."""
