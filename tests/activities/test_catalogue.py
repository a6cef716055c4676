"""Databases as storage has them: complete or refused, and only layouts of the version that is there."""

from __future__ import annotations

import pytest

from shared.clients.catalogue import (
    check_database_name,
    list_databases,
    load_database,
    load_layout,
    save_layout,
)
from shared.domain.errors import InvalidInputError, PermanentError
from tests.activities.fakes import World
from tests.activities.worlds import DB, put_database, put_file


class TestNames:
    @pytest.mark.parametrize("name", ["core_nt", "nt.v5", "16S-rRNA", "a" * 60])
    def test_names_of_databases(self, name: str) -> None:
        assert check_database_name(name) == name

    @pytest.mark.parametrize(
        "name",
        ["", ".", "..", "../results", "a/../b", "a/b", "a..b", "/etc", "-x", "a b", "a\n", "a\x00", "ä", "a" * 61],
    )
    def test_anything_else_never_reaches_a_path(self, world: World, name: str) -> None:
        for use in (
            check_database_name,
            lambda n: load_database(world.store, n),
            lambda n: load_layout(world.store, n, 2),
        ):
            with pytest.raises(InvalidInputError, match="unknown_database"):
                use(name)

    def test_the_name_in_the_message_is_short_and_plain(self) -> None:
        with pytest.raises(InvalidInputError) as raised:
            check_database_name("\u202e" * 1000)
        assert raised.value.message.isascii()
        assert len(raised.value.message) < 600


class TestDatabases:
    def test_a_complete_one(self, world: World) -> None:
        put_database(world)
        database = load_database(world.store, DB)
        assert database.name == DB
        assert database.metadata.sequences == 10
        assert database.shard_sizes() == {2: [600, 600]}

    def test_several_layouts(self, world: World) -> None:
        put_database(world)
        save_layout(world.store, DB, 4)
        assert sorted(load_database(world.store, DB).layouts) == [2, 4]

    def test_a_layout_of_another_version_is_ignored(self, world: World) -> None:
        put_database(world)
        before = load_database(world.store, DB).source_version
        put_file(world, DB, f"{DB}.00.nsq", b"other content")
        after = load_database(world.store, DB)
        assert after.source_version != before
        assert after.layouts == {}

    def test_it_counts_again_once_prepared_again(self, world: World) -> None:
        put_database(world)
        put_file(world, DB, f"{DB}.00.nsq", b"other content")
        save_layout(world.store, DB, 2)
        assert sorted(load_database(world.store, DB).layouts) == [2]

    @pytest.mark.parametrize(
        ("file", "code"),
        [
            ("db.01.nsq", "database_incomplete"),
            ("db.03.nin", "database_incomplete"),
            ("db-nucl-metadata.json", "metadata_missing"),
        ],
    )
    def test_what_lacks_a_file_is_refused(self, world: World, file: str, code: str) -> None:
        put_database(world)
        del world.store.blobs["blast-db", f"{DB}/{file}"]
        with pytest.raises(PermanentError) as raised:
            load_database(world.store, DB)
        assert raised.value.code == code
        assert file.removesuffix(".nin") in raised.value.message

    def test_unreadable_metadata_is_refused(self, world: World) -> None:
        put_database(world)
        put_file(world, DB, f"{DB}-nucl-metadata.json", b"{}")
        with pytest.raises(PermanentError, match="metadata_invalid"):
            load_database(world.store, DB)

    def test_an_unknown_one(self, world: World) -> None:
        put_database(world)
        with pytest.raises(InvalidInputError, match="unknown_database: unknown database other"):
            load_database(world.store, "other")

    def test_one_whose_name_begins_alike_is_another(self, world: World) -> None:
        put_database(world, "db2")
        with pytest.raises(InvalidInputError, match="unknown_database"):
            load_database(world.store, "db")

    def test_all_of_them_complete_or_not(self, world: World) -> None:
        put_database(world, "b")
        put_database(world, "a")
        put_file(world, "half", "half.00.nin", b"x")
        put_file(world, "..", "x", b"x")
        assert list_databases(world.store) == ["a", "b", "half"]

    def test_a_layout_that_was_never_prepared(self, world: World) -> None:
        put_database(world)
        with pytest.raises(PermanentError, match="layout_not_found") as raised:
            load_layout(world.store, DB, 7)
        assert "POST /api/blast/databases/db/shards" in raised.value.hint
