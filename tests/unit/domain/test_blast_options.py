"""The options of a search: what is taken, what is refused by name, and the argument vector that comes of it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.blast_options import BlastOptions, read_options
from shared.domain.errors import InvalidInputError
from shared.domain.programs import Program
from shared.domain.ranking import MergeSummary


def options(program: Program = Program.BLASTN, **data: Any) -> BlastOptions:
    return read_options(program, data)


def refusal(extra: str, program: Program = Program.BLASTN) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as refused:
        options(program, extra=extra)
    assert refused.value.code == "option_not_allowed"
    assert refused.value.field == "options.extra"
    return refused.value


class TestAllowed:
    @pytest.mark.parametrize(
        ("extra", "arguments"),
        [
            ("", ()),
            ("   ", ()),
            ("-ungapped", ("-ungapped",)),
            ("-lcase_masking -subject_besthit", ("-lcase_masking", "-subject_besthit")),
            ("-gapopen 5 -gapextend 2", ("-gapopen", "5", "-gapextend", "2")),
            ("-penalty -3 -reward 2", ("-penalty", "-3", "-reward", "2")),
            ("-perc_identity 97.5", ("-perc_identity", "97.5")),
            ("-xdrop_gap 1e2", ("-xdrop_gap", "1e2")),
            ("-max_hsps 1", ("-max_hsps", "1")),
            ("-dust no", ("-dust", "no")),
            ("-dust '20 64 1'", ("-dust", "20 64 1")),
            ("-soft_masking false -sum_stats true", ("-soft_masking", "false", "-sum_stats", "true")),
            ("-strand plus", ("-strand", "plus")),
            ("-min_raw_gapped_score -5", ("-min_raw_gapped_score", "-5")),
        ],
    )
    def test_arguments(self, extra: str, arguments: tuple[str, ...]) -> None:
        assert options(extra=extra).extra == arguments

    @pytest.mark.parametrize(
        ("extra", "arguments"),
        [
            ("-use_sw_tback", ("-use_sw_tback",)),
            ('-seg "12 2.2 2.5"', ("-seg", "12 2.2 2.5")),
            ("-matrix BLOSUM80 -comp_based_stats 2", ("-matrix", "BLOSUM80", "-comp_based_stats", "2")),
            ("-ungapped -comp_based_stats F", ("-ungapped", "-comp_based_stats", "F")),
        ],
    )
    def test_arguments_of_protein_programs(self, extra: str, arguments: tuple[str, ...]) -> None:
        assert options(Program.BLASTP, extra=extra).extra == arguments


class TestRefusedByName:
    @pytest.mark.parametrize(
        "option",
        [
            "-remote", "-out", "-outfmt", "-query", "-db", "-evalue", "-max_target_seqs", "-word_size", "-task",
            "-num_threads", "-dbsize", "-searchsp", "-culling_limit", "-best_hit_overhang", "-best_hit_score_edge",
            "-parse_deflines", "-subject", "-gilist", "-seqidlist", "-negative_gilist", "-negative_seqidlist",
            "-taxids", "-taxidlist", "-negative_taxids", "-negative_taxidlist", "-entrez_query", "-in_pssm",
            "-out_pssm", "-import_search_strategy", "-export_search_strategy", "-window_masker_db", "-filtering_db",
            "-window_masker_taxid", "-index_name", "-use_index", "-ipglist", "-html", "-show_gis", "-num_alignments",
            "-num_descriptions", "-line_length", "-sorthits", "-sorthsps", "-mt_mode", "-query_loc", "-subject_loc",
            "-db_soft_mask", "-db_hard_mask", "-h", "-help", "-version", "-logfile", "-conffile", "--remote",
            "-REMOTE", "-gapopen=5", "-remote=true", "-", "--", "5", "blastn",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("form", ["{}", "{} x", "-dust no {}", "-lcase_masking {} 1"])
    def test_option(self, option: str, form: str) -> None:
        error = refusal(form.format(option))
        assert option in error.message
        assert error.hint

    @pytest.mark.parametrize("option", ["-culling_limit", "-best_hit_overhang", "-best_hit_score_edge"])
    def test_what_weighs_subjects_against_each_other_says_so(self, option: str) -> None:
        assert "subjects" in refusal(f"{option} 1").hint

    @pytest.mark.parametrize("option", ["-dbsize", "-searchsp"])
    def test_what_changes_the_statistics_says_so(self, option: str) -> None:
        assert "E-values" in refusal(f"{option} 1000").hint

    @pytest.mark.parametrize("character", list(";&|<>`$\\(){}*?~!#\n\r\t\x00\x1b"))
    def test_shell_characters(self, character: str) -> None:
        for extra in (f"-dust no{character}", f"-dust {character}", f"-dust 'no{character}'", f"{character}-dust no"):
            assert repr(character) in refusal(extra).message

    @pytest.mark.parametrize(
        ("extra", "named"),
        [
            ("-gapopen", "-gapopen"),
            ("-gapopen five", "'five'"),
            ("-gapopen -gapextend", "'-gapextend'"),
            ("-gapopen ''", "''"),
            ("-gapopen 5x", "'5x'"),
            ("-gapopen ٣", "'٣'"),
            ("-dust maybe", "'maybe'"),
            ("-dust '20 64'", "'20 64'"),
            ("-soft_masking 1", "'1'"),
            ("-strand /etc/passwd", "'/etc/passwd'"),
            ("-strand ../x", "'../x'"),
            ("-gapopen 1e1", "'1e1'"),
            ("-gapopen 5.0", "'5.0'"),
            ("-gapopen 2147483648", "'2147483648'"),
            ("-xdrop_gap 1e400", "'1e400'"),
            ("-xdrop_gap nan", "'nan'"),
            ("-dust '20  64 1'", "'20  64 1'"),
            ("-dust '20.5 64 1'", "'20.5 64 1'"),
            ("-strand -out", "'-out'"),
            ("-ungapped 1", "'1'"),
            ("-dust 'no", "quotation"),
        ],
    )
    def test_values(self, extra: str, named: str) -> None:
        assert named in refusal(extra).message + refusal(extra).hint


class TestOfAnotherProgram:
    @pytest.mark.parametrize(
        ("program", "extra", "others"),
        [
            (Program.BLASTP, "-penalty -3", "blastn"),
            (Program.BLASTN, "-matrix BLOSUM62", "blastp, blastx, tblastn, tblastx"),
            (Program.TBLASTX, "-gapopen 11", "blastn, blastp, blastx, tblastn"),
            (Program.BLASTP, "-query_gencode 1", "blastx, tblastx"),
            (Program.TBLASTN, "-strand plus", "blastn, blastx, tblastx"),
        ],
    )
    def test_names_the_option_and_the_programs(self, program: Program, extra: str, others: str) -> None:
        error = refusal(extra, program)
        assert error.message == f"{program} has no option {extra.split()[0]}"
        assert error.hint == f"it is an option of {others}"


class TestLimits:
    """At the limit and just beyond it; the limits themselves are held against BLAST in tests/unit/blast."""

    @pytest.mark.parametrize(
        ("program", "extra", "beyond"),
        [
            (Program.BLASTN, "-perc_identity 0", "-perc_identity -0.1"),
            (Program.BLASTN, "-perc_identity 100", "-perc_identity 100.1"),
            (Program.BLASTN, "-penalty -1", "-penalty 0"),
            (Program.BLASTN, "-reward 1", "-reward 0"),
            (Program.BLASTN, "-max_hsps 1", "-max_hsps 0"),
            (Program.BLASTN, "-max_hsps 2147483647", "-max_hsps 2147483648"),
            (Program.BLASTN, "-dust '0 0 0'", "-dust '0 0 -1'"),
            (Program.BLASTP, "-threshold 0.1", "-threshold 0"),
            (Program.BLASTX, "-query_gencode 6", "-query_gencode 7"),
            (Program.BLASTX, "-query_gencode 33", "-query_gencode 34"),
            (Program.BLASTP, "-gapopen 13 -gapextend 1", "-gapopen 14 -gapextend 1"),
            (Program.BLASTP, "-gapopen 9", "-gapopen 8"),
            (Program.BLASTP, "-matrix BLOSUM45 -gapopen 15", "-matrix BLOSUM45 -gapopen 11"),
            (Program.BLASTP, "-seg '12 2.2 2.5'", "-seg '12.5 2.2 2.5'"),
        ],
    )
    def test_value(self, program: Program, extra: str, beyond: str) -> None:
        assert options(program, extra=extra).extra
        assert refusal(beyond, program).hint

    @pytest.mark.parametrize(
        ("program", "task", "taken", "refused"),
        [
            (Program.BLASTN, None, (4, 10_000), (3,)),
            (Program.BLASTN, "dc-megablast", (11, 12), (10, 13)),
            (Program.BLASTP, None, (2, 7), (1, 8)),
            (Program.BLASTX, "blastx-fast", (2, 7), (1, 8)),
            (Program.TBLASTX, None, (2, 5), (1, 6)),
        ],
    )
    def test_word_size(
        self, program: Program, task: str | None, taken: tuple[int, ...], refused: tuple[int, ...]
    ) -> None:
        for size in taken:
            assert options(program, task=task, word_size=size).word_size == size
        for size in refused:
            with pytest.raises(InvalidInputError) as error:
                options(program, task=task, word_size=size)
            assert (error.value.code, error.value.field) == ("invalid_word_size", "options.word_size")


class TestTogether:
    @pytest.mark.parametrize(
        ("program", "task", "wrong", "right"),
        [
            (Program.BLASTN, None, "-dust no -dust no", "-dust no"),
            (Program.BLASTN, None, "-ungapped -ungapped", "-ungapped"),
            (
                Program.BLASTN,
                "dc-megablast",
                "-template_type coding",
                "-template_type coding -template_length 18",
            ),
            (Program.BLASTN, "dc-megablast", "-template_length 21", "-template_length 21 -template_type optimal"),
            (Program.BLASTN, "blastn", "-template_type coding -template_length 18", "-dust no"),
            (Program.BLASTN, None, "-no_greedy", "-no_greedy -gapextend 2"),
            (Program.BLASTN, "blastn", "-no_greedy -no_greedy", "-no_greedy"),
            (Program.BLASTN, "blastn", "-off_diagonal_range 5", "-off_diagonal_range 5 -window_size 40"),
            (
                Program.BLASTN,
                "dc-megablast",
                "-off_diagonal_range 5 -window_size 0",
                "-off_diagonal_range 5",
            ),
            (Program.BLASTP, None, "-ungapped", "-ungapped -comp_based_stats 0"),
            (Program.BLASTP, None, "-ungapped -comp_based_stats 2", "-comp_based_stats 2"),
            (Program.BLASTP, None, "-ungapped -comp_based_stats F -use_sw_tback", "-use_sw_tback"),
            (Program.BLASTP, "blastp-short", "-gapopen 11", "-gapopen 11 -matrix BLOSUM62"),
        ],
    )
    def test_pair(self, program: Program, task: str | None, wrong: str, right: str) -> None:
        assert options(program, task=task, extra=right).extra
        with pytest.raises(InvalidInputError) as refused:
            options(program, task=task, extra=wrong)
        assert (refused.value.code, refused.value.field) == ("option_not_allowed", "options.extra")
        assert refused.value.hint


class TestCommands:
    FULL = options(
        outfmt="7 qseqid sseqid evalue score",
        task="blastn",
        evalue=1e-5,
        max_target_seqs=50,
        word_size=11,
        extra="-dust '20 64 1' -lcase_masking",
    )

    def test_of_a_shard(self) -> None:
        assert self.FULL.shard_command(Program.BLASTN, "/blast/blastdb/nt/nt_08_03", 4) == [
            "blastn",
            "-db",
            "/blast/blastdb/nt/nt_08_03",
            "-outfmt",
            self.FULL.outfmt.for_shard(),
            "-evalue",
            "1e-05",
            "-max_target_seqs",
            "50",
            "-task",
            "blastn",
            "-word_size",
            "11",
            "-dust",
            "20 64 1",
            "-lcase_masking",
            "-num_threads",
            "4",
        ]

    def test_of_the_unsharded_search(self) -> None:
        command = self.FULL.unsharded_command(Program.BLASTN, "nt")
        assert command[:5] == ["blastn", "-db", "nt", "-outfmt", "7 qseqid sseqid evalue score"]
        assert "-num_threads" not in command

    def test_defaults_are_blast_s_own(self) -> None:
        assert options().unsharded_command(Program.BLASTN, "nt")[5:] == ["-evalue", "10", "-max_target_seqs", "500"]

    @pytest.mark.parametrize("evalue", [10, 10.0, 0.01, 1e-5, 1e-200, 0.123456789, 1234567.0, 123456789.5, 1 / 3, 1e6])
    def test_the_evalue_is_the_one_asked_for(self, evalue: float) -> None:
        command = options(evalue=evalue).unsharded_command(Program.BLASTN, "nt")
        assert float(command[command.index("-evalue") + 1]) == evalue

    @pytest.mark.parametrize("program", list(Program))
    def test_each_program_by_its_name(self, program: Program) -> None:
        assert options(program).shard_command(program, "x", 1)[0] == program.value

    def test_neither_query_nor_output_nor_statistics(self) -> None:
        command = self.FULL.shard_command(Program.BLASTN, "x", 1)
        assert not {"-query", "-out", "-searchsp", "-dbsize", "-remote"} & set(command)


class TestExact:
    @pytest.mark.parametrize(
        ("program", "extra", "exact"),
        [
            (Program.BLASTN, "", True),
            (Program.BLASTN, "-penalty -3 -reward 2", True),
            (Program.BLASTN, "-gapopen 5 -gapextend 2", False),
            (Program.BLASTN, "-gapextend 2", False),
            (Program.BLASTN, "-ungapped", False),
            (Program.BLASTP, "-gapopen 11 -gapextend 1", True),
            (Program.BLASTP, "-ungapped -comp_based_stats F", False),
            (Program.TBLASTX, "", False),
            (Program.BLASTN, "-perc_identity 95", False),
            (Program.BLASTP, "-qcov_hsp_perc 90", False),
            (Program.BLASTN, "-max_hsps 1", True),
        ],
    )
    def test_ungapped_statistics_and_filters_after_the_list_are_told(
        self, program: Program, extra: str, exact: bool
    ) -> None:
        assert options(program, extra=extra).is_exact(program, MergeSummary()) is exact


class TestRoundTrip:
    @pytest.mark.parametrize(
        "data",
        [
            {},
            {"task": "blastn", "evalue": 0.5, "max_target_seqs": 5, "word_size": 7},
            {"outfmt": "10 delim=; qseqid", "extra": "-dust '20 64 1' -ungapped"},
            {"outfmt": "5"},
            {"evalue": None, "task": None, "extra": None, "outfmt": None},
        ],
    )
    def test_what_the_row_holds_reads_back(self, data: dict[str, Any]) -> None:
        found = options(**data)
        assert read_options(Program.BLASTN, found.to_dict()) == found

    def test_a_task_of_another_program(self) -> None:
        with pytest.raises(InvalidInputError) as refused:
            options(Program.BLASTP, task="megablast")
        assert refused.value.field == "options.task"
