"""Least privilege: no keys, closed accounts, and each role is the one that it is called, for one thing only."""

from __future__ import annotations

import re

import pytest

from shared.clients.search_payloads import STATE_CONTAINER
from shared.domain.results import DATABASES_CONTAINER, QUERIES_CONTAINER, RESULTS_CONTAINER
from shared.domain.roles import Role
from tests.infra.bicep import FILES, INFRA, MAIN, Bicep, Block, literal, properties, read, roles, text, walk

BUILT_IN = {
    "acrPull": ("AcrPull", "7f951dda-4ed3-4680-a7ca-43fe172d538d"),
    "blobDataContributor": ("Storage Blob Data Contributor", "ba92f5b4-2d11-453d-a403-e96b0029c9fe"),
    "blobDataOwner": ("Storage Blob Data Owner", "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"),
    "blobDataReader": ("Storage Blob Data Reader", "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"),
    "blobDelegator": ("Storage Blob Delegator", "db58b8e5-c6ad-4a2a-8342-4190687cbf4a"),
    "durableTaskDataContributor": ("Durable Task Data Contributor", "0ad04412-c4d5-4796-b79c-f76d14c8d402"),
    "keyVaultSecretsUser": ("Key Vault Secrets User", "4633458b-17de-408a-b874-0445c86b69e6"),
    "monitoringMetricsPublisher": ("Monitoring Metrics Publisher", "3913510d-42f4-4e42-8a64-420c390055eb"),
    "networkContributor": ("Network Contributor", "4d97b98b-1d4f-4787-a291-c67834d212e7"),
    "queueDataContributor": ("Storage Queue Data Contributor", "974c5e8b-45b9-4653-ba55-5f855dd0fb88"),
    "rbacAdministrator": ("Role Based Access Control Administrator", "f58310d9-a9f6-439a-9e8d-f62e7b41a168"),
    "tableDataContributor": ("Storage Table Data Contributor", "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"),
}
"""Names and ids of the roles (Microsoft Learn, "Azure built-in roles")."""
ASSIGNED = {
    ("monitoring", "insights", "monitoringMetricsPublisher"),
    ("storage-host", "account", "blobDataOwner"),
    ("storage-host", "account", "queueDataContributor"),
    ("storage-host", "account", "tableDataContributor"),
    ("storage-data", "containers[index]", "blobDataContributor"),
    ("storage-data", "account", "blobDelegator"),
    ("storage-data", "account", "tableDataContributor"),
    ("data-access", "account::blobs::databases", "blobDataReader"),
    ("data-access", "account::blobs::results", "blobDataContributor"),
    ("data-access", "account", "rbacAdministrator"),
    ("registry-access", "registry", "acrPull"),
    ("registry-access", "registry", "rbacAdministrator"),
    ("vault", "callback", "keyVaultSecretsUser"),
    ("vault", "webhook", "keyVaultSecretsUser"),
    ("cluster", "network::nodes", "networkContributor"),
    ("cluster-access", "cluster", "onCluster"),
    ("cluster-access", "inNamespace", "onNamespace"),
    ("scheduler", "hub", "durableTaskDataContributor"),
}
"""Every assignment: module, what it is for, role. docs/azure.md has the reason of each."""
TOO_MUCH = {
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
}
"""Owner, Contributor, User Access Administrator."""


def assignments(bicep: Bicep) -> list[Block]:
    """The role assignments of a file."""
    return bicep.of_type("Microsoft.Authorization/roleAssignments")


def roles_of(bicep: Bicep, block: Block) -> set[str]:
    """Roles that an assignment gives, followed through variables and loops."""
    source = text(block.node)
    found = set(re.findall(r"\broles\.(\w+)", source)) | set(re.findall(r"\b(onCluster|onNamespace)\.id", source))
    for name, variable in bicep.variables.items():
        if re.search(rf"for \w+ in {name}\b|roleDefinitionId: {name}\b", source):
            found |= set(re.findall(r"\broles\.(\w+)", text(variable)))
    return found


def everything() -> str:
    """All files together, without comments."""
    return "\n".join(re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.MULTILINE) for path in FILES)


def storage_accounts() -> list[Block]:
    """The accounts that are made."""
    return [one for path in FILES for one in read(path).of_type("Microsoft.Storage/storageAccounts")]


