"""The settings: each wrong one stops the start with its name, and nothing is needed to import."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared import config
from shared.config import Settings, check_deployment, read_settings, validate_at_start
from shared.domain.errors import ConfigurationError
from shared.domain.search import ClusterRef
from shared.hosts import is_loopback, without_port

ROOT = Path(__file__).resolve().parents[2]
ON_AZURE = {
    "WEBSITE_HOSTNAME": "elb.azurewebsites.net",
    "WEBSITE_INSTANCE_ID": "0123",
    "WEBSITE_AUTH_ENABLED": "True",
    "ELB_DEFAULT_STORAGE_ACCOUNT": "elbdata",
    "ELB_CALLBACK_SECRET": "secret",
}
ON_ONE_MACHINE = {
    "AUTH_MODE": "dev",
    "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
    "WEBSITE_HOSTNAME": "127.0.0.1:7071",
    "ELB_DEFAULT_STORAGE_ACCOUNT": "elblocal",
    "ELB_CALLBACK_SECRET": "secret",
}
TENANT = "8f9d1c9e-0000-4000-8000-00000000000a"
WITH_TOKENS = {k: v for k, v in ON_AZURE.items() if k != "WEBSITE_AUTH_ENABLED"} | {
    "AUTH_MODE": "jwt",
    "AUTH_TENANT_ID": TENANT,
    "AUTH_AUDIENCE": "api://elb",
}
STATIC = {
    "ELB_CREDENTIAL": "static:token",
    "ELB_ARM_ENDPOINT": "http://127.0.0.1:1",
    "ELB_BLOB_ENDPOINT": "http://127.0.0.1:2/{account}",
    "ELB_STATE_TABLE_ENDPOINT": "http://localhost:3/{account}",
}


class TestDefaults:
    def test_nothing_is_needed_to_read(self) -> None:
        assert isinstance(read_settings({}), Settings)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("search_deadline_seconds", 86_400),
            ("results_grace_seconds", 120),
            ("cluster_wait_seconds", 1800),
            ("capacity_wait_seconds", 1800),
            ("database_wait_seconds", 2700),
            ("warmup_wait_seconds", 2700),
            ("job_ttl_seconds", 3600),
            ("results_days", 30),
            ("history_days", 7),
            ("probe_seconds", 60),
            ("active_searches", 10),
            ("query_limit_bytes", 1_000_000),
            ("download_limit_bytes", 8_000_000),
            ("rate_submit", 60),
            ("rate_validate", 120),
            ("rate_upload", 30),
            ("webhook_secret", ""),
            ("webhook_allow", ""),
            ("webhook_retry_seconds", 86_400),
            ("auth_audiences", ()),
            ("namespace", "default"),
            ("auth_mode", "easyauth"),
            ("external_owner", "external"),
            ("parallel_warm_reuse", True),
            ("callback_url", "https://localhost:7071"),
            ("cluster", None),
        ],
    )
    def test_as_the_document_says(self, name: str, value: object) -> None:
        assert getattr(read_settings({}), name) == value

    def test_every_setting_is_in_the_document(self) -> None:
        code = (ROOT / "shared" / "config.py").read_text()
        read = set(re.findall(r'read\.\w+\(\s*"(\w+)"', code))
        document = (ROOT / "docs" / "settings.md").read_text()
        assert {name for name in read if f"`{name}`" not in document} == set()


class TestWrongSettings:
    @pytest.mark.parametrize("name", ["ELB_CALLBACK_SECRET", "AzureWebJobsStorage", "ELB_ACR_NAME"])
    def test_a_secret_that_azure_could_not_get_is_not_taken_for_one(self, name: str) -> None:
        reference = "@Microsoft.KeyVault(SecretUri=https://elb.vault.azure.net/secrets/callback-secret)"
        with pytest.raises(ConfigurationError, match=f"{name} is a Key Vault reference"):
            read_settings({**ON_AZURE, name: reference})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("ELB_PARALLEL_WARM_REUSE", "yes"),
            ("ELB_PARALLEL_WARM_REUSE", ""),
            ("ELB_JOB_CPUS", "0"),
            ("ELB_JOB_CPUS", "1.5"),
            ("ELB_JOB_CPUS", "four"),
            ("ELB_JOB_CPUS", ""),
            ("ELB_JOB_CPUS", "nan"),
            ("ELB_JOB_CPUS", "inf"),
            ("ELB_JOB_MEMORY_GIB", "0"),
            ("ELB_JOB_MEMORY_GIB", "nan"),
            ("ELB_JOB_MEMORY_LIMIT_GIB", "inf"),
            ("ELB_JOB_MEMORY_LIMIT_GIB", "1.9"),
            ("ELB_JOB_TTL_SECONDS", "119"),
            ("ELB_SEARCH_DEADLINE_SECONDS", "59"),
            ("ELB_SEARCH_DEADLINE_SECONDS", "86401"),
            ("ELB_RESULTS_GRACE_SECONDS", "-1"),
            ("ELB_CLUSTER_WAIT_SECONDS", "-1"),
            ("ELB_WEBHOOK_SECRET", "fifteen letters"),
            ("ELB_WEBHOOK_ALLOW", "127.0.0.0/33"),
            ("ELB_WEBHOOK_ALLOW", "http://localhost"),
            ("ELB_WEBHOOK_RETRY_SECONDS", "-1"),
            ("ELB_WEBHOOK_RETRY_SECONDS", "604801"),
            ("ELB_CAPACITY_WAIT_SECONDS", "-1"),
            ("ELB_DATABASE_WAIT_SECONDS", "-1"),
            ("ELB_WARMUP_WAIT_SECONDS", "-1"),
            ("ELB_ACTIVE_SEARCHES", "0"),
            ("ELB_RESULTS_DAYS", "0"),
            ("ELB_HISTORY_DAYS", "0"),
            ("ELB_PROBE_SECONDS", "0"),
            ("ELB_PROBE_SECONDS", "61"),
            ("ELB_QUERY_LIMIT_BYTES", "0"),
            ("ELB_DOWNLOAD_LIMIT_BYTES", "0"),
            ("ELB_RATE_SUBMIT", "-1"),
            ("ELB_RATE_VALIDATE", "0.5"),
            ("ELB_RATE_UPLOAD", ""),
            ("ELB_EXTERNAL_OWNER", ""),
            ("ELB_EXTERNAL_OWNER", "  "),
            ("ELB_DEFAULT_CLUSTER", "aks"),
            ("ELB_DEFAULT_CLUSTER", "a/b"),
            ("ELB_DEFAULT_CLUSTER", "a/b/c/d"),
            ("ELB_DEFAULT_CLUSTER", "a//c"),
            ("ELB_DEFAULT_CLUSTER", "//"),
            ("ELB_NAMESPACE", ""),
            ("ELB_NAMESPACE", "Default"),
            ("ELB_NAMESPACE", "a/../b"),
            ("ELB_CREDENTIAL", ""),
            ("ELB_CREDENTIAL", "static"),
            ("ELB_CREDENTIAL", "static:"),
            ("ELB_CREDENTIAL", "secret"),
            *[
                (name, url)
                for name in (
                    "ELB_ARM_ENDPOINT",
                    "ELB_BLOB_ENDPOINT",
                    "ELB_STATE_TABLE_ENDPOINT",
                    "ELB_CALLBACK_URL",
                    "AUTH_ISSUER",
                    "AUTH_KEYS_URL",
                )
                for url in (
                    "",
                    "x",
                    "ftp://127.0.0.1",
                    "http://example.org",
                    "http://10.0.0.1",
                    "http://127.0.0.1.example.org",
                    "http://localhost@example.org",
                    "https://",
                    "https://[x",
                )
            ],
        ],
    )
    def test_each_is_named(self, name: str, value: str) -> None:
        with pytest.raises(ConfigurationError, match=name) as wrong:
            read_settings({name: value})
        assert wrong.value.code == "wrong_setting"
        assert wrong.value.hint

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("ELB_JOB_TTL_SECONDS", "120"),
            ("ELB_SEARCH_DEADLINE_SECONDS", "60"),
            ("ELB_SEARCH_DEADLINE_SECONDS", "86400"),
            ("ELB_RESULTS_GRACE_SECONDS", "0"),
            ("ELB_RESULTS_DAYS", "1"),
            ("ELB_JOB_CPUS", "1"),
            ("ELB_JOB_MEMORY_GIB", "0.1"),
            ("ELB_JOB_MEMORY_LIMIT_GIB", "2"),
            ("ELB_DEFAULT_CLUSTER", "a/b/c"),
            ("ELB_PARALLEL_WARM_REUSE", "0"),
            ("ELB_CALLBACK_URL", "http://[::1]:7071"),
            ("ELB_ARM_ENDPOINT", "http://localhost:1"),
        ],
    )
    def test_at_the_limit_it_is_right(self, name: str, value: str) -> None:
        read_settings({name: value})

    def test_a_wrong_credential_is_not_shown(self) -> None:
        with pytest.raises(ConfigurationError) as wrong:
            read_settings({"ELB_CREDENTIAL": "Static:hush"})
        assert "hush" not in str(wrong.value) + wrong.value.hint


class TestOwnerOfSearchesBegunOutside:
    """In dev mode the one user; elsewhere nobody who signs in, unless somebody is named."""

    @pytest.mark.parametrize(
        ("environ", "owner"),
        [
            ({"AUTH_MODE": "dev"}, "dev@localhost"),
            ({"AUTH_MODE": "dev", "ELB_DEV_USER": "ada"}, "ada"),
            ({"AUTH_MODE": "dev", "ELB_DEV_USER": ""}, "external"),
            ({"AUTH_MODE": "easyauth", "ELB_DEV_USER": "ada"}, "external"),
            ({"AUTH_MODE": "dev", "ELB_EXTERNAL_OWNER": "ops"}, "ops"),
            ({"AUTH_MODE": "easyauth", "ELB_EXTERNAL_OWNER": "an-object-id"}, "an-object-id"),
        ],
    )
    def test_by_mode_and_setting(self, environ: dict[str, str], owner: str) -> None:
        assert read_settings(environ).external_owner == owner


class TestTokens:
    def test_issuer_and_keys_are_the_tenant_s(self) -> None:
        settings = read_settings({"AUTH_TENANT_ID": TENANT.upper()})
        assert settings.auth_issuer == f"https://login.microsoftonline.com/{TENANT}/v2.0"
        assert settings.auth_keys_url == f"https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys"

    def test_several_audiences(self) -> None:
        assert read_settings({"AUTH_AUDIENCE": "api://elb, 0f"}).auth_audiences == ("api://elb", "0f")


class TestEmptyIsAValue:
    @pytest.mark.parametrize(
        ("name", "field"),
        [
            ("ELB_DEV_USER", "dev_user"),
            ("ELB_REGION", "region"),
            ("AUTH_MODE", "auth_mode"),
            ("ELB_ACR_NAME", "acr_name"),
        ],
    )
    def test_it_is_not_the_default(self, name: str, field: str) -> None:
        assert getattr(read_settings({name: ""}), field) == ""

    def test_an_empty_mode_is_no_mode(self) -> None:
        with pytest.raises(ConfigurationError, match="AUTH_MODE is ''"):
            check_deployment(read_settings({**ON_AZURE, "AUTH_MODE": ""}))


class TestStaticCredential:
    def test_on_loopback(self) -> None:
        assert read_settings(STATIC).credential == "static:token"

    @pytest.mark.parametrize("name", ["ELB_ARM_ENDPOINT", "ELB_BLOB_ENDPOINT", "ELB_STATE_TABLE_ENDPOINT"])
    @pytest.mark.parametrize(
        "url", ["https://example.org", "https://10.0.0.1", "https://{account}.blob.core.windows.net"]
    )
    def test_refused_off_loopback(self, name: str, url: str) -> None:
        with pytest.raises(ConfigurationError, match=f"ELB_CREDENTIAL is a static token, and {name}") as wrong:
            read_settings({**STATIC, name: url})
        assert "static:token" not in str(wrong.value)

    def test_refused_with_the_defaults(self) -> None:
        with pytest.raises(ConfigurationError, match="ELB_ARM_ENDPOINT"):
            read_settings({"ELB_CREDENTIAL": "static:token"})


class TestDeployment:
    @pytest.mark.parametrize("environ", [ON_AZURE, ON_ONE_MACHINE, WITH_TOKENS])
    def test_right(self, environ: dict[str, str]) -> None:
        check_deployment(read_settings(environ))

    @pytest.mark.parametrize(
        ("environ", "named"),
        [
            ({**ON_AZURE, "AUTH_MODE": "none"}, "AUTH_MODE"),
            ({**ON_AZURE, "AUTH_MODE": "EasyAuth"}, "AUTH_MODE"),
            ({**ON_AZURE, "AUTH_MODE": "jwt"}, "AUTH_TENANT_ID"),
            ({**WITH_TOKENS, "AUTH_TENANT_ID": ""}, "AUTH_TENANT_ID"),
            ({**WITH_TOKENS, "AUTH_TENANT_ID": "common"}, "AUTH_TENANT_ID"),
            ({**WITH_TOKENS, "AUTH_TENANT_ID": "example.org"}, "AUTH_TENANT_ID"),
            ({**WITH_TOKENS, "AUTH_TENANT_ID": TENANT + "/"}, "AUTH_TENANT_ID"),
            ({**WITH_TOKENS, "AUTH_AUDIENCE": ""}, "AUTH_AUDIENCE"),
            ({**WITH_TOKENS, "AUTH_AUDIENCE": " , "}, "AUTH_AUDIENCE"),
            ({**ON_AZURE, "WEBSITE_AUTH_ENABLED": "False"}, "WEBSITE_AUTH_ENABLED"),
            ({**ON_AZURE, "WEBSITE_AUTH_ENABLED": ""}, "WEBSITE_AUTH_ENABLED"),
            ({**ON_AZURE, "WEBSITE_AUTH_ENABLED": "1"}, "WEBSITE_AUTH_ENABLED"),
            ({**ON_AZURE, "AUTH_MODE": "dev"}, "AUTH_MODE is 'dev'"),
            ({**ON_ONE_MACHINE, "AZURE_FUNCTIONS_ENVIRONMENT": "Production"}, "AUTH_MODE is 'dev'"),
            ({**ON_ONE_MACHINE, "AZURE_FUNCTIONS_ENVIRONMENT": ""}, "AUTH_MODE is 'dev'"),
            ({**ON_ONE_MACHINE, "AZURE_FUNCTIONS_ENVIRONMENT": "development"}, "AUTH_MODE is 'dev'"),
            ({**ON_ONE_MACHINE, "WEBSITE_HOSTNAME": "elb.azurewebsites.net"}, "AUTH_MODE is 'dev'"),
            ({**ON_ONE_MACHINE, "WEBSITE_HOSTNAME": "0.0.0.0:7071"}, "AUTH_MODE is 'dev'"),
            ({**ON_ONE_MACHINE, "WEBSITE_HOSTNAME": "localhost.example.org"}, "AUTH_MODE is 'dev'"),
            ({**ON_ONE_MACHINE, "WEBSITE_INSTANCE_ID": "0123"}, "AUTH_MODE is 'dev'"),
            ({**ON_AZURE, "ELB_DEFAULT_STORAGE_ACCOUNT": ""}, "ELB_DEFAULT_STORAGE_ACCOUNT"),
            ({**ON_AZURE, "ELB_CALLBACK_SECRET": ""}, "ELB_CALLBACK_SECRET"),
        ],
    )
    @pytest.mark.proves("Q1")
    def test_refused(self, environ: dict[str, str], named: str) -> None:
        settings = read_settings({**environ, "ELB_CALLBACK_URL": "https://elb.example.org"})
        with pytest.raises(ConfigurationError) as wrong:
            check_deployment(settings)
        assert named in wrong.value.message

    @pytest.mark.parametrize(
        "host", ["localhost", "localhost:7071", "127.0.0.1:80", "127.1.2.3", "[::1]:7071", "LOCALHOST:1"]
    )
    def test_dev_on_any_loopback_name(self, host: str) -> None:
        environ = {**ON_ONE_MACHINE, "WEBSITE_HOSTNAME": host, "ELB_CALLBACK_URL": "http://127.0.0.1:1"}
        check_deployment(read_settings(environ))


class TestStart:
    @pytest.fixture(autouse=True)
    def _fresh(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        for name in {*ON_AZURE, *ON_ONE_MACHINE, *STATIC, "FUNCTIONS_WORKER_RUNTIME"}:
            monkeypatch.delenv(name, raising=False)
        config.settings.cache_clear()
        yield
        config.settings.cache_clear()

    def test_outside_a_host_nothing_is_checked(self) -> None:
        validate_at_start()

    def test_in_a_host_a_wrong_setting_stops_the_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FUNCTIONS_WORKER_RUNTIME", "python")
        with pytest.raises(ConfigurationError, match="WEBSITE_AUTH_ENABLED"):
            validate_at_start()

    def test_importing_needs_nothing_and_reads_nothing(self) -> None:
        code = (
            "import os; os.environ.clear(); import shared.config; print(shared.config.settings.cache_info().currsize)"
        )
        environ = {"ELB_JOB_CPUS": "wrong", "ELB_CREDENTIAL": "wrong"}
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


class TestSettings:
    def test_secrets_are_not_shown(self) -> None:
        environ = {**STATIC, "ELB_CALLBACK_SECRET": "hush1", "AzureWebJobsStorage": "AccountKey=hush2"}
        shown = repr(read_settings({**environ, "ELB_CREDENTIAL": "static:hush3"}))
        assert "hush" not in shown

    def test_the_default_cluster(self) -> None:
        settings = read_settings({"ELB_DEFAULT_CLUSTER": "sub/group/aks", "ELB_DEFAULT_STORAGE_ACCOUNT": "acc"})
        assert settings.cluster == ClusterRef("sub", "group", "aks", "acc")

    def test_images(self) -> None:
        assert read_settings({}).image("ncbi/elb:1.4.0") == "ncbi/elb:1.4.0"
        assert read_settings({"ELB_ACR_NAME": "reg"}).image("ncbi/elb:1.4.0") == "reg.azurecr.io/ncbi/elb:1.4.0"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.255.1.1", True),
        ("::1", True),
        ("[::1]", True),
        ("LocalHost", True),
        ("", False),
        ("localhost.", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
        ("128.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("127.0.0.1:80", False),
        ("127.0.0.\u0661", False),
        ("localhost\n", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("localhost:7071", "localhost"),
        ("[::1]:7071", "[::1]"),
        ("[::1]", "[::1]"),
        ("localhost:7071@example.org", "localhost:7071@example.org"),
        ("localhost:", "localhost:"),
        ("localhost:70711111", "localhost:70711111"),
    ],
)
def test_without_port(host: str, name: str) -> None:
    assert without_port(host) == name
