"""Auto-warm's rows in the table: saves by many at once all survive, one of many takes a try, a broken one stays."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from threading import Lock

import pytest

from shared.clients.auto_warming import reconcile_cluster
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.preferences import UNSAVED, Preferences, TablePreferences
from shared.clients.provider import AzureClients, use
from shared.clients.table_rows import CLUSTERS, key_part
from shared.domain.auto_warm import Attempt
from shared.domain.errors import (
    InvalidInputError,
    PreconditionFailedError,
    StoredValueError,
    TransientError,
)
from shared.domain.preference import DEFAULT, PreferenceChange
from shared.domain.search import ClusterRef
from tests.activities.fakes import World
from tests.activities.worlds import new_world, put_database, put_node
from tests.clients.conftest import Place
from tests.clients.support import T0, a_cluster, at_once
from tests.clients.wire import Rule

MANY = 100


@pytest.fixture
def preferences(clients: AzureClients) -> Preferences:
    """Where preferences are kept."""
    return clients.preferences


def stored_row(clients: AzureClients, cluster: ClusterRef) -> dict[str, object]:
    """What the table holds."""
    return dict(clients.tables.client(CLUSTERS).get_entity(key_part(cluster.key), "auto_warm"))


def damage(clients: AzureClients, cluster: ClusterRef, text: object) -> None:
    """Put something else where the preference is."""
    keys = {"PartitionKey": key_part(cluster.key), "RowKey": "auto_warm"}
    clients.tables.client(CLUSTERS).upsert_entity({**keys, **cluster.to_dict(), "preference": text})


class TestSaving:
    @pytest.mark.proves("W7")
    def test_the_default_until_somebody_saves(self, preferences: Preferences) -> None:
        cluster = a_cluster()
        found = preferences.read(cluster)
        assert (found.preference, found.version, found.is_saved) == (DEFAULT, UNSAVED, False)
        saved = preferences.save(cluster, PreferenceChange(("b", "a"), enabled=False))
        assert preferences.read(cluster) == saved
        assert (saved.preference.databases, saved.preference.enabled, saved.is_saved) == (("b", "a"), False, True)

    def test_the_version_changes_with_every_write_and_with_nothing_else(self, preferences: Preferences) -> None:
        cluster = a_cluster()
        first = preferences.save(cluster, PreferenceChange(("a",)))
        assert preferences.save(cluster, PreferenceChange(("a",))) == first
        second = preferences.save(cluster, PreferenceChange(("b",)))
        assert preferences.save(cluster, PreferenceChange(("a",))).version not in (first.version, second.version)

    @pytest.mark.proves("W7")
    @pytest.mark.parametrize("instances", [1, 5])
    def test_a_hundred_that_add_a_database_each_are_all_there(self, clients: AzureClients, instances: int) -> None:
        """Of one instance of the app, and of several that know nothing of each other."""
        cluster = a_cluster()
        apps = [TablePreferences(clients.tables) for _ in range(instances)]
        apps[0].save(cluster, PreferenceChange(()))
        at_once(MANY, lambda n: apps[n % instances].save(cluster, PreferenceChange(add=(f"db{n:03d}",))))
        assert sorted(apps[0].read(cluster).preference.databases) == [f"db{n:03d}" for n in range(MANY)]

    @pytest.mark.proves("W7")
    def test_half_of_them_taking_one_off(self, preferences: Preferences) -> None:
        cluster = a_cluster()
        preferences.save(cluster, PreferenceChange(tuple(f"old{n}" for n in range(10))))

        def save(number: int) -> None:
            name = str(number // 2)
            change = PreferenceChange(remove=(f"old{name}",)) if number % 2 else PreferenceChange(add=(f"new{name}",))
            preferences.save(cluster, change)

        at_once(20, save)
        assert sorted(preferences.read(cluster).preference.databases) == [f"new{n}" for n in range(10)]

    @pytest.mark.proves("W7")
    def test_a_hundred_clusters_at_once(self, preferences: Preferences) -> None:
        clusters = [a_cluster() for _ in range(MANY)]
        at_once(MANY, lambda n: preferences.save(clusters[n], PreferenceChange((f"db{n}",))))
        assert [preferences.read(cluster).preference.databases for cluster in clusters] == [
            (f"db{n}",) for n in range(MANY)
        ]
        assert {cluster.key for cluster in clusters} <= {cluster.key for cluster in preferences.clusters()}

    @pytest.mark.parametrize("saved", [False, True], ids=["nobody saved one", "one is there"])
    def test_of_many_with_the_same_version_one_wins(self, preferences: Preferences, saved: bool) -> None:
        cluster = a_cluster()
        if saved:
            preferences.save(cluster, PreferenceChange(("a",)))
        version = preferences.read(cluster).version

        def save(number: int) -> bool:
            try:
                preferences.save(cluster, PreferenceChange((f"db{number}",)), [version])
            except PreconditionFailedError:
                return False
            return True

        assert at_once(8, save).count(True) == 1

    @pytest.mark.parametrize("guarded", [False, True])
    def test_one_whose_answer_is_lost_is_saved_once(
        self, preferences: Preferences, place: Place, guarded: bool
    ) -> None:
        cluster = a_cluster()
        version = preferences.save(cluster, PreferenceChange(("a",))).version
        with place.table.breaking(Rule("PATCH", CLUSTERS, status=500, forward=True)):
            saved = preferences.save(cluster, PreferenceChange(add=("b",)), [version] if guarded else None)
        assert saved.preference.databases == ("a", "b")
        assert preferences.read(cluster) == saved

    @pytest.mark.parametrize("name", ["../x", "a b", "", "a/b"])
    def test_what_cannot_be_a_name_is_refused(self, preferences: Preferences, name: str) -> None:
        cluster = a_cluster()
        for change in (PreferenceChange((name,)), PreferenceChange(add=(name,))):
            with pytest.raises(InvalidInputError, match="unknown_database"):
                preferences.save(cluster, change)
        assert not preferences.read(cluster).is_saved


class TestCorrupted:
    @pytest.mark.proves("W7")
    @pytest.mark.parametrize("text", ["{", "", '{"databases": ["../x"], "enabled": true}', 7, None])
    def test_it_is_an_error_and_stays_until_the_whole_list_is_saved(
        self, preferences: Preferences, clients: AzureClients, text: object
    ) -> None:
        cluster = a_cluster()
        damage(clients, cluster, text)
        before = stored_row(clients, cluster)
        with pytest.raises(StoredValueError, match="preference_corrupted"):
            preferences.read(cluster)
        for change in (PreferenceChange(add=("a",)), PreferenceChange(enabled=False)):
            with pytest.raises(StoredValueError, match="preference_corrupted"):
                preferences.save(cluster, change)
        assert stored_row(clients, cluster) == before
        preferences.save(cluster, PreferenceChange(("a",)))
        assert preferences.read(cluster).preference.databases == ("a",)


class TestAttempts:
    ATTEMPT = Attempt("db", 3, 2, "warmup-auto-1", settled=False, began_at=T0, source_version="v", preference="p")

    def test_what_is_written_is_read(self, preferences: Preferences) -> None:
        cluster = a_cluster()
        whole = replace(self.ATTEMPT, next_at=T0 + timedelta(seconds=1), ready_since=T0)
        assert preferences.write_attempt(cluster, whole)
        assert preferences.write_attempt(cluster, Attempt("other.db-1_x"))
        preferences.save(cluster, PreferenceChange(("db",)))
        found = preferences.attempts(cluster)
        assert sorted(found) == ["db", "other.db-1_x"]
        assert replace(found["db"], etag="") == whole
        assert preferences.attempts(a_cluster()) == {}

    @pytest.mark.proves("W8")
    @pytest.mark.parametrize("known", [False, True], ids=["no row yet", "a row"])
    def test_one_of_many_takes_it(self, preferences: Preferences, known: bool) -> None:
        cluster = a_cluster()
        if known:
            preferences.write_attempt(cluster, self.ATTEMPT)
        before = preferences.attempts(cluster).get("db", Attempt("db"))
        taken = at_once(10, lambda n: preferences.write_attempt(cluster, replace(before, number=10 + n)))
        assert taken.count(True) == 1
        assert preferences.attempts(cluster)["db"].number == 10 + taken.index(True)

    def test_a_row_without_some_of_its_columns_is_read(self, preferences: Preferences, clients: AzureClients) -> None:
        cluster = a_cluster()
        clients.tables.client(CLUSTERS).create_entity(
            {"PartitionKey": key_part(cluster.key), "RowKey": "auto_warm:db", "number": 3}
        )
        found = preferences.attempts(cluster)["db"]
        assert replace(found, etag="") == Attempt("db", number=3)
        assert preferences.write_attempt(cluster, replace(found, tries=1))

    @pytest.mark.parametrize("column", ["number", "tries"])
    def test_a_row_that_cannot_be_read_is_named(
        self, preferences: Preferences, clients: AzureClients, column: str
    ) -> None:
        cluster = a_cluster()
        keys = {"PartitionKey": key_part(cluster.key), "RowKey": "auto_warm:db"}
        clients.tables.client(CLUSTERS).create_entity({**keys, column: "many"})
        with pytest.raises(StoredValueError, match=r"row_corrupted: .*auto_warm:db"):
            preferences.attempts(cluster)

    def test_a_row_that_was_removed_meanwhile_is_too_late(self, preferences: Preferences) -> None:
        cluster = a_cluster()
        assert not preferences.write_attempt(cluster, replace(self.ATTEMPT, etag="W/\"datetime'2020'\""))
        assert preferences.attempts(cluster) == {}

    def test_without_the_store_nothing_is_taken(self, preferences: Preferences, place: Place) -> None:
        with place.table.breaking(Rule(path=CLUSTERS, status=503, times=10)), pytest.raises(TransientError):
            preferences.write_attempt(a_cluster(), self.ATTEMPT)


@pytest.fixture
def world(clients: AzureClients) -> World:
    """A cold database on a cluster in memory, with the preferences in the table."""
    made = new_world()
    put_node(made, "node-a")
    put_node(made, "node-b")
    put_database(made)
    made.preferences = TablePreferences(clients.tables)  # type: ignore[assignment]  # the real ones
    return made


class TestTurns:
    @pytest.mark.proves("W8")
    def test_ten_at_once_begin_one_warmup(self, world: World) -> None:
        cluster, counted, lock = replace(a_cluster(), storage_account="store"), Counter[str](), Lock()
        world.preferences.save(cluster, PreferenceChange(("db",)))

        def turn(_: int) -> None:
            done = reconcile_cluster(cluster, DurableOrchestrations(world.durable))
            with lock:
                counted.update(done)

        with use(world):
            at_once(10, turn)
            assert counted["started"] == 1
            assert len(world.durable.started) == 1
            turn(0)
        assert len(world.durable.started) == 1
