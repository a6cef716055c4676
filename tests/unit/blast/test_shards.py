"""Cutting a database into shards."""

from __future__ import annotations

import json

import pytest

from shared.domain.errors import InvalidInputError, PermanentError
from shared.domain.programs import DatabaseType
from shared.domain.shards import (
    DatabaseMetadata,
    Shard,
    ShardLayout,
    alias_file_name,
    alias_name,
    alias_text,
    contiguous_runs,
    plan_layout,
    source_version,
)
from shared.domain.volumes import DatabaseFile, DatabaseFiles, group_files, parse_alias
from tests.unit.blast.test_volumes import listing

METADATA = {
    "version": "1.2",
    "dbname": "db",
    "dbtype": "Nucleotide",
    "db-version": 5,
    "description": "A  title\nin two lines",
    "number-of-letters": 2896327,
    "number-of-sequences": 3144,
    "last-updated": "2022-05-24T00:00:00",
    "number-of-volumes": 3,
    "bytes-total": 1367389,
    "bytes-to-cache": 765270,
    "files": ["db.00.nhr"],
}


def metadata(**changes: object) -> DatabaseMetadata:
    return DatabaseMetadata.from_json(json.dumps(METADATA | changes))


class TestRuns:
    def test_83_volumes_in_10_shards(self) -> None:
        runs = contiguous_runs(83, 10)
        assert [len(run) for run in runs] == [9] * 3 + [8] * 7

    @pytest.mark.parametrize(("count", "shards"), [(1, 1), (8, 4), (8, 3), (10, 10), (11, 10), (19, 10), (1000, 7)])
    def test_contiguous_balanced_none_empty(self, count: int, shards: int) -> None:
        runs = contiguous_runs(count, shards)
        sizes = [len(run) for run in runs]
        assert [position for run in runs for position in run] == list(range(count))
        assert len(runs) == shards
        assert min(sizes) >= 1
        assert max(sizes) - min(sizes) <= 1
        assert sizes == sorted(sizes, reverse=True)

    @pytest.mark.parametrize(
        ("count", "shards", "code"),
        [(9, 10, "too_many_shards"), (0, 1, "too_many_shards"), (5, 0, "invalid_shards"), (5, -1, "invalid_shards")],
    )
    def test_refused(self, count: int, shards: int, code: str) -> None:
        with pytest.raises(InvalidInputError) as refused:
            contiguous_runs(count, shards)
        assert (refused.value.code, refused.value.field) == (code, "shards")


class TestMetadata:
    def test_as_ncbi_writes_it(self) -> None:
        assert metadata() == DatabaseMetadata(
            "db", DatabaseType.NUCL, "A  title\nin two lines", 3144, 2896327, 3, "2022-05-24T00:00:00", 1367389
        )

    def test_protein(self) -> None:
        assert metadata(dbtype="Protein").dbtype is DatabaseType.PROT

    @pytest.mark.parametrize("text", ["", "[]", "null", "7", "{}", "not json"])
    def test_invalid(self, text: str) -> None:
        with pytest.raises(PermanentError) as refused:
            DatabaseMetadata.from_json(text)
        assert refused.value.code == "metadata_invalid"

    @pytest.mark.parametrize(
        "changes", [{"dbtype": "Genome"}, {"number-of-letters": "many"}, {"last-updated": []}, {"last-updated": "May"}]
    )
    def test_invalid_value(self, changes: dict[str, object]) -> None:
        with pytest.raises(PermanentError) as refused:
            metadata(**changes)
        assert refused.value.code == "metadata_invalid"


