"""The app's settings: read once from the environment, validated at start, listed in ``docs/settings.md``.

A wrong setting stops the start with its name. An explicitly set empty value is a value, not an absence. Importing
this module reads nothing.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlparse

from shared.domain.errors import ConfigurationError
from shared.domain.search import ClusterRef

AUTH_MODES = ("easyauth", "jwt", "dev")
EXTERNAL_OWNER = "external"
"""Owner of searches begun outside: nobody who signs in, so that only operators see them."""
_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]+){3}|\[?::1\]?)")
_PORT = re.compile(r":[0-9]{1,5}$")


def is_loopback(host: str) -> bool:
    """Whether a host name (without port) is this machine's loopback."""
    return _LOOPBACK.fullmatch(host.lower()) is not None


def without_port(host: str) -> str:
    """The host name of ``name`` or ``name:port``; anything else stays as it is and is no host name."""
    return _PORT.sub("", host)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the app was told. Seconds and GiB where the name says so."""

    storage: str = field(repr=False)
    table_endpoint: str
    blob_endpoint: str
    arm_endpoint: str
    credential: str = field(repr=False)
    kubeconfig: str
    default_cluster: str
    default_storage_account: str
    acr_name: str
    region: str
    namespace: str
    callback_secret: str = field(repr=False)
    callback_url: str
    parallel_warm_reuse: bool
    auth_mode: str
    hostname: str
    environment: str
    instance_id: str
    platform_auth_enabled: bool
    dev_user: str
    external_owner: str
    job_cpus: int
    job_memory_gib: float
    job_memory_limit_gib: float
    job_ttl_seconds: int
    search_deadline_seconds: int
    results_grace_seconds: int
    cluster_wait_seconds: int
    database_wait_seconds: int
    warmup_wait_seconds: int
    capacity_wait_seconds: int
    active_searches: int
    results_days: int
    history_days: int
    probe_seconds: int
    query_limit_bytes: int
    download_limit_bytes: int

    @property
    def cluster(self) -> ClusterRef | None:
        """The default cluster, if there is one."""
        if not self.default_cluster:
            return None
        subscription, group, name = self.default_cluster.split("/")
        return ClusterRef(subscription, group, name, self.default_storage_account)

    def image(self, name: str) -> str:
        """An image by the registry that the cluster may pull from."""
        return f"{self.acr_name}.azurecr.io/{name}" if self.acr_name else name


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ

    def text(self, name: str, default: str = "") -> str:
        return self.environ.get(name, default)

    def flag(self, name: str, default: bool) -> bool:
        text = self.environ.get(name, "1" if default else "0")
        if text not in ("0", "1"):
            raise _wrong(name, text, "0 or 1")
        return text == "1"

    def number(self, name: str, default: float, *, least: float) -> float:
        text = self.environ.get(name, str(default))
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise _wrong(name, text, "a number")
        if value < least:
            raise _wrong(name, text, f"at least {least:g}")
        return value

    def whole(self, name: str, default: int, *, least: int, most: int | None = None) -> int:
        value = self.number(name, default, least=least)
        if value != int(value):
            raise _wrong(name, self.environ.get(name, ""), "a whole number")
        if most is not None and value > most:
            raise _wrong(name, self.environ.get(name, ""), f"at most {most}")
        return int(value)


def _wrong(name: str, value: str, wanted: str) -> ConfigurationError:
    return ConfigurationError("wrong_setting", f"setting {name} is {value!r}", f"set {name} to {wanted}")


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings and check each by itself.

    Raises:
        ConfigurationError: a setting is wrong; the message has its name.
    """
    read = _Reader(environ)
    hostname = read.text("WEBSITE_HOSTNAME", "localhost:7071")
    auth_mode, dev_user = read.text("AUTH_MODE", "easyauth"), read.text("ELB_DEV_USER", "dev@localhost")
    settings = Settings(
        storage=read.text("AzureWebJobsStorage"),
        table_endpoint=read.text("ELB_STATE_TABLE_ENDPOINT", "https://{account}.table.core.windows.net"),
        blob_endpoint=read.text("ELB_BLOB_ENDPOINT", "https://{account}.blob.core.windows.net"),
        arm_endpoint=read.text("ELB_ARM_ENDPOINT", "https://management.azure.com"),
        credential=read.text("ELB_CREDENTIAL", "default"),
        kubeconfig=read.text("ELB_KUBECONFIG"),
        default_cluster=read.text("ELB_DEFAULT_CLUSTER"),
        default_storage_account=read.text("ELB_DEFAULT_STORAGE_ACCOUNT"),
        acr_name=read.text("ELB_ACR_NAME"),
        region=read.text("ELB_REGION"),
        namespace=read.text("ELB_NAMESPACE", "default"),
        callback_secret=read.text("ELB_CALLBACK_SECRET"),
        callback_url=read.text("ELB_CALLBACK_URL", f"https://{hostname}"),
        parallel_warm_reuse=read.flag("ELB_PARALLEL_WARM_REUSE", True),
        auth_mode=auth_mode,
        hostname=hostname,
        environment=read.text("AZURE_FUNCTIONS_ENVIRONMENT"),
        instance_id=read.text("WEBSITE_INSTANCE_ID"),
        platform_auth_enabled=read.text("WEBSITE_AUTH_ENABLED").lower() == "true",
        dev_user=dev_user,
        external_owner=read.text("ELB_EXTERNAL_OWNER", (auth_mode == "dev" and dev_user) or EXTERNAL_OWNER),
        job_cpus=read.whole("ELB_JOB_CPUS", 4, least=1),
        job_memory_gib=read.number("ELB_JOB_MEMORY_GIB", 2, least=0.1),
        job_memory_limit_gib=read.number("ELB_JOB_MEMORY_LIMIT_GIB", 8, least=0.1),
        job_ttl_seconds=read.whole("ELB_JOB_TTL_SECONDS", 3600, least=120),
        search_deadline_seconds=read.whole("ELB_SEARCH_DEADLINE_SECONDS", 86_400, least=60, most=86_400),
        results_grace_seconds=read.whole("ELB_RESULTS_GRACE_SECONDS", 120, least=0),
        cluster_wait_seconds=read.whole("ELB_CLUSTER_WAIT_SECONDS", 1800, least=0),
        database_wait_seconds=read.whole("ELB_DATABASE_WAIT_SECONDS", 2700, least=0),
        warmup_wait_seconds=read.whole("ELB_WARMUP_WAIT_SECONDS", 2700, least=0),
        capacity_wait_seconds=read.whole("ELB_CAPACITY_WAIT_SECONDS", 1800, least=0),
        active_searches=read.whole("ELB_ACTIVE_SEARCHES", 10, least=1),
        results_days=read.whole("ELB_RESULTS_DAYS", 30, least=1),
        history_days=read.whole("ELB_HISTORY_DAYS", 7, least=1),
        probe_seconds=read.whole("ELB_PROBE_SECONDS", 60, least=1, most=60),
        query_limit_bytes=read.whole("ELB_QUERY_LIMIT_BYTES", 1_000_000, least=1),
        download_limit_bytes=read.whole("ELB_DOWNLOAD_LIMIT_BYTES", 8_000_000, least=1),
    )
    _check(settings)
    return settings