class TestKeys:
    @pytest.mark.parametrize(
        "word",
        ["listkeys", "accountkey", "sharedaccess", "listadmincredential", "primarykey", "listsecrets", "password"],
    )
    def test_no_key_is_asked_for(self, word: str) -> None:
        assert word not in everything().lower()

    def test_no_storage_account_takes_keys_or_strangers(self) -> None:
        accounts = storage_accounts()
        assert len(accounts) == 2
        for account in accounts:
            given = {
                name: account.property("properties", name) for name in ("allowSharedKeyAccess", "allowBlobPublicAccess")
            }
            assert {name: value and text(value) for name, value in given.items()} == dict.fromkeys(given, "false")
            assert literal(account.property("properties", "minimumTlsVersion")) == "TLS1_2"

    def test_host_and_data_are_apart(self) -> None:
        host, data = read(INFRA / "modules/storage-host.bicep"), read(INFRA / "modules/storage-data.bicep")
        assert (
            len(host.of_type("Microsoft.Storage/storageAccounts"))
            == len(data.of_type("Microsoft.Storage/storageAccounts"))
            == 1
        )
        names = {m.symbol: m.property("params", "name") for m in read(MAIN).modules if "storage" in m.kind}
        assert len({text(name) for name in names.values() if name is not None}) == len(names) == 2

    def test_telemetry_registry_cluster_and_publishing_take_no_keys(self) -> None:
        source = everything()
        assert "DisableLocalAuth: true" in source
        assert "features: { disableLocalAuth: true }" in source
        assert "adminUserEnabled: false" in source
        assert "disableLocalAccounts: true" in source
        policies = read(INFRA / "modules/app.bicep").of_type("basicPublishingCredentialsPolicies")
        assert {literal(one.property("name")) for one in policies} == {"scm", "ftp"}
        assert all(
            text(value) == "false" for one in policies if (value := one.property("properties", "allow")) is not None
        )

    def test_connections_hold_no_key(self) -> None:
        (connection,) = re.findall(r"'(Endpoint=[^']*)'", everything())
        assert (
            connection
            == "Endpoint=${scheduler.properties.endpoint};Authentication=ManagedIdentity;ClientID=${clientId}"
        )

    def test_secrets_are_secure_parameters_and_leave_in_no_output(self) -> None:
        for path in (MAIN, INFRA / "modules/vault.bicep"):
            parameters = read(path).parameters
            for name in ("callbackSecret", "webhookSecret"):
                assert "secure" in parameters[name].decorators
        for path in FILES:
            for output in read(path).outputs.values():
                values = [text(node) for node in walk(output) if node.type == "identifier"]
                assert "callbackSecret" not in values
                assert values.count("webhookSecret") <= text(output).count("empty(webhookSecret)")


class TestRoles:
    def test_ids_are_those_of_the_built_in_roles(self) -> None:
        assert roles() == {name: identifier for name, (_, identifier) in BUILT_IN.items()}

    def test_the_nodes_roles_are_those_that_the_app_assigns(self) -> None:
        given = {
            BUILT_IN[role]
            for module, _, role in ASSIGNED
            if module in ("data-access", "registry-access") and role != "rbacAdministrator"
        }
        assert given == {(role.label, role.id) for role in Role}

    def test_every_assignment_is_known(self) -> None:
        found = set()
        for path in FILES:
            for block in assignments(read(path)):
                scope = block.property("scope")
                assert scope is not None, f"{path.name}: {block.symbol} would be for the whole resource group"
                found |= {(path.stem, text(scope), role) for role in roles_of(read(path), block)}
        assert found == ASSIGNED

    def test_everybody_who_gets_one_is_an_identity_of_the_deployment(self) -> None:
        for path in FILES:
            for block in assignments(read(path)):
                assert literal(block.property("properties", "principalType")) == "ServicePrincipal"

    def test_no_role_is_wide(self) -> None:
        source = everything() + (INFRA / "roles.json").read_text()
        assert not [role for role in TOO_MUCH if role in source]

    def test_who_may_assign_may_give_the_nodes_theirs_and_delete_nothing(self) -> None:
        for module, given in (
            ("data-access", ("blobDataReader", "blobDataContributor")),
            ("registry-access", ("acrPull",)),
        ):
            bicep = read(INFRA / "modules" / f"{module}.bicep")
            (admin,) = [one for one in assignments(bicep) if "rbacAdministrator" in roles_of(bicep, one)]
            condition = text(admin.property("properties", "condition") or admin.node)
            assert literal(admin.property("properties", "conditionVersion")) == "2.0"
            assert "OR (${written} AND ${forNodes})) AND (!(ActionMatches{" in condition
            assert condition.endswith("roleAssignments/delete\\'}))'")
            assert condition.count("(") == condition.count(")")
            written = text(bicep.variables["written"])
            assert set(re.findall(r"roles\.(\w+)", written)) == set(given)
            assert "{${nodesPrincipalId}}" in text(bicep.variables["forNodes"])


