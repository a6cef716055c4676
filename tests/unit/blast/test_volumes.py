"""Which files make a database, and in which order BLAST reads its volumes."""

from __future__ import annotations

import pytest

from shared.domain.errors import PermanentError
from shared.domain.programs import DatabaseType
from shared.domain.volumes import Alias, DatabaseFile, DatabaseFiles, group_files, oid_order, parse_alias, volume_of

VOLUME_PARTS = ("nhr", "nin", "nog", "nsq")
SHARED_PARTS = ("ndb", "nos", "not", "ntf", "nto")


def listing(database: str = "db", volumes: int = 3, *, without: tuple[str, ...] = ()) -> list[DatabaseFile]:
    names = [f"{database}.{volume:02d}.{part}" for volume in range(volumes) for part in VOLUME_PARTS]
    names += [f"{database}.{part}" for part in SHARED_PARTS]
    names += [f"{database}.nal", f"{database}-nucl-metadata.json", "taxdb.bti", "taxdb.btd", "README"]
    return [DatabaseFile(name, 10 + number) for number, name in enumerate(names) if name not in without]


class TestOrder:
    def test_beyond_99_it_is_the_order_of_the_names(self) -> None:
        """BLAST+ 2.12 on a database of 158 volumes, by ``blastdbcmd -outfmt %o``."""
        ordered = oid_order(f"db.{number:02d}" for number in reversed(range(158)))
        assert ordered[9:13] == ["db.09", "db.10", "db.100", "db.101"]
        assert ordered[20:22] == ["db.109", "db.11"]
        assert ordered[-1] == "db.99"

    def test_three_digits_are_in_numeric_order(self) -> None:
        assert oid_order(["nt.100", "nt.011", "nt.010", "nt.009"]) == ["nt.009", "nt.010", "nt.011", "nt.100"]


@pytest.mark.parametrize(
    ("file", "volume"),
    [
        ("core_nt.04.nsq", "core_nt.04"),
        ("core_nt.100.nin", "core_nt.100"),
        ("nr.00.phr", "nr.00"),
        ("db.nin", "db"),
        ("my.db.01.nog", "my.db.01"),
        ("core_nt.ndb", None),
        ("core_nt.nos", None),
        ("core_nt.not", None),
        ("core_nt.ntf", None),
        ("core_nt.nto", None),
        ("core_nt.nal", None),
        ("nr.pdb", None),
        ("core_nt.njs", None),
        ("core_nt-nucl-metadata.json", None),
        ("taxdb.bti", None),
        ("README", None),
        (".nin", None),
    ],
)
def test_volume_of(file: str, volume: str | None) -> None:
    assert volume_of(file) == volume


class TestAlias:
    def test_as_makeblastdb_writes_it(self) -> None:
        text = "#\n# Alias file created: Nov 21, 2026  9:00 PM\n#\nTITLE my db\nDBLIST db.00 db.01\n"
        assert parse_alias(text) == Alias("my db", ("db.00", "db.01"))

    def test_as_ncbi_writes_it(self) -> None:
        text = 'TITLE nt\nDBLIST "core_nt.00" "core_nt.01"\nNSEQ 5\nLENGTH 70\n'
        assert parse_alias(text) == Alias("nt", ("core_nt.00", "core_nt.01"), 5, 70)

    def test_statistics_win_over_counts(self) -> None:
        text = "DBLIST ./a.00\r\nNSEQ 1\r\nSTATS_NSEQ 10\r\nLENGTH 2\r\nSTATS_TOTLEN 20\r\n"
        assert parse_alias(text) == Alias("", ("a.00",), 10, 20)

    @pytest.mark.parametrize("text", ["", "TITLE x\n", "DBLIST\n", "DBLIST a\nNSEQ many\n"])
    def test_invalid(self, text: str) -> None:
        with pytest.raises(PermanentError) as refused:
            parse_alias(text)
        assert refused.value.code == "alias_invalid"