def _check(s: Settings) -> None:
    for name, url in (
        ("ELB_STATE_TABLE_ENDPOINT", s.table_endpoint),
        ("ELB_BLOB_ENDPOINT", s.blob_endpoint),
        ("ELB_ARM_ENDPOINT", s.arm_endpoint),
        ("ELB_CALLBACK_URL", s.callback_url),
    ):
        scheme, host = _scheme_and_host(url)
        if not host or (scheme != "https" and not (scheme == "http" and is_loopback(host))):
            raise _wrong(name, url, "a URL that begins with https:// (or http:// on loopback)")
    if s.default_cluster and not re.fullmatch(r"[^/]+/[^/]+/[^/]+", s.default_cluster):
        raise _wrong("ELB_DEFAULT_CLUSTER", s.default_cluster, "<subscription>/<resource group>/<cluster>")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", s.namespace):
        raise _wrong("ELB_NAMESPACE", s.namespace, "a Kubernetes namespace")
    if not s.external_owner.strip():
        raise _wrong("ELB_EXTERNAL_OWNER", s.external_owner, "the owner of searches begun outside")
    if s.job_memory_limit_gib < s.job_memory_gib:
        raise _wrong("ELB_JOB_MEMORY_LIMIT_GIB", f"{s.job_memory_limit_gib:g}", "at least ELB_JOB_MEMORY_GIB")
    _check_credential(s)


