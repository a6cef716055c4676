"""Searches begun outside: which Jobs make one, what they say of it, and which never do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.external import CLOCKS, ExternalSearch, find_external, held_back_since, new_search
from shared.domain.manifests import MANAGED_BY
from shared.domain.search import Search, complete
from shared.domain.states import Phase, Status, StepName
from tests.unit.domain.objects import (
    CLUSTER,
    COMPLETE,
    JOB_ID,
    NOW,
    OTHER_ID,
    Json,
    ago,
    job,
    pod,
    search,
    snapshot,
)

MANAGED = {"app.kubernetes.io/managed-by": MANAGED_BY}


def env_pod(owner: str, *pairs: tuple[str, str], **fields: Any) -> Json:
    """A pod whose second container has these variables."""
    made = pod(owner, **fields)
    made["spec"]["containers"].append({"name": "export", "env": [{"name": n, "value": v} for n, v in pairs]})
    return made


def found(jobs: list[Json], pods: list[Json] | None = None) -> list[ExternalSearch]:
    return list(find_external(snapshot(jobs, pods)).searches)


def ids(jobs: list[Json], pods: list[Json] | None = None) -> list[str]:
    return [one.job_id for one in found(jobs, pods)]


class TestWhichJobs:
    def test_jobs_that_carry_one_id_are_one_search(self) -> None:
        jobs = [job("a"), job("b", COMPLETE), job("c", job_id=OTHER_ID)]
        first, second = sorted(found(jobs), key=lambda one: one.job_id)
        assert (first.job_id, [j.name for j in first.jobs]) == (JOB_ID, ["a", "b"])
        assert (second.job_id, [j.name for j in second.jobs]) == (OTHER_ID, ["c"])

    @pytest.mark.parametrize("kind", ["setup", "submit", "finalizer", "elb-submit", "elb-db-warmup", "other"])
    def test_only_blast_jobs_begin_one(self, kind: str) -> None:
        assert ids([job("a", app=kind)]) == []

    def test_one_that_is_being_deleted_does_not(self) -> None:
        assert ids([job("a", deleting=True)]) == []
        assert ids([job("a", deleting=True), job("b")]) == [JOB_ID]

    @pytest.mark.parametrize(
        ("labels", "is_external"),
        [(MANAGED, False), ({"app.kubernetes.io/managed-by": "Helm"}, True), ({}, True)],
    )
    def test_the_product_s_own_do_not_whoever_made_them(self, labels: Json, is_external: bool) -> None:
        assert ids([job("a", labels=labels)]) == ([JOB_ID] if is_external else [])

    def test_the_id_may_be_in_the_pods_environment_alone(self) -> None:
        assert ids([job("a", job_id=None)], [pod("a", env_id=OTHER_ID)]) == [OTHER_ID]
        assert ids([job("a", job_id=None)], [pod("a", env_id=OTHER_ID, deleting=True)]) == [OTHER_ID]
        assert ids([job("a", job_id=None)], [pod("other", env_id=OTHER_ID)]) == []

    def test_without_any_id_there_is_nothing(self) -> None:
        seen = find_external(snapshot([job("a", job_id=None)], [pod("a")]))
        assert (seen.searches, seen.refused) == ((), ())


@pytest.mark.proves("T7")
class TestWhichId:
    def test_the_pods_id_and_the_label_s_as_its_alias(self) -> None:
        [one] = found([job("a", job_id="label-1")], [pod("a", env_id="env-1")])
        assert (one.job_id, one.aliases) == ("env-1", ("label-1",))
        assert one.ids == {"env-1", "label-1"}

    def test_one_id_in_both_has_no_alias(self) -> None:
        [one] = found([job("a")], [pod("a", env_id=JOB_ID)])
        assert (one.job_id, one.aliases) == (JOB_ID, ())


class TestSafeIds:
    @pytest.mark.parametrize("good", ["a", "A.b_c-9", "0", "x" * 63, JOB_ID, "blast-2024"])
    def test_a_label_s_value_is_one(self, good: str) -> None:
        assert ids([job("a", job_id=None)], [pod("a", env_id=good)]) == [good]

    @pytest.mark.parametrize(
        "bad", ["x" * 64, ".", "..", "a/b", "../a", "-a", "a-", "a b", "a\n", "é", "a'b", "a,b", "a)", "$(X)", "a%2fb"]
    )
    def test_anything_else_is_refused(self, bad: str) -> None:
        seen = find_external(snapshot([job("a", job_id=None)], [pod("a", env_id=bad)]))
        assert seen.searches == ()
        assert [j.name for j in seen.refused] == ["a"]

    def test_a_safe_one_beside_it_is_enough(self) -> None:
        seen = find_external(snapshot([job("a", job_id="good")], [pod("a", env_id="../bad")]))
        assert [(one.job_id, one.aliases) for one in seen.searches] == [("good", ())]
        assert seen.refused == ()


class TestWhatTheySay:
    @pytest.mark.parametrize(
        ("name", "env", "program"),
        [
            ("x", "tblastn", "tblastn"),
            ("blastn-batch-db-job-000-1234", "", "blastn"),
            ("blastn-batch-db-job-000-1234", "blastp", "blastp"),
            ("rpsblast-batch-db", "", "rpsblast"),
            ("blastn-batch-db", "rm -rf", "blastn"),
            ("blast-1", "", "unknown"),
            ("x", "megablast", "unknown"),
        ],
    )
    def test_program(self, name: str, env: str, program: str) -> None:
        pods = [env_pod(name, ("ELB_BLAST_PROGRAM", env))] if env else [pod(name)]
        assert [one.program for one in found([job(name)], pods)] == [program]

    @pytest.mark.parametrize(
        ("label", "env", "database"),
        [
            ("core_nt", "", "core_nt"),
            ("core_nt", "other", "core_nt"),
            ("", "16S_ribosomal_RNA", "16S_ribosomal_RNA"),
            ("", "blastdb/nt", "nt"),
            ("", "a b", "unknown"),
            ("", "x" * 101, "unknown"),
            ("", "", "unknown"),
        ],
    )
    def test_database(self, label: str, env: str, database: str) -> None:
        jobs = [job("a", labels={"db": label} if label else {})]
        assert [one.database for one in found(jobs, [env_pod("a", ("ELB_DB", env))])] == [database]

    def test_any_of_the_jobs_may_say_it(self) -> None:
        [one] = found([job("a"), job("b")], [env_pod("b", ("ELB_DB", "nt"), ("ELB_BLAST_PROGRAM", "blastx"))])
        assert (one.program, one.database) == ("blastx", "nt")

    def test_it_began_with_the_first_of_its_jobs(self) -> None:
        jobs = [job("a", created=ago(minutes=3)), job("b", created=ago(minutes=9)), job("c", created=ago(minutes=6))]
        [one] = found(jobs)
        assert one.created_at == NOW - timedelta(minutes=9)
        assert [j.name for j in one.jobs] == ["b", "c", "a"]

    def test_an_unreadable_time_is_now(self) -> None:
        assert [one.created_at for one in found([job("a", created="yesterday")])] == [NOW]


class TestHeldBack:
    """A search by the command line may turn out to go by an id that nobody knows yet."""

    BEGAN = NOW - timedelta(minutes=10)

    def submitting(self, **fields: Any) -> Search:
        given = {"engine": "cli", "phase": Phase.SUBMITTING, "jobs_created_at": None, "expected_jobs": None}
        return search(**given | {"created_at": self.BEGAN} | fields)

    def test_from_a_minute_before_it_began(self) -> None:
        assert held_back_since(snapshot([]), [self.submitting()]) == self.BEGAN - CLOCKS
        retried = self.submitting(attempt_started_at=NOW)
        assert held_back_since(snapshot([]), [retried]) == NOW - CLOCKS
        assert held_back_since(snapshot([]), [retried, self.submitting()]) == self.BEGAN - CLOCKS

    @pytest.mark.parametrize(
        "fields",
        [
            {"engine": "native"},
            {"engine": "external"},
            {"phase": Phase.PREPARING},
            {"phase": Phase.WAITING_FOR_CAPACITY},
            {"jobs_created_at": NOW},
            {"phase": Phase.CANCELLING, "jobs_created_at": NOW},
        ],
    )
    def test_by_no_other_search(self, fields: Json) -> None:
        assert held_back_since(snapshot([]), [self.submitting(**fields)]) is None

    def test_also_while_it_is_cancelled_before_its_id_is_known(self) -> None:
        assert held_back_since(snapshot([]), [self.submitting(phase=Phase.CANCELLING)]) is not None

    @pytest.mark.parametrize("app", ["blast", "setup", "submit", "finalizer"])
    def test_not_once_jobs_by_a_known_id_are_there(self, app: str) -> None:
        row = self.submitting(aliases=("alias",))
        assert held_back_since(snapshot([job("a", app=app, job_id="alias")]), [row]) is None
        assert held_back_since(snapshot([job("a", app=app)]), [row]) is None
        by_env = snapshot([job("a", app=app, job_id=None)], [pod("a", env_id="alias", app=app)])
        assert held_back_since(by_env, [row]) is None

    def test_jobs_of_an_earlier_attempt_do_not_count(self) -> None:
        row = self.submitting(aliases=("alias",), attempt_started_at=NOW - timedelta(minutes=2))
        assert held_back_since(snapshot([job("a", job_id="alias", created=ago(minutes=4))]), [row]) is not None


class TestRow:
    def row(self) -> Search:
        jobs = [job("a", created=ago(hours=2), labels={"db": "nt"})]
        [one] = found(jobs, [env_pod("a", ("ELB_BLAST_PROGRAM", "blastp"))])
        return new_search(one, snapshot(jobs), CLUSTER, "ops")

    def test_it_is_on_the_cluster_already(self) -> None:
        row = self.row()
        assert (row.job_id, row.owner, row.program, row.database) == (JOB_ID, "ops", "blastp", "nt")
        assert (row.source, row.engine, row.status) == ("external", "external", Status.RUNNING)
        assert (row.created_at, row.jobs_created_at, row.expected_jobs) == (NOW - timedelta(hours=2),) * 2 + (None,)

    def test_its_deadline_does_not_count_the_time_before_it_was_found(self) -> None:
        assert self.row().attempt_started_at == NOW

    def test_the_steps_before_the_jobs_were_done_by_others(self) -> None:
        steps = {step.name: (step.status.value, step.detail) for step in self.row().steps}
        before = list(StepName)[: list(StepName).index(StepName.RUNNING)]
        assert {steps[name] for name in before} == {("skipped", "begun outside")}
        assert (steps[StepName.RUNNING][0], steps[StepName.EXPORTING][0]) == ("running", "pending")

    def test_its_results_are_not_ours_to_remove(self) -> None:
        row = replace(self.row(), phase=Phase.EXPORTING)
        assert complete(row, NOW, NOW).results_expire_at is None
        assert complete(replace(row, engine="cli"), NOW, NOW).results_expire_at == NOW
