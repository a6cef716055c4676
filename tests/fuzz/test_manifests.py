"""Every Kubernetes object that the product makes, from any text at all: valid, and with nothing else in it.

Databases and nodes have names that are checked long before; here they are any text, because a check may be forgotten.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from local.cluster.environment import expand
from local.cluster.kinds import CONFIG_MAPS
from local.cluster.validation import validate
from shared.domain.ids import content_key, owner_key, row_key
from shared.domain.manifests import scripts_config_map
from shared.domain.names import blast_job_name, clean_job_name, label_value, object_name, plain_name, warmup_job_name
from tests.activities.worlds import ago
from tests.fuzz.hostile import hostile
from tests.fuzz.manifests import BUILDERS, JOB, Json, blast

CHECKS = settings(max_examples=500, deadline=None, database=None, derandomize=True)


def containers(manifest: Json) -> list[Json]:
    """The containers of the pods of an object."""
    found: list[Json] = manifest["spec"]["template"]["spec"]["containers"]
    return found


@pytest.mark.proves("Q3")
@pytest.mark.parametrize("name", list(BUILDERS))
def test_the_api_server_takes_it_and_no_shell_reads_it(name: str) -> None:
    """The command is the same whatever the texts are; the probe's script alone is a text, and the product's own."""
    kind, build = BUILDERS[name]
    plain = [container.get("command") for container in containers(build("plain", "text"))]

    @CHECKS
    @given(hostile(), hostile())
    def check(text: str, other: str) -> None:
        manifest = build(text, other)
        validate(kind, manifest)
        assert name == "probe" or [container.get("command") for container in containers(manifest)] == plain

    check()


@pytest.mark.proves("Q3")
@CHECKS
@given(hostile(), hostile())
def test_kubernetes_expands_nothing_of_it(text: str, other: str) -> None:
    """``$(NAME)`` in arguments and in the environment is what the kubelet would replace."""
    environment = {"NAME": "expanded", "PATH": "expanded", "IFS": "expanded"}
    [container] = containers(blast(text, other))
    assert [expand(word, environment) for word in container["args"]] == ["blastn", "-db", text, "-outfmt", other]
    said = {entry["name"]: expand(entry["value"], environment) for entry in container["env"]}
    assert (said["ELB_QUERY_URL"], said["ELB_CALLBACK_TOKEN"]) == (text, other)


@CHECKS
@given(hostile(), hostile())
def test_names_tell_different_things_apart(text: str, other: str) -> None:
    assert (warmup_job_name(text, 0) == warmup_job_name(other, 0)) == (text == other)
    assert (clean_job_name(text, "n") == clean_job_name(other, "n")) == (text == other)
    assert (label_value(text) == label_value(other)) == (text == other)
    assert (object_name("x", text, other) == object_name("x", other, text)) == (text == other)
    assert (plain_name("x", text) == plain_name("x", other)) == (text == other)
    names = {blast_job_name("blastn", database, 0, 0, JOB, 1) for database in (text, other)}
    assert len(names) == len({text, other})


@pytest.mark.proves("Q3")
@CHECKS
@given(hostile(), hostile())
def test_keys_of_rows_and_folders_tell_nothing_and_break_nothing(text: str, other: str) -> None:
    created = ago(0)
    for key in (content_key(text, other), row_key(text, created), owner_key(other)):
        assert len(key) == 32
        assert set(key) <= set("0123456789abcdef")


def test_scripts_are_data() -> None:
    validate(CONFIG_MAPS, scripts_config_map({"a.sh": "$(NAME)\n"}))
