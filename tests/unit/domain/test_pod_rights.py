"""What the pods may do: one table over every builder of pods, and no builder without a line in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.domain import openapi_manifest
from shared.domain.manifests import MOUNT, NODE_FOLDER
from shared.domain.search import ClusterRef
from tests.fuzz.manifests import BUILDERS, Json

DOMAIN = Path(openapi_manifest.__file__).parent


@dataclass(frozen=True)
class Rights:
    """What a kind of pod has, and why where it is more than the least.

    Attributes:
        token: whether it has a service account's token.
        sealed: whether its image is read-only.
        databases: how the node's databases are mounted: ``rw``, ``ro`` or not at all.
    """

    token: bool = False
    sealed: bool = True
    databases: str = "ro"


RIGHTS: dict[str, Rights] = {
    "blast": Rights(),
    "probe": Rights(),
    "clean": Rights(databases="rw"),  # it removes them
    "warmup": Rights(databases="rw", sealed=False),  # it brings them; AzCopy writes its log and its plans in /tmp
    "helper": Rights(databases="", token=True, sealed=False),  # the command line makes Jobs, and writes where it likes
    "openapi": Rights(databases="", token=True, sealed=False),  # likewise: the helper runs as it does
}


def spec_of(name: str) -> Json:
    """The pod of a builder."""
    _, build = BUILDERS[name]
    spec: Json = build("core_nt", "node-a")["spec"]["template"]["spec"]
    return spec


def test_every_builder_of_pods_is_in_the_table() -> None:
    """A module that names a container's image makes pods."""
    makers = {path.stem for path in DOMAIN.glob("*.py") if re.search(r'^\s+"image": ', path.read_text(), re.MULTILINE)}
    assert makers == {"manifests", "warm_manifests", "cli_manifest", "probe_manifest", "openapi_manifest"}
    assert set(RIGHTS) == set(BUILDERS)


@pytest.mark.proves("Q5")
@pytest.mark.parametrize("name", list(RIGHTS))
class TestPods:
    def test_service_account_token(self, name: str) -> None:
        spec, has_token = spec_of(name), RIGHTS[name].token
        assert (spec.get("automountServiceAccountToken") is False) is not has_token
        assert ("serviceAccountName" in spec) is has_token
        assert spec["enableServiceLinks"] is False

    def test_no_privilege(self, name: str) -> None:
        spec = spec_of(name)
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers", "initContainers", "securityContext"} & set(spec)
        for container in spec["containers"]:
            context = container["securityContext"]
            assert set(context) <= {"allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem"}
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert not {"volumeDevices", "envFrom", "lifecycle"} & set(container)

    def test_read_only_where_it_can_be(self, name: str) -> None:
        spec, rights = spec_of(name), RIGHTS[name]
        [container] = spec["containers"]
        assert container["securityContext"].get("readOnlyRootFilesystem", False) is rights.sealed
        mounts = {
            each["mountPath"]: "ro" if each.get("readOnly") else "rw" for each in container.get("volumeMounts", ())
        }
        assert mounts.pop(MOUNT, "") == rights.databases
        assert mounts.pop("/scripts", "ro") == "ro"
        assert set(mounts) <= {"/work"}

    def test_of_the_node_there_is_only_the_folder_of_databases(self, name: str) -> None:
        volumes = spec_of(name).get("volumes", [])
        kinds = [next(kind for kind in volume if kind != "name") for volume in volumes]
        assert set(kinds) <= {"hostPath", "configMap", "emptyDir"}
        paths = [volume["hostPath"]["path"] for volume in volumes if "hostPath" in volume]
        assert paths == ([NODE_FOLDER] if RIGHTS[name].databases else [])


@pytest.mark.proves("Q5")
def test_whoever_has_a_token_may_make_jobs_in_one_namespace_and_read_no_secret() -> None:
    cluster = ClusterRef("s", "g", "c", "store")
    objects = dict(openapi_manifest.OpenApi(cluster, "image", "default", "region", "registry").objects())
    assert "clusterroles" not in objects
    assert objects["rolebindings"]["roleRef"]["kind"] == "Role"
    allowed = {resource: set(rule["verbs"]) for rule in objects["roles"]["rules"] for resource in rule["resources"]}
    assert set(allowed) == {"jobs", "configmaps", "pods", "pods/log"}
    assert "*" not in set().union(*allowed.values())
