"""The table of options against the programs themselves: their ``-help``, and what they take and refuse when they run.

Written for BLAST+ 2.12.0. With another version the first tests say which option came, went or changed.
"""

from __future__ import annotations

import math
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from shared.domain.blast_options import read_options
from shared.domain.errors import InvalidInputError
from shared.domain.failures import Failure, told_by_log
from shared.domain.option_table import (
    ALLOWED,
    DISCONTIGUOUS_WORD_SIZES,
    INT_MAX,
    MATRICES,
    REFUSED,
    WORD_SIZES,
    Choice,
    Filter,
    Integer,
    Real,
    Value,
)
from shared.domain.programs import TASKS, Program

NARROWER = {
    "-penalty": ("<=0", "<=-1"),
    "-reward": (">=0", ">=1"),
    "-gapopen": ("", ">=0"),
    "-gapextend": ("", ">=0"),
    "-threshold": (">=0", ">0"),
}
"""Option -> limits of ``-help``, and narrower ones of the table: ``test_what_help_does_not_say`` has what BLAST does
with a value between the two."""
LISTED_IN_VAIN = {(Program.TBLASTX, "-max_intron_length")}
"""What a program lists and then refuses."""


@dataclass(frozen=True)
class Help:
    """An option as ``-help`` describes it: type, limits or choices, what it excludes and what it needs."""

    kind: str
    limits: str
    text: str

    @property
    def choices(self) -> tuple[str, ...]:
        return tuple(re.findall(r"[`']([^`']+)'", self.limits))

    def others(self, relation: str) -> set[str]:
        """The options named after ``Incompatible with`` or ``Requires``."""
        found = re.search(rf"\* {relation}: ([^*]*)", self.text)
        return {"-" + name.strip() for name in found[1].split(",")} if found else set()


@cache
def options_of(program: Program) -> dict[str, Help]:
    """``-help``, read."""
    text = subprocess.run([program, "-help"], capture_output=True, text=True, check=True).stdout
    text = text[text.index("OPTIONAL ARGUMENTS") :]
    found = {}
    for part in re.split(r"\n(?= -[a-z])", text)[1:]:
        head = re.match(r" (-\w+)(?:\s+<(\w+)(?:, ((?:[^<>]|[<>]=?(?=\s*-?\d))*?))?\s*>)?[^\S\n]*\n", part)
        assert head, part
        body = re.split(r"\n\s*\n", part[head.end() :])[0]
        limits = " ".join((head[3] or "").removeprefix("Permissible values:").split())
        found[head[1]] = Help(head[2] or "", limits, " ".join(body.split()))
    return found


def limits_of(value: Value) -> str:
    """The limits as ``-help`` writes them."""
    if isinstance(value, Real):
        if value.above > -math.inf:
            return f">{value.above:g}"
        return f"{value.least:g}..{value.most:g}" if value.most < math.inf else ""
    assert isinstance(value, Integer)
    if value.but_not:
        allowed = [number for number in range(value.least, value.most + 1) if value.takes(str(number))]
        runs: list[list[int]] = []
        for number in allowed:
            if runs and runs[-1][-1] == number - 1:
                runs[-1].append(number)
            else:
                runs.append([number])
        return "values between: " + ", ".join(f"{r[0]}-{r[-1]}" if len(r) > 1 else str(r[0]) for r in runs)
    if value.least > -INT_MAX:
        return f">={value.least}"
    return f"<={value.most}" if value.most < INT_MAX else ""


PAIRS = [(program, option) for program in Program for option, rule in ALLOWED.items() if program in rule.programs]


