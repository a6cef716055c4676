"""A search's BLAST options: checked against an allow-list, and turned into the argument vector of the program.

Nothing here ever meets a shell: the arguments travel as a list in the Job's ``args``. Files, remote searches and
anything that changes where output goes are refused by name.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.domain.errors import InvalidInputError
from shared.domain.outfmt import OutputFormat, OutputKind, parse_outfmt
from shared.domain.programs import Program, check_task, tabular_order_is_exact

DEFAULT_EVALUE = 10.0
DEFAULT_MAX_TARGET_SEQS = 500
"""Defaults of BLAST+ itself (BLAST Command Line Applications User Manual, appendix "Options")."""

_FLAGS = frozenset({"-ungapped", "-lcase_masking", "-subject_besthit", "-use_sw_tback"})
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+,-]*")
_WITH_VALUE: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys(
        (
            "-gapopen",
            "-gapextend",
            "-penalty",
            "-reward",
            "-perc_identity",
            "-qcov_hsp_perc",
            "-max_hsps",
            "-xdrop_ungap",
            "-xdrop_gap",
            "-xdrop_gap_final",
            "-min_raw_gapped_score",
            "-window_size",
            "-off_diagonal_range",
            "-threshold",
            "-query_gencode",
            "-db_gencode",
            "-max_intron_length",
        ),
        _NUMBER,
    ),
    **dict.fromkeys(("-dust", "-seg"), re.compile(r"yes|no|\d+(\.\d+)? \d+(\.\d+)? \d+(\.\d+)?", re.ASCII)),
    **dict.fromkeys(("-strand", "-template_type", "-matrix", "-comp_based_stats"), _WORD),
    **dict.fromkeys(("-soft_masking", "-sum_stats"), re.compile(r"true|false")),
    **dict.fromkeys(("-template_length",), _NUMBER),
}
_REFUSED = {
    "-remote": "searches run on the cluster only",
    "-out": "the product writes the output",
    "-outfmt": "use options.outfmt",
    "-query": "use query_fasta or query_blob",
    "-db": "use database",
    "-evalue": "use options.evalue",
    "-max_target_seqs": "use options.max_target_seqs",
    "-word_size": "use options.word_size",
    "-task": "use options.task",
    "-num_threads": "the product chooses the threads",
    "-culling_limit": "it chooses among all subjects, which no shard sees",
    "-best_hit_overhang": "it chooses among all subjects, which no shard sees",
    "-best_hit_score_edge": "it chooses among all subjects, which no shard sees",
    "-parse_deflines": "it changes the query ids by which the shards' results are put together",
    "-dbsize": "it would change the E-values of a sharded search",
    "-searchsp": "it would change the E-values of a sharded search",
}
_UNSAFE = re.compile(r"[;&|<>`$\\\x00-\x1f(){}*?~!#]")


@dataclass(frozen=True, slots=True)
class BlastOptions:
    """The options of one search.

    Attributes:
        outfmt: what the user asked for.
        evalue: largest E-value that is reported.
        max_target_seqs: most subjects per query.
        extra: further arguments, each checked against the allow-list.
    """

    outfmt: OutputFormat
    task: str | None = None
    evalue: float = DEFAULT_EVALUE
    max_target_seqs: int = DEFAULT_MAX_TARGET_SEQS
    word_size: int | None = None
    extra: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """The options object of the API."""
        return {
            "task": self.task,
            "evalue": self.evalue,
            "max_target_seqs": self.max_target_seqs,
            "word_size": self.word_size,
            "outfmt": self.outfmt.text(),
            "extra": shlex.join(self.extra),
        }

    def is_exact(self, program: Program) -> bool:
        """Whether the merged result is what an unsharded search prints, order included (docs/search-exactness.md)."""
        if self.outfmt.kind is OutputKind.XML:
            return program in (Program.BLASTN, Program.BLASTP) and "-ungapped" not in self.extra
        return tabular_order_is_exact(program, self.task) and "-ungapped" not in self.extra

    def shard_command(self, program: Program, alias_path: str, threads: int) -> list[str]:
        """The command that a shard's Job runs; query and output are added by the wrapper script.

        Args:
            alias_path: path of the shard's alias, without extension, as the container sees it.
            threads: ``-num_threads``.
        """
        command = [program.value, "-db", alias_path, "-outfmt", self.outfmt.for_shard()]
        return [*command, *self._common(), "-num_threads", str(threads)]

    def unsharded_command(self, program: Program, database: str) -> list[str]:
        """The same search in the whole database: what the provenance shows as the exact command line."""
        return [program.value, "-db", database, "-outfmt", self.outfmt.text(), *self._common()]

    def _common(self) -> list[str]:
        arguments = ["-evalue", _decimal(self.evalue), "-max_target_seqs", str(self.max_target_seqs)]
        if self.task:
            arguments += ["-task", self.task]
        if self.word_size is not None:
            arguments += ["-word_size", str(self.word_size)]
        return [*arguments, *self.extra]


def read_options(program: Program, data: Mapping[str, Any]) -> BlastOptions:
    """Check the options of a submit.

    Raises:
        InvalidInputError: naming the field and the value.
    """
    task = data.get("task") or None
    check_task(program, task)
    return BlastOptions(
        outfmt=parse_outfmt(data.get("outfmt") or "6 std"),
        task=task,
        evalue=DEFAULT_EVALUE if data.get("evalue") is None else float(data["evalue"]),
        max_target_seqs=data.get("max_target_seqs") or DEFAULT_MAX_TARGET_SEQS,
        word_size=data.get("word_size"),
        extra=_read_extra(data.get("extra") or ""),
    )


def _decimal(number: float) -> str:
    """The number as people write it, and never another one: ``10``, ``1e-05``, ``0.123456789``."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def _read_extra(text: str) -> tuple[str, ...]:
    if unsafe := _UNSAFE.search(text):
        raise _refused(
            f"options.extra has the character {unsafe[0]!r}", "only BLAST options and plain values are taken"
        )
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise _refused(f"options.extra cannot be read: {error}", "close the quotation mark") from error
    arguments: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in _REFUSED:
            raise _refused(f"options.extra has {word}", _REFUSED[word])
        if word in _FLAGS:
            arguments.append(word)
            continue
        pattern = _WITH_VALUE.get(word)
        if pattern is None:
            raise _refused(f"options.extra has {word!r}, which is not on the list of allowed options", "leave it out")
        value = next(rest, None)
        if value is None or not pattern.fullmatch(value):
            raise _refused(f"option {word} has the value {value!r}", "see the BLAST+ manual for its values")
        arguments += [word, value]
    return tuple(arguments)


def _refused(message: str, hint: str) -> InvalidInputError:
    return InvalidInputError("option_not_allowed", message, hint, field="options.extra")