def _scheme_and_host(url: str) -> tuple[str, str]:
    try:
        parsed = urlparse(url)
    except ValueError:  # brackets that hold no IPv6 address
        return "", ""
    return parsed.scheme, parsed.hostname or ""


def _check_credential(s: Settings) -> None:
    if s.credential == "default":
        return
    if not re.fullmatch(r"static:.+", s.credential):
        raise ConfigurationError(
            "wrong_setting", "setting ELB_CREDENTIAL is neither 'default' nor 'static:<token>'", "set it to default"
        )
    for name, url in (
        ("ELB_ARM_ENDPOINT", s.arm_endpoint),
        ("ELB_BLOB_ENDPOINT", s.blob_endpoint),
        ("ELB_STATE_TABLE_ENDPOINT", s.table_endpoint),
    ):
        if not is_loopback(_scheme_and_host(url)[1]):
            raise ConfigurationError(
                "wrong_setting",
                f"setting ELB_CREDENTIAL is a static token, and {name} is {url}, which is not on loopback",
                "a static token is for the one-machine stack only: set ELB_CREDENTIAL to default",
            )


def check_deployment(s: Settings) -> None:
    """What must hold where the app serves requests, besides each setting being right by itself.

    Raises:
        ConfigurationError: authentication would not hold, or a secret is missing.
    """
    if s.auth_mode not in AUTH_MODES:
        raise _wrong("AUTH_MODE", s.auth_mode, "one of " + ", ".join(AUTH_MODES))
    if s.auth_mode == "jwt":
        raise ConfigurationError(
            "wrong_setting", "setting AUTH_MODE is 'jwt', which is not built yet", "set AUTH_MODE to easyauth"
        )
    if s.auth_mode == "easyauth" and not s.platform_auth_enabled:
        raise ConfigurationError(
            "wrong_setting",
            "setting AUTH_MODE is 'easyauth', but WEBSITE_AUTH_ENABLED is not True: anybody could claim to be anybody",
            "switch App Service authentication on",
        )
    on_loopback = s.environment == "Development" and not s.instance_id and is_loopback(without_port(s.hostname))
    if s.auth_mode == "dev" and not on_loopback:
        raise ConfigurationError(
            "wrong_setting",
            "setting AUTH_MODE is 'dev', which is for loopback development only",
            "set AUTH_MODE to easyauth; dev needs AZURE_FUNCTIONS_ENVIRONMENT=Development, a loopback "
            "WEBSITE_HOSTNAME and no WEBSITE_INSTANCE_ID",
        )
    if not s.default_storage_account:
        raise ConfigurationError(
            "wrong_setting",
            "setting ELB_DEFAULT_STORAGE_ACCOUNT is empty, and the state lies there",
            "set it to the name of the data storage account",
        )
    if not s.callback_secret:
        raise ConfigurationError(
            "wrong_setting", "setting ELB_CALLBACK_SECRET is empty", "set it to a random text (a Key Vault reference)"
        )


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read on first use."""
    return read_settings(os.environ)


def validate_at_start() -> None:
    """Stop the start on a wrong setting. Called while a Functions host indexes the app; does nothing elsewhere.

    Raises:
        ConfigurationError: naming the setting.
    """
    if os.environ.get("FUNCTIONS_WORKER_RUNTIME"):
        check_deployment(settings())