class TestLayout:
    def test_whole(self) -> None:
        files = group_files("db", listing())
        layout = plan_layout(files, metadata(), 2)
        assert [shard.volumes for shard in layout.shards] == [("db.00", "db.01"), ("db.02",)]
        assert [shard.alias for shard in layout.shards] == ["db_02_00", "db_02_01"]
        assert (layout.sequences, layout.letters, layout.dbtype) == (3144, 2896327, DatabaseType.NUCL)
        last = layout.shards[1]
        assert {name for name, _ in last.files} == {
            *(f"db.02.{part}" for part in ("nhr", "nin", "nog", "nsq")),
            *(f"db.{part}" for part in ("ndb", "nos", "not", "ntf", "nto")),
            "taxdb.bti",
            "taxdb.btd",
        }
        assert last.bytes == sum(size for _, size in last.files)

    def test_beyond_99_shards_follow_oid_order(self) -> None:
        files = group_files("db", listing(volumes=110))
        layout = plan_layout(files, metadata(**{"number-of-volumes": 110}), 11)
        assert layout.shards[1].volumes == ("db.10", *(f"db.10{n}" for n in range(9)))
        assert layout.shards[2].volumes[:2] == ("db.109", "db.11")

    def test_metadata_of_another_download(self) -> None:
        with pytest.raises(PermanentError) as refused:
            plan_layout(group_files("db", listing()), metadata(**{"number-of-volumes": 4}), 2)
        assert refused.value.code == "database_incomplete"

    def test_json_round_trip(self) -> None:
        layout = plan_layout(group_files("db", listing()), metadata(), 3)
        assert ShardLayout.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout

    def test_json_of_other_versions(self) -> None:
        assert ShardLayout.from_dict(
            {"database": "db", "colour": "red", "shards": [{"files": [["a", 5]]}]}
        ) == ShardLayout("db", DatabaseType.NUCL, "", 0, 0, (Shard(0, "", (), (("a", 5),), 5),))
        assert ShardLayout.from_dict({}).shards == ()


class TestAliasFile:
    @pytest.mark.parametrize(
        ("shards", "index", "name"), [(10, 3, "core_nt_10_03"), (1, 0, "core_nt_01_00"), (100, 99, "core_nt_100_99")]
    )
    def test_name(self, shards: int, index: int, name: str) -> None:
        assert alias_name("core_nt", shards, index) == name

    def test_text_carries_the_whole_database(self) -> None:
        layout = plan_layout(group_files("db", listing()), metadata(), 2)
        text = alias_text(layout, layout.shards[0])
        assert text == ('TITLE A title in two lines\nDBLIST "db.00" "db.01"\nSTATS_NSEQ 3144\nSTATS_TOTLEN 2896327\n')
        assert alias_file_name(layout, layout.shards[0]) == "db_02_00.nal"
        alias = parse_alias(text)
        assert (alias.dblist, alias.nseq, alias.totlen) == (("db.00", "db.01"), 3144, 2896327)

    def test_protein_extension_and_missing_title(self) -> None:
        layout = ShardLayout("nr", DatabaseType.PROT, "v", 1, 2, (Shard(0, "nr_01_00", ("nr",), (), 0),))
        assert alias_file_name(layout, layout.shards[0]) == "nr_01_00.pal"
        assert alias_text(layout, layout.shards[0]).startswith("TITLE nr\n")


class TestSourceVersion:
    def version(self, files: DatabaseFiles) -> str:
        return source_version(metadata(), files)

    def test_date_and_digest(self) -> None:
        version = self.version(group_files("db", listing()))
        assert version.startswith("2022-05-24-")
        assert len(version) == len("2022-05-24-") + 8

    def test_does_not_depend_on_the_order_of_the_listing(self) -> None:
        assert self.version(group_files("db", listing())) == self.version(group_files("db", listing()[::-1]))

    @pytest.mark.parametrize("changed", [DatabaseFile("db.00.nsq", 999), DatabaseFile("db.00.nsq", 13, "0x8D")])
    def test_changes_with_size_and_etag(self, changed: DatabaseFile) -> None:
        others = [file for file in listing() if file.name != changed.name]
        assert self.version(group_files("db", [*others, changed])) != self.version(group_files("db", listing()))

    def test_alias_and_metadata_do_not_count(self) -> None:
        without = listing(without=("db.nal", "db-nucl-metadata.json", "README"))
        assert {f.name: f.size for f in without}.items() <= {f.name: f.size for f in listing()}.items()
        assert self.version(group_files("db", without)) == self.version(group_files("db", listing()))