class TestAgainstHelp:
    def test_help_was_read_whole(self) -> None:
        sizes = {program: len(options_of(program)) for program in Program}
        assert sizes == {"blastn": 71, "blastp": 62, "blastx": 66, "tblastn": 64, "tblastx": 56}

    @pytest.mark.parametrize("program", list(Program))
    def test_every_option_is_allowed_or_refused_by_name(self, program: Program) -> None:
        allowed = {option for option, rule in ALLOWED.items() if program in rule.programs}
        vain = {option for each, option in LISTED_IN_VAIN if each is program}
        assert set(options_of(program)) - set(REFUSED) - vain == allowed
        assert not allowed & set(REFUSED)

    def test_nothing_is_refused_by_name_that_no_program_has(self) -> None:
        assert set(REFUSED) <= {option for program in Program for option in options_of(program)}
        assert all(REFUSED.values())

    @pytest.mark.parametrize(("program", "option"), PAIRS)
    def test_type_limits_and_choices(self, program: Program, option: str) -> None:
        said, value = options_of(program)[option], ALLOWED[option].value
        if value is None:
            assert said.kind == ""
        elif isinstance(value, Integer | Real):
            assert said.kind == type(value).__name__
            limits = re.sub(r"\s", "", said.limits) if "values" not in said.limits else said.limits
            assert (limits, limits_of(value)) == NARROWER.get(option, (limits, limits))
        elif isinstance(value, Filter):
            assert said.kind == "String"
            assert f"(Format: 'yes', '{value.numbers}', or 'no' to disable)" in said.text
        elif said.kind == "Boolean":
            assert value == Choice(("true", "false"))
        elif option == "-comp_based_stats":
            values = re.findall(r"(?<= )([DdFfTt0-3]) ?(?=or |:)", said.text)
            assert set(values) == set(value.values)
        elif option != "-matrix":  # whose names only the programs themselves tell, below
            assert set(said.choices) == set(value.values)

    @pytest.mark.parametrize(("program", "option"), PAIRS)
    def test_what_it_needs_and_what_it_excludes(self, program: Program, option: str) -> None:
        said = options_of(program)[option]
        assert said.others("Requires") == ({ALLOWED[option].requires} - {""})
        assert said.others("Incompatible with") <= set(REFUSED)

    @pytest.mark.parametrize("program", [program for program in Program if TASKS[program]])
    def test_tasks(self, program: Program) -> None:
        assert set(options_of(program)["-task"].choices) - {"rmblastn"} == set(TASKS[program])

    def test_tblastx_has_no_task(self) -> None:
        assert "-task" not in options_of(Program.TBLASTX)

    @pytest.mark.parametrize("program", list(Program))
    def test_least_word_size(self, program: Program) -> None:
        assert options_of(program)["-word_size"].limits == f">={WORD_SIZES[program][0]}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A nucleotide and a protein database of two sequences each, and queries that are part of them."""
    made = tmp_path_factory.mktemp("options")
    source = random.Random(1)  # noqa: S311  # letters, not secrets
    for name, kind, letters, size in (("n", "nucl", "ACGT", 900), ("p", "prot", "ACDEFGHIKLMNPQRSTVWY", 300)):
        text = "".join(source.choice(letters) for _ in range(size))
        (made / f"{name}.fa").write_text(f">s1\n{text}\n>s2\n{text[: size // 2]}\n")
        (made / f"{name}.query").write_text(f">q1\n{text[60:180]}\n")
        command = ["makeblastdb", "-in", f"{name}.fa", "-dbtype", kind, "-out", name]
        subprocess.run(command, cwd=made, check=True, capture_output=True)
    yield made
    shutil.rmtree(made)


