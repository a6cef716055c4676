"""The pure parts: quantities, patches, variable expansion, durations, image names, Job rules."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from local.cluster.columns import human_duration
from local.cluster.environment import expand
from local.cluster.images import ImageMissingError, Images
from local.cluster.jobrules import Ledger, backoff_left, policy_action
from local.cluster.patch import apply_patch, merge_patch, strategic_patch
from local.cluster.quantities import parse_quantity, requests_of
from tests.cluster.support import Json


@pytest.mark.parametrize(
    ("text", "number"),
    [("500m", 0.5), ("2", 2.0), ("8Gi", 8 * 2.0**30), ("1.5Ki", 1536.0), ("1e3", 1000.0), ("100M", 1e8), (4, 4.0)],
)
def test_quantities(text: object, number: float) -> None:
    assert parse_quantity(text) == number


@pytest.mark.parametrize("text", ["", "8gb", "1 Gi", "x", "--1"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="must match the regular expression"):
        parse_quantity(text)


def test_a_pod_reserves_the_sum_of_its_containers_or_the_largest_init_container() -> None:
    one, half, two = ({"resources": {"requests": {"cpu": cpu}}} for cpu in ("1", "500m", "2"))
    spec: Json = {"containers": [one, half], "initContainers": [two]}
    assert requests_of(spec) == {"pods": 1.0, "cpu": 2.0}


@pytest.mark.parametrize(
    ("old", "patch", "new"),
    [
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
    ],
)
def test_merge_patch(old: Json, patch: Json, new: Json) -> None:
    assert merge_patch(old, patch) == new
    assert strategic_patch(old, patch) == new


@pytest.mark.parametrize(
    ("old", "patch", "new"),
    [
        ([{"name": "a", "v": 1}], [{"name": "b", "v": 2}], [{"name": "a", "v": 1}, {"name": "b", "v": 2}]),
        ([{"name": "a", "v": 1, "w": 1}], [{"name": "a", "v": 2}], [{"name": "a", "v": 2, "w": 1}]),
        ([{"name": "a"}, {"name": "b"}], [{"name": "a", "$patch": "delete"}], [{"name": "b"}]),
        ([{"name": "a"}], [{"$patch": "replace"}, {"name": "c"}], [{"name": "c"}]),
    ],
)
def test_strategic_patch_merges_lists_by_their_key(old: list[Any], patch: list[Any], new: list[Any]) -> None:
    assert strategic_patch({"containers": old}, {"containers": patch}) == {"containers": new}
    assert strategic_patch({"tolerations": old}, {"tolerations": [{"key": "x"}]}) == {"tolerations": [{"key": "x"}]}


def test_apply_drops_what_it_no_longer_applies_and_leaves_what_others_wrote() -> None:
    live = {"data": {"mine": "1", "theirs": "2"}, "metadata": {"name": "a", "uid": "u"}}
    before, now = {"data": {"mine": "1"}}, {"data": {"new": "3"}}
    assert apply_patch(live, now, before) == {"data": {"theirs": "2", "new": "3"}, "metadata": live["metadata"]}


@pytest.mark.parametrize(
    ("text", "result"),
    [("$(A)", "1"), ("$$(A)", "$(A)"), ("$(B)", "$(B)"), ("$A ${A}", "$A ${A}"), ("echo $$", "echo $"), ("$", "$")],
)
def test_expansion(text: str, result: str) -> None:
    assert expand(text, {"A": "1"}) == result


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (600, "10m"),
        (10800, "3h"),
        (90000, "25h"),
        (200000, "2d7h"),
    ],
)
def test_durations_as_kubectl_writes_them(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


@pytest.mark.parametrize(
    ("image", "known"),
    [
        ("ncbi/elb:1.4.0", True),
        ("elbacr.azurecr.io/ncbi/elb:1.4.0", True),
        ("registry:5000/ncbi/elb:1.4.0", True),
        ("ncbi/elb:1.3.0", False),
        ("busybox", True),
        ("busybox:1.36", True),
        ("docker.io/library/busybox:latest", True),
        ("notbusybox", False),
    ],
)
def test_image_names_match_with_any_registry(image: str, known: bool) -> None:
    try:
        asyncio.run(Images().pull(image))
    except ImageMissingError:
        assert not known
    else:
        assert known


@pytest.mark.parametrize(("failures", "left"), [(0, 0.0), (1, 10.0), (2, 20.0), (3, 40.0), (9, 600.0)])
def test_the_back_off_doubles_up_to_ten_minutes(failures: int, left: float) -> None:
    ledger = Ledger(consecutive_failures=failures, last_failure=100.0)
    assert backoff_left(ledger, 10.0, 100.0) == left
    assert backoff_left(ledger, 10.0, 100.0 + left) == 0.0


def _failed(code: int, *conditions: str) -> Json:
    status = {"containerStatuses": [{"name": "blast", "state": {"terminated": {"exitCode": code}}}]}
    listed = [{"type": each, "status": "True"} for each in conditions]
    return {"metadata": {"namespace": "default", "name": "p"}, "status": status | {"conditions": listed}}


@pytest.mark.parametrize(
    ("failed", "action"),
    [
        (_failed(1), "FailJob"),
        (_failed(3), "Count"),
        (_failed(143, "DisruptionTarget"), "Ignore"),
        (_failed(1, "DisruptionTarget"), "Ignore"),
        (_failed(70), "Ignore"),
    ],
)
def test_the_first_matching_rule_of_a_failure_policy_decides(failed: Json, action: str) -> None:
    rules = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "blast", "operator": "In", "values": [1, 2]}},
        {"action": "Count", "onExitCodes": {"operator": "In", "values": [3]}},
        {"action": "Ignore", "onExitCodes": {"operator": "NotIn", "values": [1, 2, 3]}},
    ]
    assert policy_action({"spec": {"podFailurePolicy": {"rules": rules}}}, failed)[0] == action
