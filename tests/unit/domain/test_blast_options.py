"""The options of a search: what is taken, what is refused by name, and the argument vector that comes of it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.blast_options import BlastOptions, read_options
from shared.domain.errors import InvalidInputError
from shared.domain.programs import Program


def options(program: Program = Program.BLASTN, **data: Any) -> BlastOptions:
    return read_options(program, data)


def refusal(extra: str) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as refused:
        options(extra=extra)
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
            ("-use_sw_tback", ("-use_sw_tback",)),
            ("-gapopen 5 -gapextend 2", ("-gapopen", "5", "-gapextend", "2")),
            ("-penalty -3 -reward 2", ("-penalty", "-3", "-reward", "2")),
            ("-perc_identity 97.5", ("-perc_identity", "97.5")),
            ("-xdrop_gap 1e2", ("-xdrop_gap", "1e2")),
            ("-max_hsps 1", ("-max_hsps", "1")),
            ("-dust no", ("-dust", "no")),
            ("-dust '20 64 1'", ("-dust", "20 64 1")),
            ('-seg "12 2.2 2.5"', ("-seg", "12 2.2 2.5")),
            ("-soft_masking false -sum_stats true", ("-soft_masking", "false", "-sum_stats", "true")),
            ("-strand plus", ("-strand", "plus")),
            ("-matrix BLOSUM80 -comp_based_stats 2", ("-matrix", "BLOSUM80", "-comp_based_stats", "2")),
            ("-template_type coding -template_length 18", ("-template_type", "coding", "-template_length", "18")),
        ],
    )
    def test_arguments(self, extra: str, arguments: tuple[str, ...]) -> None:
        assert options(extra=extra).extra == arguments


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
            ("-matrix /etc/passwd", "'/etc/passwd'"),
            ("-matrix ../x", "'../x'"),
            ("-matrix -remote", "'-remote'"),
            ("-strand -out", "'-out'"),
            ("-ungapped 1", "'1'"),
            ("-dust 'no", "quotation"),
        ],
    )
    def test_values(self, extra: str, named: str) -> None:
        assert named in refusal(extra).message + refusal(extra).hint


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


class TestRoundTrip:
    @pytest.mark.parametrize(
        "data",
        [
            {},
            {"task": "blastn", "evalue": 0.5, "max_target_seqs": 5, "word_size": 7},
            {"outfmt": "10 delim=; qseqid", "extra": "-seg '12 2.2 2.5' -ungapped"},
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
