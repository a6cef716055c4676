"""The new cluster against what the product puts on it, and the app's rights there against the calls that it makes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tree_sitter import Node

from deploy.package import REPOSITORY
from shared.clients import arm, kube
from shared.domain.openapi_manifest import OpenApi
from shared.domain.planner import read_node
from shared.domain.search import ClusterRef
from tests.infra.bicep import INFRA, Block, literal, properties, read, text, walk

KUBERNETES = "Microsoft.ContainerService/managedClusters"
VERBS = {"get": "read", "listed": "read", "create": "write", "replace": "write", "delete": "delete"}
"""Calls of the client -> what Azure's authorizer asks for: get and list are read; create and update are write."""
OF_THE_CLUSTER = {"nodes", "nodemetrics"}
BY_VARIABLE = {
    "openapi.py": [kind for kind, _ in OpenApi(ClusterRef("s", "g", "c", "a"), "i", "default", "r", "").objects()],
    "release.py": ["jobs", "daemonsets"],
}
"""Modules whose kind is a variable, with all that it may be."""


def pools() -> dict[str, dict[str, Node]]:
    """The new cluster's node pools."""
    (cluster,) = read(INFRA / "modules/cluster.bicep").of_type(KUBERNETES)
    found = cluster.property("properties", "agentPoolProfiles")
    assert found is not None
    return {literal(properties(pool)["name"]): properties(pool) for pool in found.named_children}


def strings(node: Node) -> list[str]:
    """String literals below a node."""
    return [literal(one) for one in walk(node) if one.type == "string"]


def node_of(pool: dict[str, Node], mode: str) -> dict[str, object]:
    """A Node as the API server would show one of a pool."""
    taints = []
    for taint in strings(pool["nodeTaints"]):
        key, value, effect = re.split("[=:]", taint)
        taints.append({"key": key, "value": value, "effect": effect})
    labels = (
        {key: literal(value) for key, value in properties(pool["nodeLabels"]).items()} if "nodeLabels" in pool else {}
    )
    return {
        "metadata": {"name": "n", "labels": {**labels, "kubernetes.azure.com/mode": mode.lower()}},
        "spec": {"taints": taints},
        "status": {"capacity": {"memory": "128Gi"}, "conditions": [{"type": "Ready", "status": "True"}]},
    }


class TestPools:
    def test_the_blast_pool_is_what_the_product_looks_for_and_tolerates(self) -> None:
        view = read_node(node_of(pools()["blast"], literal(pools()["blast"]["mode"])))
        assert view.blast_pool
        assert view.is_candidate

    def test_the_system_pool_takes_no_work_of_the_product(self) -> None:
        assert not read_node(node_of(pools()["system"], literal(pools()["system"]["mode"]))).is_candidate

    def test_nothing_scales_by_itself(self) -> None:
        assert {name: text(pool["enableAutoScaling"]) for name, pool in pools().items()} == {
            "system": "false",
            "blast": "false",
        }

    def test_nodes_are_in_the_subnet_that_the_firewall_lets_through(self) -> None:
        assert {text(pool["vnetSubnetID"]) for pool in pools().values()} == {"network::nodes.id"}

    def test_only_entra_identities_get_in(self) -> None:
        (cluster,) = read(INFRA / "modules/cluster.bicep").of_type(KUBERNETES)
        profile = cluster.property("properties", "aadProfile")
        assert profile is not None
        assert {text(properties(profile)[name]) for name in ("managed", "enableAzureRBAC")} == {"true"}

    def test_the_version_of_the_interface_is_the_apps(self) -> None:
        (cluster,) = read(INFRA / "modules/cluster.bicep").of_type(KUBERNETES)
        assert cluster.kind.endswith(f"@{arm.API_VERSION}")


