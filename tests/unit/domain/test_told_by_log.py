"""BLAST ends with exit code 1 for a bad query and for bad options; its log says which it was."""

from __future__ import annotations

import pytest

from shared.domain.failures import Failure, storage_refusal, told_by_log

MESSAGE = "BLAST refused the query or the options in Job j (exit code 1)"


def failure(code: str = "bad_query_or_options") -> Failure:
    return Failure(code, MESSAGE, "hint", "j", "p", 1)


@pytest.mark.parametrize(
    ("log", "code"),
    [
        ("Command line argument error: Query is Empty!", "bad_query"),
        ('Error: Unknown argument: "gapopn"', "bad_options"),
        ("BLAST query/options error: Gap existence and extension values 1 and 1 not supported", "bad_options"),
        ("something else", "bad_query_or_options"),
        ("", "bad_query_or_options"),
    ],
)
def test_the_log_tells(log: str, code: str) -> None:
    told = told_by_log(failure(), log)
    assert (told.code, told.job, told.exit_code) == (code, "j", 1)
    assert ("query or the options" in told.message) == (code == "bad_query_or_options")


@pytest.mark.parametrize(
    ("log", "code"),
    [
        ("Error: Substitution scores 7 and -3 are not supported", "bad_options"),
        ("values 0 and 5 are not supported for substitution scores 1 and -2", "bad_options"),
        ("BLAST engine error: something broke", "blast_engine_error"),
        ("", "blast_engine_error"),
    ],
)
def test_an_engine_without_statistics_for_the_scores_is_told_from_one_that_broke(log: str, code: str) -> None:
    told = told_by_log(Failure("blast_engine_error", "BLAST's engine failed in Job j", "hint", "j", "p", 3), log)
    assert (told.code, told.exit_code) == (code, 3)
    assert ("engine failed" in told.message) == (told.hint == "hint") == (code == "blast_engine_error")


def test_other_failures_stay_as_they_are() -> None:
    other = failure("out_of_memory")
    assert told_by_log(other, "argument") == other


@pytest.mark.proves("T6")
@pytest.mark.parametrize(
    ("said", "code", "cure"),
    [
        ("HTTP 403 AuthorizationPermissionMismatch curl: (22)", "storage_role_missing", "60-180 s"),
        ("AuthorizationPermissionMismatch", "storage_role_missing", "role"),
        ("HTTP 403 AuthorizationFailure curl: (22)", "storage_firewall", "subnet"),
        ("AuthenticationFailed", "storage_denied", "role"),
        ("NoAuthorizationFailureHere", "storage_denied", "firewall"),
        ("", "storage_denied", "firewall"),
    ],
)
def test_a_role_that_is_missing_is_told_from_a_firewall(said: str, code: str, cure: str) -> None:
    found, what, hint = storage_refusal(said)
    assert (found, bool(what)) == (code, True)
    assert cure in hint