class TestGrouping:
    def test_multi_volume(self) -> None:
        files = group_files("db", [DatabaseFile(f"db/{file.name}", file.size) for file in listing()])
        assert files.dbtype is DatabaseType.NUCL
        assert [volume.name for volume in files.volumes] == ["db.00", "db.01", "db.02"]
        assert [file.name for file in files.volumes[1].files] == [f"db.01.{part}" for part in VOLUME_PARTS]
        assert {file.name for file in files.shared} == {f"db.{part}" for part in SHARED_PARTS} | {
            "taxdb.bti",
            "taxdb.btd",
        }
        assert files.metadata
        assert files.alias
        assert (files.metadata.name, files.alias.name) == ("db-nucl-metadata.json", "db.nal")
        assert files.bytes == sum(file.size for file in listing() if file.name[-3:] not in ("nal", "son", "DME"))
        files.check_complete(Alias("", ("db.02", "db.00", "db.01")))

    def test_one_volume_has_no_number_and_no_alias(self) -> None:
        names = [f"db.{part}" for part in ("phr", "pin", "psq", "pdb", "pot", "ptf", "pto", "pjs")]
        files = group_files("db", [DatabaseFile(name, 1) for name in names])
        assert files.dbtype is DatabaseType.PROT
        assert [volume.name for volume in files.volumes] == ["db"]
        assert len(files.volumes[0].files) == 3
        assert files.alias is None
        assert files.metadata == DatabaseFile("db.pjs", 1)
        files.check_complete()

    def test_other_databases_in_the_folder_are_left_out(self) -> None:
        others = [DatabaseFile(name, 1) for name in ("db2.nin", "dbx.00.nin", "db.00.1.nin", "db.a.nin")]
        assert len(group_files("db", listing() + others).volumes) == 3

    def test_ambiguous_type(self) -> None:
        both = [*listing(), DatabaseFile("db.00.pin", 1)]
        with pytest.raises(PermanentError) as refused:
            group_files("db", both)
        assert refused.value.code == "database_ambiguous"
        assert len(group_files("db", both, DatabaseType.PROT).volumes) == 1

    @pytest.mark.parametrize("names", [[], ["db.ndb"], ["other.00.nin"]])
    def test_no_volume(self, names: list[str]) -> None:
        with pytest.raises(PermanentError) as refused:
            group_files("db", [DatabaseFile(name, 1) for name in names])
        assert refused.value.code == "database_incomplete"


class TestCompleteness:
    @pytest.mark.parametrize("missing", ["db.01.nhr", "db.01.nin", "db.00.nsq", "db.ndb"])
    def test_a_missing_file_is_named(self, missing: str) -> None:
        with pytest.raises(PermanentError) as refused:
            group_files("db", listing(without=(missing,))).check_complete()
        assert refused.value.code == "database_incomplete"
        assert "db.01" in refused.value.message if missing == "db.01.nin" else missing in refused.value.message

    def test_a_gap_in_the_numbers(self) -> None:
        gone = tuple(f"db.01.{part}" for part in VOLUME_PARTS)
        with pytest.raises(PermanentError, match=r"volume db\.01"):
            group_files("db", listing(without=gone)).check_complete()

    def test_the_alias_knows_about_missing_last_volumes(self) -> None:
        with pytest.raises(PermanentError, match=r"volume db\.03"):
            group_files("db", listing()).check_complete(Alias("", ("db.00", "db.01", "db.02", "db.03")))

    def test_version_4_has_no_lmdb(self) -> None:
        gone = tuple(f"db.{part}" for part in SHARED_PARTS)
        group_files("db", listing(without=gone)).check_complete()

    def test_nothing(self) -> None:
        with pytest.raises(PermanentError, match="any volume"):
            DatabaseFiles("db", DatabaseType.NUCL, ()).check_complete()

    def test_a_long_list_is_cut(self) -> None:
        gone = tuple(f"db.{number:02d}.nsq" for number in range(9))
        with pytest.raises(PermanentError, match="and 4 more"):
            group_files("db", listing(volumes=9, without=gone)).check_complete()

    def test_158_volumes(self) -> None:
        group_files("db", listing(volumes=158)).check_complete()