def granted(symbol: str, field: str) -> set[str]:
    """Actions or data actions of a custom role, without the resource provider."""
    roles = read(INFRA / "modules/cluster-access.bicep").of_type("Microsoft.Authorization/roleDefinitions")
    (role,) = [one for one in roles if one.symbol == symbol]
    permissions = role.property("properties", "permissions")
    assert permissions is not None
    (permission,) = permissions.named_children
    return {action.removeprefix("${kubernetes}/") for action in strings(properties(permission)[field])}


def calls() -> Iterator[tuple[str, str]]:
    """Kind and verb of every call that the app makes to an API server."""
    yield from (("jobs", "read"), ("pods", "read"), ("nodes", "read"))  # the client's own lists
    for folder in ("activities", "shared/clients", "triggers"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            yield from _calls_of(path)


def _calls_of(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        called, args = node.func, node.args
        if isinstance(called, ast.Name) and called.id == "partial":
            called, args = args[0], args[1:]
        if not (isinstance(called, ast.Attribute) and called.attr in VERBS and args and _is_kube(called.value)):
            continue
        first = args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value, VERBS[called.attr]
        elif path.name in BY_VARIABLE:
            yield from ((kind, VERBS[called.attr]) for kind in BY_VARIABLE[path.name])
        elif called.attr != "listed" and path.name != "retrying_kube.py":
            pytest.fail(f"{path}:{node.lineno}: which kinds may this be? add the module to BY_VARIABLE")


def _is_kube(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "kube"


def data_action(kind: str, verb: str) -> str:
    """The name that Azure's authorizer gives a call."""
    path = kube._PATHS[kind]
    resource = path.rsplit("/", 1)[1]
    return "/".join(part for part in (path.split("/")[2] if path.startswith("/apis/") else "", resource, verb) if part)


ESCALATION = {f"rbac.authorization.k8s.io/roles/{verb}/action" for verb in ("escalate", "bind")}


class TestRights:
    def test_every_call_is_allowed_and_nothing_else(self) -> None:
        found = set(calls())
        assert {("pods", "delete"), ("jobs", "write"), ("daemonsets", "write"), ("rolebindings", "write")} <= found
        in_namespace = {data_action(*call) for call in found if call[0] not in OF_THE_CLUSTER}
        assert granted("onNamespace", "dataActions") == in_namespace | ESCALATION
        # Metrics are asked for by a name of the client's own, in a list whose kind is said elsewhere.
        assert granted("onCluster", "dataActions") == {data_action(kind, "read") for kind in OF_THE_CLUSTER}

    def test_what_a_pods_log_is_asked_for_by_is_the_pods_own_right(self) -> None:
        assert "pods/read" in granted("onNamespace", "dataActions")

    def test_towards_azure_the_app_looks_starts_stops_and_asks_for_the_kubeconfig(self) -> None:
        asked = set(re.findall(r'"(?:GET|POST)", cluster, "/?(\w*)"', Path(arm.__file__).read_text()))
        assert asked == {"", "listClusterUserCredential", "start", "stop"}
        wanted = {f"{name}/action" for name in asked if name} | {"read"}
        assert granted("onCluster", "actions") == wanted
        assert granted("onNamespace", "actions") == set()

    def test_no_right_is_a_pattern(self) -> None:
        rights = {
            right
            for role in ("onCluster", "onNamespace")
            for field in ("actions", "dataActions")
            for right in granted(role, field)
        }
        assert not [right for right in rights if "*" in right or "secrets" in right]

    def test_each_role_is_given_where_it_belongs(self) -> None:
        bicep = read(INFRA / "modules/cluster-access.bicep")
        given: dict[str, str] = {}
        for one in bicep.of_type("Microsoft.Authorization/roleAssignments"):
            given[_of(one, "properties", "roleDefinitionId")] = _of(one, "scope")
        assert given == {"onCluster.id": "cluster", "onNamespace.id": "inNamespace"}


def _of(block: Block, *path: str) -> str:
    found = block.property(*path)
    assert found is not None
    return text(found)