def run(folder: Path, program: Program, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One run of the program."""
    query = "n" if program in (Program.BLASTN, Program.BLASTX, Program.TBLASTX) else "p"
    database = "p" if program in (Program.BLASTP, Program.BLASTX) else "n"
    command = [program.value, "-query", f"{query}.query", "-db", database, "-outfmt", "6", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def sample(program: Program, option: str) -> list[list[str]]:
    """Values to try, each as the words after the option: a choice each, the limits of numbers, a usual number."""
    value = ALLOWED[option].value
    if value is None:
        return [[]]
    if isinstance(value, Filter):
        return [["yes"], ["no"], ["20 64 1"]]
    if option == "-gapopen" and program is not Program.BLASTN:
        return [["11"]]
    if option == "-penalty":
        return [["-3"]]
    if option == "-matrix" and program is Program.BLASTX:
        return [[matrix] for matrix in MATRICES if matrix != "IDENTITY"]
    if isinstance(value, Choice):
        return [[word] for word in value.values]
    if isinstance(value, Integer):
        return [[str(max(value.least, 1) if value.most > 0 else value.most)]]
    return [["0.5"]] if value.above > -math.inf else [["20"]]


def needed(program: Program, option: str) -> tuple[str | None, str]:
    """A task and other options with which the option can be tried."""
    if option.startswith("-template"):
        others = {"-template_type": "-template_length 18", "-template_length": "-template_type coding"}
        return "dc-megablast", others[option]
    if option == "-off_diagonal_range":
        return None, "-window_size 40"
    if option in ("-no_greedy", "-penalty"):
        return "blastn", ""
    if option in ("-gapopen", "-gapextend"):
        given = {"-gapopen": "-gapextend 1", "-gapextend": "-gapopen 1" if program is Program.BLASTN else "-gapopen 11"}
        return None, given[option]
    if option == "-ungapped" and program is not Program.BLASTN:
        return None, "-comp_based_stats F"
    return None, ""


class TestAgainstRuns:
    @pytest.mark.parametrize(("program", "option"), PAIRS)
    def test_whatever_is_allowed_runs(self, folder: Path, program: Program, option: str) -> None:
        task, others = needed(program, option)
        for words in sample(program, option):
            quoted = "".join(f" '{word}'" for word in words)
            options = read_options(program, {"task": task, "extra": f"{option}{quoted} {others}"})
            arguments = options.unsharded_command(program, "")[5:]
            ended = run(folder, program, *arguments)
            assert ended.returncode == 0, f"{arguments}: {ended.stderr[-500:]}"

    @pytest.mark.parametrize("extra", ["-penalty -1", "-reward 7 -penalty -3", "-gapextend 5"])
    def test_scores_of_blastn_are_left_to_blast_which_says_what_is_wrong(self, folder: Path, extra: str) -> None:
        options = read_options(Program.BLASTN, {"extra": extra})
        ended = run(folder, Program.BLASTN, *options.extra)
        failure = told_by_log(Failure("blast_engine_error", "BLAST's engine failed", "", "j", "p", 3), ended.stderr)
        assert (ended.returncode, failure.code) == (3, "bad_options")
        assert "-reward" in failure.hint

    @pytest.mark.parametrize(
        ("program", "arguments", "said"),
        [
            (Program.BLASTN, "-penalty 0", "penalty must be negative"),
            (Program.BLASTN, "-reward 0", "Could not calculate ungapped Karlin-Altschul parameters"),
            (Program.BLASTN, "-gapopen -1 -gapextend -1", "not supported"),
            (Program.TBLASTX, "-max_intron_length 1", "allowed for blastx, tblastn, and psitblastn only"),
            (Program.BLASTP, "-gapopen -1", "not supported for BLOSUM62"),
            (Program.BLASTP, "-threshold 0", "Non-zero threshold required"),
            (Program.BLASTX, "-matrix IDENTITY", "IDENTITY is not a supported matrix"),
            (Program.BLASTP, "-ungapped", "please add -comp_based_stats F"),
            (Program.BLASTN, "-no_greedy", "Greedy extension must be used"),
            (Program.BLASTN, "-task blastn -template_type coding -template_length 18", "discontiguous"),
            (Program.BLASTN, "-task blastn -off_diagonal_range 5", "2-hit"),
            (Program.BLASTN, "-task dc-megablast -off_diagonal_range 5 -window_size 0", "2-hit"),
            (Program.BLASTN, "-max_hsps 1 -max_hsps 2", ""),
            (Program.BLASTN, "-max_hsps 2147483648", ""),
            (Program.BLASTN, "-window_size 1e2", ""),
            (Program.BLASTP, "-seg '12.5 2.2 2.5'", "Invalid input for filtering"),
            (Program.BLASTN, "-dust '20.5 64 1'", "Invalid input for filtering"),
        ],
    )
    def test_what_help_does_not_say(self, folder: Path, program: Program, arguments: str, said: str) -> None:
        """The product refuses it, because BLAST does, or makes nothing of it."""
        words = arguments.split("'")
        split = [*words[0].split(), *words[1:2]]
        ended = run(folder, program, *split)
        assert said in ended.stderr
        assert ended.returncode in (1, 3) or not ended.stdout
        task = split[1] if split[0] == "-task" else None
        extra = arguments.removeprefix(f"-task {task} ")
        with pytest.raises(InvalidInputError):
            read_options(program, {"task": task, "extra": extra})

    @pytest.mark.parametrize(
        ("program", "task"),
        [(program, None) for program in Program if program is not Program.BLASTN]
        + [(Program.BLASTN, "dc-megablast"), (Program.BLASTP, "blastp-short")],
    )
    def test_word_sizes(self, folder: Path, program: Program, task: str | None) -> None:
        least, most = DISCONTIGUOUS_WORD_SIZES if task == "dc-megablast" else WORD_SIZES[program]
        named = ["-task", task] if task else []
        ended = {
            size: run(folder, program, *named, "-word_size", str(size)) for size in (least - 1, least, most, most + 1)
        }
        assert {size: end.returncode == 0 for size, end in ended.items()} == {
            least - 1: False,
            least: True,
            most: True,
            most + 1: False,
        }

    def test_matrices(self, folder: Path) -> None:
        said = run(folder, Program.BLASTP, "-matrix", "NONE").stderr
        names = said.split("supported matrices are:")[1].split("Please")[0].split()
        assert set(names) == set(MATRICES)

    @pytest.mark.parametrize("matrix", list(MATRICES))
    def test_gap_costs(self, folder: Path, matrix: str) -> None:
        said = run(folder, Program.BLASTP, "-matrix", matrix, "-gapopen", "77", "-gapextend", "77").stderr
        pairs = [f"{one}/{other}" for one, other in re.findall(r"^(\d+), (\d+)$", said, re.MULTILINE)]
        assert pairs[0] == "32767/32767"
        own, known = MATRICES[matrix]
        assert pairs[1:] == known.split()
        command = ["blastp", "-query", "p.query", "-db", "p", "-matrix", matrix]
        report = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
        assert f"Gap Penalties: Existence: {own[0]}, Extension: {own[1]}" in report.stdout
