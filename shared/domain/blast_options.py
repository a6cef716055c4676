"""A search's BLAST options: checked against an allow-list, and turned into the argument vector of the program.

Nothing here ever meets a shell: the arguments travel as a list in the Job's ``args``. Which options there are, and why
some are refused, is in ``shared.domain.option_table``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.domain.errors import InvalidInputError
from shared.domain.option_table import (
    ALLOWED,
    DISCONTIGUOUS_WORD_SIZES,
    INT_MAX,
    MATRICES,
    REFUSED,
    UNADJUSTED,
    WORD_SIZES,
    Rule,
)
from shared.domain.outfmt import OutputFormat, parse_outfmt
from shared.domain.programs import Program, check_task, default_task, tabular_order_is_exact
from shared.domain.ranking import MergeSummary

DEFAULT_EVALUE = 10.0
DEFAULT_MAX_TARGET_SEQS = 500
"""Defaults of BLAST+ itself (BLAST Command Line Applications User Manual, appendix "Options")."""

_OWN_WINDOW = {"dc-megablast": "40"}
"""Task -> its own ``-window_size`` where it is not 0."""
_UNSAFE = re.compile(r"[;&|<>`$\\\x00-\x1f(){}*?~!#]")


_AFTER_THE_LIST = frozenset({"-perc_identity", "-qcov_hsp_perc"})
"""Filters of what BLAST's preliminary list has left; each shard has a list of its own, so that more may be left."""


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

    def needs_full_evalues(self, program: Program) -> bool:
        """Whether shards' tables need more digits of E-values than BLAST prints, to be put together in its order."""
        helped = program is not Program.TBLASTX  # which they do not make exact (ADR 0025)
        return self.outfmt.is_tabular and helped and not tabular_order_is_exact(program, self.task)

    def is_exact(self, program: Program, merged: MergeSummary) -> bool:
        """Whether the merged result is what an unsharded search prints, order included (docs/search-exactness.md).

        Args:
            merged: what the merge found in the shards' pieces.
        """
        if not self.outfmt.is_mergeable:
            return True
        if program is Program.TBLASTX or self._may_count_as_ungapped(program) or merged.ordinal_ids:
            return False
        if not _AFTER_THE_LIST.isdisjoint(self.extra):
            return False
        return not (merged.as_printed and self.needs_full_evalues(program))

    def _may_count_as_ungapped(self, program: Program) -> bool:
        """Whether the statistics may be those of ungapped alignments, whose ties come in another order.

        blastn takes those for gap costs beyond the ones that it has statistics for ("any values more stringent").
        """
        given = {"-gapopen", "-gapextend"} & set(self.extra) if program is Program.BLASTN else set()
        return "-ungapped" in self.extra or bool(given)

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
    _check_word_size(program, task, data.get("word_size"))
    return BlastOptions(
        outfmt=parse_outfmt(data.get("outfmt") or "6 std"),
        task=task,
        evalue=DEFAULT_EVALUE if data.get("evalue") is None else float(data["evalue"]),
        max_target_seqs=data.get("max_target_seqs") or DEFAULT_MAX_TARGET_SEQS,
        word_size=data.get("word_size"),
        extra=_read_extra(program, task, data.get("extra") or ""),
    )


def _decimal(number: float) -> str:
    """The number as people write it, and never another one: ``10``, ``1e-05``, ``0.123456789``."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def _check_word_size(program: Program, task: str | None, size: int | None) -> None:
    if size is None:
        return
    least, most = WORD_SIZES[program]
    if (task or default_task(program)) == "dc-megablast":
        least, most = DISCONTIGUOUS_WORD_SIZES
    if not least <= size <= most:
        raise InvalidInputError(
            "invalid_word_size",
            f"{task or program} has no word size {size}",
            f"use {least} or more" if most == INT_MAX else f"use a word size from {least} to {most}",
            field="options.word_size",
        )


def _read_extra(program: Program, task: str | None, text: str) -> tuple[str, ...]:
    if unsafe := _UNSAFE.search(text):
        raise _refused(
            f"options.extra has the character {unsafe[0]!r}", "only BLAST options and plain values are taken"
        )
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise _refused(f"options.extra cannot be read: {error}", "close the quotation mark") from error
    arguments: list[str] = []
    given: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        value = _rule(program, word).value
        if word in given:
            raise _refused(f"options.extra has {word} twice", "BLAST takes it once")
        arguments.append(word)
        given[word] = ""
        if value is not None:
            given[word] = next(rest, "")
            if not value.takes(given[word]):
                raise _refused(f"option {word} has the value {given[word]!r}", f"it takes {value.wanted()}")
            arguments.append(given[word])
    _check_together(program, task, given)
    return tuple(arguments)


def _rule(program: Program, word: str) -> Rule:
    if word in REFUSED:
        raise _refused(f"options.extra has {word}", REFUSED[word])
    rule = ALLOWED.get(word)
    if rule is None:
        raise _refused(f"options.extra has {word!r}, which is not on the list of allowed options", "leave it out")
    if program not in rule.programs:
        others = ", ".join(each for each in Program if each in rule.programs)
        raise _refused(f"{program} has no option {word}", f"it is an option of {others}")
    return rule


def _check_together(program: Program, task: str | None, given: Mapping[str, str]) -> None:
    """Refuse what the program refuses for the sake of another option."""
    task = task or default_task(program)
    for option in given:
        needed = ALLOWED[option].requires
        if needed and needed not in given:
            raise _refused(f"{option} needs {needed}", f"give {needed} too")
    if "-template_type" in given and task != "dc-megablast":
        raise _refused(f"-template_type is not for the task {task}", "use the task dc-megablast")
    if "-no_greedy" in given and task == "megablast" and int(given.get("-gapextend", "0")) == 0:
        raise _refused("-no_greedy needs gap costs, and megablast has none", "give -gapextend too")
    if int(given.get("-off_diagonal_range", "0")) and not int(
        given.get("-window_size", _OWN_WINDOW.get(str(task), "0"))
    ):
        raise _refused("-off_diagonal_range needs two hits in a window", "give -window_size too")
    if program is not Program.BLASTN:
        _check_protein(program, task, given)


def _check_protein(program: Program, task: str | None, given: Mapping[str, str]) -> None:
    if program is Program.BLASTX and given.get("-matrix") == "IDENTITY":
        raise _refused("blastx has no matrix IDENTITY", "choose another matrix")
    if "-ungapped" in given:
        if given.get("-comp_based_stats") not in UNADJUSTED:
            raise _refused(
                "-ungapped is not possible with composition-based statistics", "give -comp_based_stats F too"
            )
        if "-use_sw_tback" in given:
            raise _refused("-ungapped is not possible with -use_sw_tback", "give one of the two")  # BLAST crashes
        return
    matrix = given.get("-matrix") or ("PAM30" if task == "blastp-short" else "BLOSUM62")
    (existence, extension), known = MATRICES[matrix]
    costs = f"{given.get('-gapopen') or existence}/{given.get('-gapextend') or extension}"
    if costs not in known.split():
        raise _refused(
            f"{matrix} has no statistics for the gap costs {costs}",
            f"-gapopen/-gapextend may be {', '.join(known.split())}",
        )


def _refused(message: str, hint: str) -> InvalidInputError:
    return InvalidInputError("option_not_allowed", message, hint, field="options.extra")