class TestExistingCluster:
    def test_the_nodes_get_no_second_role_at_the_registry(self) -> None:
        (module,) = [one for one in read(MAIN).modules if one.symbol == "registryAccess"]
        assert text(module.property("params", "assignPull") or module.node) == "isNew"
        (pull,) = [
            one for one in assignments(read(INFRA / "modules/registry-access.bicep")) if one.symbol == "nodesPull"
        ]
        assert "= if (assignPull) {" in text(pull.node)

    def test_a_stopped_cluster_can_be_left_alone(self) -> None:
        (cluster,) = [one for one in read(MAIN).modules if one.symbol == "newCluster"]
        assert "= if (isNew && !keepCluster) {" in text(cluster.node)
        assert read(MAIN).parameters["keepCluster"].default == "false"


class TestNetwork:
    def test_the_data_account_is_closed_but_for_app_and_nodes(self) -> None:
        (account,) = read(INFRA / "modules/storage-data.bicep").of_type("Microsoft.Storage/storageAccounts")
        rules = account.property("properties", "networkAcls")
        assert rules is not None
        given = {name: text(value) for name, value in properties(rules).items()}
        assert given["defaultAction"] == "publicAccess ? defaultAction : 'Deny'"
        assert given["bypass"] == "'None'"
        assert given["virtualNetworkRules"] == "[for subnet in subnetIds: { id: subnet, action: 'Allow' }]"
        assert read(MAIN).parameters["dataFirewall"].default == "'Deny'"
        (module,) = [one for one in read(MAIN).modules if one.symbol == "dataStorage"]
        subnets = text(module.property("params", "subnetIds") or module.node)
        assert "network.outputs.appSubnetId" in subnets
        assert "isNew ? [network.outputs.nodesSubnetId]" in subnets

    def test_both_subnets_have_the_service_endpoint_that_the_rule_needs(self) -> None:
        bicep = read(INFRA / "modules/network.bicep")
        assert "Microsoft.Storage" in text(bicep.variables["storageEndpoint"])
        (network,) = bicep.of_type("Microsoft.Network/virtualNetworks")
        subnets = network.property("properties", "subnets")
        assert subnets is not None
        found = {}
        for subnet in subnets.named_children:
            inside = properties(properties(subnet)["properties"])
            found[literal(properties(subnet)["name"])] = (
                text(inside["serviceEndpoints"]) if "serviceEndpoints" in inside else ""
            )
        assert found == {"app": "storageEndpoint", "nodes": "storageEndpoint", "endpoints": ""}
        assert "serviceName: 'Microsoft.App/environments'" in text(network.node)

    def test_the_containers_are_those_of_the_app(self) -> None:
        names = text(read(INFRA / "modules/storage-data.bicep").variables["containerNames"])
        wanted = {DATABASES_CONTAINER, QUERIES_CONTAINER, RESULTS_CONTAINER, STATE_CONTAINER}
        assert set(re.findall(r"'([^']+)'", names)) == wanted
        access = (INFRA / "modules/data-access.bicep").read_text()
        assert f"'{DATABASES_CONTAINER}'" in access
        assert f"'{RESULTS_CONTAINER}'" in access


class TestSignIn:
    def test_requests_without_a_sign_in_reach_the_app_which_refuses_them(self) -> None:
        (found,) = [
            one
            for one in read(INFRA / "modules/app.bicep").resources
            if literal(one.property("name")) == "authsettingsV2"
        ]
        validation = found.property("properties", "globalValidation")
        assert validation is not None
        assert {name: text(value) for name, value in properties(validation).items()} == {
            "requireAuthentication": "false",
            "unauthenticatedClientAction": "'AllowAnonymous'",
        }
        assert text(found.property("properties", "platform", "enabled") or found.node) == "authMode == 'easyauth'"
        providers = found.property("properties", "identityProviders")
        assert providers is not None
        assert list(properties(providers)) == ["azureActiveDirectory"]

    def test_the_app_signs_in_with_its_identity_and_reads_secrets_with_it(self) -> None:
        source = (INFRA / "modules/app.bicep").read_text()
        assert "clientSecretSettingName: signInSetting" in source
        assert "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID: identityClientId" in source
        assert "keyVaultReferenceIdentity: identityId" in source

    def test_it_runs_the_python_that_the_app_is_for_on_flex_consumption(self) -> None:
        bicep = read(INFRA / "modules/app.bicep")
        (app,) = bicep.of_type("Microsoft.Web/sites")
        (plan,) = bicep.of_type("Microsoft.Web/serverfarms")
        assert literal(app.property("properties", "functionAppConfig", "runtime", "name")) == "python"
        assert literal(app.property("properties", "functionAppConfig", "runtime", "version")) == "3.13"
        assert literal(plan.property("sku", "name")) == "FC1"
        storage = ("properties", "functionAppConfig", "deployment", "storage", "authentication", "type")
        assert literal(app.property(*storage)) == "UserAssignedIdentity"
        assert read(MAIN).parameters["alwaysReadyDurable"].default == "0"
        assert "[{ name: 'durable', instanceCount: alwaysReadyDurable }]" in text(app.node)
