"""The edge: what a body may hold, which cluster it means, pages and cursors, and how searches are shown."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import azure.functions as func
import pytest
from pydantic import BaseModel

from shared.config import read_settings
from shared.domain.errors import InvalidInputError, MalformedError, PermanentError, TooLargeError
from shared.domain.ids import newest_first_key
from shared.domain.progress import Progress
from shared.domain.search import ClusterRef
from shared.domain.states import Phase
from tests.unit.domain.objects import JOB_ID, NOW, search
from triggers.paging import MAX_FILTER, read_cursor, read_filter, read_limit, write_cursor
from triggers.requests import MAX_BODY_BYTES, ClusterFields, ShardsRequest, SubmitRequest, WarmupRequest, read_body
from triggers.views import detail, list_item

MINIMAL = {"program": "blastn", "database": "resfinder", "query_fasta": ">q\nACGT\n"}
DEFAULT = read_settings({"ELB_DEFAULT_CLUSTER": "sub/group/aks", "ELB_DEFAULT_STORAGE_ACCOUNT": "account"})
NO_DEFAULT = read_settings({"ELB_DEFAULT_STORAGE_ACCOUNT": "account"})


def request(body: Any = None, **params: str) -> func.HttpRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return func.HttpRequest("POST", "/api/x", params=params, body=raw)


def refusal(body: Any, model: type[BaseModel] = SubmitRequest) -> PermanentError:
    with pytest.raises(PermanentError) as refused:
        read_body(request(body), model)
    return refused.value


class TestBody:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"{", "not_json"),
            (b"program=blastn", "not_json"),
            (b"\xff\xfe{}", "not_json"),
            (b'{"a": ' * 200_000, "not_json"),
            (b"[" * 200_000, "not_json"),
            (b'{"batch_len": ' + b"9" * 5000 + b"}", "not_json"),
            (b"[]", "not_an_object"),
            (b'"text"', "not_an_object"),
            (b"null", "not_an_object"),
            (b"1", "not_an_object"),
        ],
    )
    def test_malformed(self, body: bytes, code: str) -> None:
        with pytest.raises(MalformedError) as refused:
            read_body(request(body), SubmitRequest)
        assert (refused.value.code, refused.value.status) == (code, 400)
        assert len(refused.value.message) < 300

    def test_at_the_limit_and_just_beyond_it(self) -> None:
        empty = json.dumps({**MINIMAL, "query_fasta": ""}).encode()
        fits = json.dumps({**MINIMAL, "query_fasta": "A" * (MAX_BODY_BYTES - len(empty))}).encode()
        assert len(fits) == MAX_BODY_BYTES
        read_body(request(fits), SubmitRequest)
        with pytest.raises(TooLargeError) as refused:
            read_body(request(fits + b" "), SubmitRequest)
        assert (refused.value.code, refused.value.status) == ("body_too_large", 413)

    def test_an_empty_body_is_an_empty_object(self) -> None:
        assert refusal(b"").details[0]["field"] == "program"


class TestSubmit:
    def test_the_least(self) -> None:
        found = read_body(request(MINIMAL), SubmitRequest)
        assert (found.program, found.database, found.query_blob, found.title) == ("blastn", "resfinder", None, "")
        assert (found.engine, found.priority, found.batch_len, found.labels) == ("native", "normal", None, {})

    def test_the_document_s_example(self) -> None:
        example = {
            **MINIMAL,
            "title": "run 7",
            "labels": {"project": "x"},
            "options": {
                "task": "megablast",
                "evalue": 0.01,
                "max_target_seqs": 50,
                "outfmt": "6 std staxids",
                "word_size": 28,
                "extra": "-dust no",
            },
            "engine": "native",
            "batch_len": 5_000_000,
            "priority": "normal",
            "cluster": {"subscription_id": "s", "resource_group": "g", "cluster_name": "c", "storage_account": "abc"},
        }
        found = read_body(request(example), SubmitRequest)
        assert found.options.evalue == 0.01
        assert found.cluster.cluster_name == "c"

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"programm": "blastn"}, "programm"),
            ({"options": {"e_value": 1}}, "options.e_value"),
            ({"cluster": {"name": "x"}}, "cluster.name"),
            ({"program": 5}, "program"),
            ({"program": None}, "program"),
            ({"program": "x" * 21}, "program"),
            ({"database": ["nt"]}, "database"),
            ({"database": "x" * 201}, "database"),
            ({"query_fasta": 7}, "query_fasta"),
            ({"query_blob": "x" * 1025}, "query_blob"),
            ({"title": "x" * 201}, "title"),
            ({"labels": ["a"]}, "labels"),
            ({"labels": {"a": 1}}, "labels.a"),
            ({"labels": {str(i): "" for i in range(21)}}, "labels"),
            ({"batch_len": 0}, "batch_len"),
            ({"batch_len": "100"}, "batch_len"),
            ({"batch_len": 1.5}, "batch_len"),
            ({"batch_len": True}, "batch_len"),
            ({"batch_len": 1_000_000_001}, "batch_len"),
            ({"engine": "other"}, "engine"),
            ({"priority": "high"}, "priority"),
            ({"options": []}, "options"),
            ({"options": {"evalue": "0.01"}}, "options.evalue"),
            ({"options": {"evalue": 0}}, "options.evalue"),
            ({"options": {"evalue": -1}}, "options.evalue"),
            ({"options": {"evalue": float("nan")}}, "options.evalue"),
            ({"options": {"evalue": float("inf")}}, "options.evalue"),
            ({"options": {"evalue": True}}, "options.evalue"),
            ({"options": {"max_target_seqs": 0}}, "options.max_target_seqs"),
            ({"options": {"max_target_seqs": 100_001}}, "options.max_target_seqs"),
            ({"options": {"word_size": 1}}, "options.word_size"),
            ({"options": {"outfmt": ["6"]}}, "options.outfmt"),
            ({"options": {"outfmt": True}}, "options.outfmt"),
            ({"options": {"extra": "x" * 1001}}, "options.extra"),
            ({"options": {"extra": ["-dust", "no"]}}, "options.extra"),
            ({"cluster": {"storage_account": "UPPER"}}, "cluster.storage_account"),
            ({"cluster": {"storage_account": "ab"}}, "cluster.storage_account"),
            ({"cluster": {"storage_account": "abc/../x"}}, "cluster.storage_account"),
            ({"cluster": {"cluster_name": "a/b"}}, "cluster.cluster_name"),
            ({"cluster": {"cluster_name": "a|b"}}, "cluster.cluster_name"),
            ({"cluster": {"resource_group": "a' or '1"}}, "cluster.resource_group"),
            ({"cluster": {"resource_group": "."}}, "cluster.resource_group"),
            ({"cluster": {"subscription_id": ".."}}, "cluster.subscription_id"),
            ({"cluster": {"cluster_name": "c."}}, "cluster.cluster_name"),
            ({"cluster": {"subscription_id": "a\n"}}, "cluster.subscription_id"),
            ({"cluster": {"cluster_name": "a" * 64}}, "cluster.cluster_name"),
        ],
    )
    def test_wrong_fields_are_named(self, change: dict[str, Any], field: str) -> None:
        error = refusal({**MINIMAL, **change})
        assert (error.code, error.status) == ("invalid_request", 422)
        fields = [str(item["field"]) for item in error.details]
        assert any(found == field or found.startswith(f"{field}.") for found in fields), fields
        assert fields[0] in error.message

    def test_what_was_sent_does_not_come_back(self) -> None:
        error = refusal({**MINIMAL, "query_fasta": 5, "title": {"secret": "hush"}, "x" * 100_000: 1})
        shown = json.dumps(error.to_dict())
        assert "hush" not in shown
        assert len(shown) < 2000

    def test_a_thousand_wrong_fields_do_not_make_a_thousand_lines(self) -> None:
        assert len(refusal({f"f{i}": i for i in range(1000)}).details) == 20


class TestOtherBodies:
    def test_warmup(self) -> None:
        found = read_body(request({"database": "nt", "force": True, "cluster_name": "c"}), WarmupRequest)
        assert (found.database, found.force, found.cluster_name) == ("nt", True, "c")
        assert refusal({}, WarmupRequest).details[0]["field"] == "database"
        assert refusal({"database": "nt", "force": "yes"}, WarmupRequest).details[0]["field"] == "force"

    @pytest.mark.parametrize("shards", [0, 1001, -1, "4", 4.0, None, True])
    def test_shards(self, shards: object) -> None:
        assert refusal({"shards": shards}, ShardsRequest).details[0]["field"] == "shards"

    @pytest.mark.parametrize("shards", [1, 1000])
    def test_shards_at_the_limits(self, shards: int) -> None:
        assert read_body(request({"shards": shards}), ShardsRequest).shards == shards


class TestCluster:
    GIVEN = {"subscription_id": "s2", "resource_group": "g2", "cluster_name": "c2"}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("fields", "cluster"),
        [
            ({}, ClusterRef("sub", "group", "aks", "account")),
            ({"storage_account": "other"}, ClusterRef("sub", "group", "aks", "other")),
            (GIVEN, ClusterRef("s2", "g2", "c2", "account")),
            ({**GIVEN, "storage_account": "other"}, ClusterRef("s2", "g2", "c2", "other")),
            ({"cluster_name": "c2"}, ClusterRef("sub", "group", "c2", "account")),
            ({"resource_group": "g2", "cluster_name": "c2"}, ClusterRef("sub", "g2", "c2", "account")),
        ],
    )
    def test_what_is_not_given_is_the_default_s(self, fields: dict[str, str], cluster: ClusterRef) -> None:
        assert ClusterFields(**fields).resolve(DEFAULT) == cluster

    def test_without_a_default_it_must_be_whole(self) -> None:
        found = ClusterFields(**self.GIVEN).resolve(NO_DEFAULT)
        assert found == ClusterRef("s2", "g2", "c2", "account")
        for missing in self.GIVEN:
            fields = {name: value for name, value in self.GIVEN.items() if name != missing}
            with pytest.raises(InvalidInputError) as refused:
                ClusterFields(**fields).resolve(NO_DEFAULT)
            assert (refused.value.code, refused.value.field) == ("cluster_required", "cluster")
        with pytest.raises(InvalidInputError):
            ClusterFields().resolve(NO_DEFAULT)  # type: ignore[call-arg]


class TestPaging:
    @pytest.mark.parametrize(("text", "limit"), [("1", 1), ("50", 50), ("499", 499), ("500", 500), ("0500", 500)])
    def test_limit(self, text: str, limit: int) -> None:
        assert read_limit(request(limit=text)) == limit

    def test_fifty_without_one(self) -> None:
        assert read_limit(request()) == 50

    @pytest.mark.parametrize(
        "text", ["0", "501", "-1", "", "ten", "1.5", "1e2", " 5", "5\n", "\u0665", "9" * 5000, "+5"]
    )
    def test_a_wrong_limit_is_malformed(self, text: str) -> None:
        with pytest.raises(MalformedError) as refused:
            read_limit(request(limit=text))
        assert (refused.value.code, refused.value.status) == ("invalid_limit", 400)

    @pytest.mark.parametrize("name", ["program", "db", "q"])
    def test_filters_at_the_limit_and_just_beyond_it(self, name: str) -> None:
        assert read_filter(request(**{name: "x" * MAX_FILTER}))
        with pytest.raises(InvalidInputError) as refused:
            read_filter(request(**{name: "x" * (MAX_FILTER + 1)}))
        assert (refused.value.code, refused.value.field) == ("filter_too_long", name)

    @pytest.mark.parametrize("key", [newest_first_key(JOB_ID), "s:" + "0" * 32])
    def test_a_cursor_comes_back(self, key: str) -> None:
        cursor = write_cursor(key)
        assert cursor is not None
        assert read_cursor(request(cursor=cursor)) == key

    def test_the_end_has_none(self) -> None:
        assert write_cursor(None) is None
        assert read_cursor(request()) is None
        assert read_cursor(request(cursor="")) is None

    @pytest.mark.parametrize(
        "cursor",
        [
            "x",
            "!!!!",
            "é",
            "\ud800",
            "A" * 10_000,
            JOB_ID,
            newest_first_key(JOB_ID),
            *(base64.urlsafe_b64encode(key).decode() for key in (b"\xff" * 32, b"0" * 31, b"0" * 33)),
            *(base64.urlsafe_b64encode(key).decode() for key in (b"' or '1' eq '1", b"0" * 32 + b"\n", b"G" * 32)),
            base64.urlsafe_b64encode(b"0" * 32).decode() + "!",
            base64.urlsafe_b64encode(b"0" * 32).decode().rstrip("="),
            " " + base64.urlsafe_b64encode(b"0" * 32).decode(),
        ],
    )
    def test_a_broken_cursor_is_malformed(self, cursor: str) -> None:
        with pytest.raises(MalformedError) as refused:
            read_cursor(request(cursor=cursor))
        assert (refused.value.code, refused.value.status) == ("invalid_cursor", 400)


class TestViews:
    SEARCH = search(
        phase=Phase.RUNNING,
        progress=Progress(40, 3, 10, 27, 0),
        observed_at=NOW,
        stale_reason="the cluster does not answer",
        options={"task": "megablast"},
        query={"blob": "x/query.fa", "sequences": 2},
        jobs=({"name": "a", "state": "running"},),
    )

    def test_a_list_item_is_the_detail_without_its_long_parts(self) -> None:
        item, whole = list_item(self.SEARCH), detail(self.SEARCH)
        assert not {"steps", "kubernetes", "options"} & item.keys()
        assert {key: whole[key] for key in item} == item
        assert {"steps", "kubernetes", "options"} <= whole.keys()

    def test_the_fields_of_the_document(self) -> None:
        promised = {
            "job_id", "short_id", "aliases", "source", "status", "phase", "waiting_reason", "title", "program",
            "database", "owner", "created_at", "started_at", "completed_at", "observed_at", "stale", "progress",
            "steps", "kubernetes", "options", "results_expire_at", "error", "attempt", "cloned_from", "cost",
        }  # fmt: skip
        assert promised <= detail(self.SEARCH).keys()

    def test_values(self) -> None:
        shown = detail(self.SEARCH)
        assert (shown["job_id"], shown["short_id"]) == (JOB_ID, JOB_ID[-12:])
        assert (shown["status"], shown["phase"]) == ("running", "running")
        assert (shown["stale"], shown["stale_reason"]) == (True, "the cluster does not answer")
        assert shown["observed_at"] == "2026-03-04T12:00:00.000Z"
        assert shown["progress"]["pct"] == 67.5
        assert [step["name"] for step in shown["steps"]][:2] == ["preparing", "warming_up"]
        assert shown["kubernetes"] == {"jobs": [{"name": "a", "state": "running"}]}

    def test_where_the_query_lies_is_nobody_s_business(self) -> None:
        assert "query.fa" not in json.dumps(detail(self.SEARCH))

    def test_fresh(self) -> None:
        shown = list_item(search(observed_at=NOW - timedelta(seconds=1)))
        assert (shown["stale"], shown["stale_reason"]) == (False, None)
