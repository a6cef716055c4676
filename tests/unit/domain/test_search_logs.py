"""Logs: which Jobs are read, what of their text is shown, and that no secret is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.domain.masking import mask_secrets
from shared.domain.search import ClusterRef, Search
from shared.domain.search_logs import JobLog, jobs_of, shown_tail, stored_log

SEARCH = Search("job", "anna", "blastn", "db", ClusterRef("s", "g", "c", "a"), datetime(2026, 3, 1, tzinfo=UTC))
TOKEN = "0123456789abcdef"


def job(name: str, state: str, **fields: Any) -> dict[str, Any]:
    """A Job as a search's row has it."""
    return {"name": name, "shard": 0, "batch": 0, "state": state, "reason": None, "exit_code": None, **fields}


class TestWhichJobs:
    def test_those_first_whose_logs_tell_most(self) -> None:
        states = ("succeeded", "pending", "running", "failed", "new")
        search = replace(SEARCH, jobs=tuple(job(state, state) for state in states))
        assert [each.job for each in jobs_of(search)] == ["failed", "running", "pending", "succeeded", "new"]

    def test_in_the_order_of_batches_and_shards(self) -> None:
        jobs = [job(f"b{batch}s{shard}", "running", shard=shard, batch=batch) for shard in (1, 0) for batch in (1, 0)]
        found = [each.job for each in jobs_of(replace(SEARCH, jobs=tuple(jobs)))]
        assert found == ["b0s0", "b0s1", "b1s0", "b1s1"]

    def test_a_failed_helper_is_one_too(self) -> None:
        search = replace(SEARCH, jobs=(job("a", "failed"),), error={"job": "helper", "log_tail": "x"})
        assert [each.job for each in jobs_of(search)] == ["helper", "a"]

    @pytest.mark.parametrize("known", [(), ({},), ({"name": ""},)])
    def test_a_row_without_jobs_has_none(self, known: tuple[dict[str, Any], ...]) -> None:
        assert jobs_of(replace(SEARCH, jobs=known)) == []


class TestStored:
    def test_only_of_the_job_that_the_search_failed_of(self) -> None:
        search = replace(SEARCH, error={"job": "a", "log_tail": f"{TOKEN}\n"})
        kept = stored_log(search, JobLog("a"), "gone", [TOKEN])
        assert (kept.source, kept.text, kept.reason, kept.truncated) == ("stored", "***\n", "gone", True)
        other = stored_log(search, JobLog("b"), "gone", [TOKEN])
        assert (other.source, other.text, other.reason, other.truncated) == ("none", "", "gone", False)


@pytest.mark.proves("Q4")
class TestTail:
    @pytest.mark.parametrize(("lines", "shown", "truncated"), [(2, "b\nc\n", True), (3, "a\nb\nc\n", False)])
    def test_so_many_lines(self, lines: int, shown: str, truncated: bool) -> None:
        assert shown_tail("a\nb\nc\n", lines, 1000, []) == (shown, truncated)

    @pytest.mark.parametrize(("most", "shown"), [(8, "abc\ndef\n"), (7, "def\n"), (4, "def\n"), (3, ""), (5, "def\n")])
    def test_so_many_bytes_and_no_line_that_was_cut(self, most: int, shown: str) -> None:
        assert shown_tail("abc\ndef\n", 10, most, []) == (shown, most < 8)

    def test_one_line_that_is_too_long_begins_at_a_word(self) -> None:
        assert shown_tail("https://x/?sig=abc and more", 10, 12, []) == ("and more", True)

    def test_bytes_are_counted_not_letters(self) -> None:
        text, truncated = shown_tail("é é é", 10, 5, [])
        assert (text, truncated) == ("é", True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://a.net/c/b?sv=1&sig=abc%3D HTTP/1.1", "GET https://a.net/c/b?*** HTTP/1.1"),
        ('"http://127.0.0.1:1/x?a=1"', '"http://127.0.0.1:1/x?***"'),
        ("half of it&se=2026&sig=abc%2B/=", "half of it&se=2026&sig=***"),
        ("AccountName=a;AccountKey=abc==;EndpointSuffix=x", "AccountName=a;AccountKey=***;EndpointSuffix=x"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("bearer abc.def", "bearer ***"),
        ("X-Elb-Token: abc", "X-Elb-Token: ***"),
        ('{"access_token": "abc", "x": 1}', '{"access_token": "***", "x": 1}'),
        ("ELB_CALLBACK_TOKEN=abc", "ELB_CALLBACK_TOKEN=***"),
        ("AZURE_CLIENT_SECRET=abc AZURE_STORAGE_KEY=abc==", "AZURE_CLIENT_SECRET=*** AZURE_STORAGE_KEY=***"),
        ("x-functions-key: abc, AWS_SECRET_ACCESS_KEY = abc", "x-functions-key: ***, AWS_SECRET_ACCESS_KEY = ***"),
        ("u=https%3A%2F%2Fa.net%2Fc%3Fsv%3D1%26sig%3Dabc%252F&x=1", "u=https%3A%2F%2Fa.net%2Fc%3F***&x=1"),
        ("sv=1%26sig%3Dabc%3D", "sv=1%26sig%3D***"),
        (r"sv=1\u0026sig=abc%3D", r"sv=1\u0026sig=***"),
        ("{'sig': 'abc', \"sig\":\"abc\", sig = abc}", "{'sig': '***', \"sig\":\"***\", sig = ***"),
        ("{'Authorization': 'SharedKey a:abc='}", "{'Authorization': 'SharedKey ***'}"),
        ("https://anna:abc@a.net/x and a@b.c", "https://anna:***@a.net/x and a@b.c"),
        ("azcopy --account-key abc --sas-token abc", "azcopy --account-key *** --sas-token ***"),
        ("ELB_TOKEN=abc 'token': 'abc'", "ELB_TOKEN=*** 'token': '***'"),
        ("unexpected token: x; design=3 key=5", "unexpected token: x; design=3 key=5"),
        ("got eyJhbGciOiJub25lIn0.eyJhIjoxfQ.abc", "got ***"),
        (f"curl -H {TOKEN}", "curl -H ***"),
        ("BLAST engine error: sigma=1 significant", "BLAST engine error: sigma=1 significant"),
        ("https://ncbi.nlm.nih.gov/x", "https://ncbi.nlm.nih.gov/x"),
        ("", ""),
    ],
)  # fmt: skip
def test_secrets_are_masked_and_nothing_else(text: str, shown: str) -> None:
    assert mask_secrets(text, [TOKEN, ""]) == shown


def test_a_known_secret_that_is_too_short_takes_nothing_out() -> None:
    assert mask_secrets("secret ends", ["secret"]) == "secret ends"
