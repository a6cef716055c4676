"""The app's settings: read once from the environment, validated at start, listed in ``docs/settings.md``.

A wrong setting stops the start with its name. An explicitly set empty value is a value, not an absence. Importing
this module reads nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from shared.domain.errors import ConfigurationError
from shared.domain.search import ClusterRef
from shared.domain.webhook_urls import AllowedReceivers, read_allowed
from shared.domain.webhooks import MIN_SECRET
from shared.hosts import is_loopback, scheme_and_host, without_port
from shared.settings_reader import Reader, wrong_setting

AUTH_MODES = ("easyauth", "jwt", "dev")
EXTERNAL_OWNER = "external"
"""Owner of searches begun outside: nobody who signs in, so that only operators see them."""
ENTRA = "https://login.microsoftonline.com"
"""Issues the tokens of ``AUTH_MODE=jwt``. Its paths below are those of version 2.0 (Microsoft Entra, "Access tokens in
the Microsoft identity platform")."""
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
VCPU_HOUR_USD = 0.063
"""Pay-as-you-go price of an E-series vCPU (docs/decisions/0031-cost-from-observed-run-time.md)."""
_PRICE = "ELB_VCPU_HOUR_USD"
MOST_DAYS = 36_500
"""A century; times beyond the year 9999 cannot be stored."""


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
    auth_tenant_id: str
    auth_audiences: tuple[str, ...]
    auth_issuer: str
    auth_keys_url: str
    external_owner: str
    job_cpus: int
    vcpu_hour_usd: float
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
    query_body_limit_bytes: int
    query_upload_limit_bytes: int
    query_sequences: int
    upload_days: int
    download_limit_bytes: int
    rate_submit: int
    rate_validate: int
    rate_upload: int
    webhook_secret: str = field(repr=False)
    webhook_allow: str
    webhook_retry_seconds: int

    @property
    def cluster(self) -> ClusterRef | None:
        """The default cluster, if there is one."""
        if not self.default_cluster:
            return None
        subscription, group, name = self.default_cluster.split("/")
        return ClusterRef(subscription, group, name, self.default_storage_account)

    @property
    def allowed_receivers(self) -> AllowedReceivers:
        """Receivers of webhooks that may be where others may not."""
        return read_allowed(self.webhook_allow)

    def image(self, name: str) -> str:
        """An image by the registry that the cluster may pull from."""
        return f"{self.acr_name}.azurecr.io/{name}" if self.acr_name else name


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings and check each by itself.

    Raises:
        ConfigurationError: a setting is wrong; the message has its name.
    """
    read = Reader(environ)
    hostname = read.text("WEBSITE_HOSTNAME", "localhost:7071")
    auth_mode, dev_user = read.text("AUTH_MODE", "easyauth"), read.text("ELB_DEV_USER", "dev@localhost")
    tenant = read.text("AUTH_TENANT_ID").lower()
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
        auth_tenant_id=tenant,
        auth_audiences=tuple(name.strip() for name in read.text("AUTH_AUDIENCE").split(",") if name.strip()),
        auth_issuer=read.text("AUTH_ISSUER", f"{ENTRA}/{tenant}/v2.0"),
        auth_keys_url=read.text("AUTH_KEYS_URL", f"{ENTRA}/{tenant}/discovery/v2.0/keys"),
        external_owner=read.text("ELB_EXTERNAL_OWNER", (auth_mode == "dev" and dev_user) or EXTERNAL_OWNER),
        job_cpus=read.whole("ELB_JOB_CPUS", 4, least=1),
        vcpu_hour_usd=read.number(_PRICE, VCPU_HOUR_USD, least=0) if read.text(_PRICE, "-") else 0.0,
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
        results_days=read.whole("ELB_RESULTS_DAYS", 30, least=1, most=MOST_DAYS),
        history_days=read.whole("ELB_HISTORY_DAYS", 7, least=1, most=MOST_DAYS),
        probe_seconds=read.whole("ELB_PROBE_SECONDS", 60, least=1, most=60),
        query_limit_bytes=read.whole("ELB_QUERY_LIMIT_BYTES", 1_000_000, least=1),
        query_body_limit_bytes=read.whole("ELB_QUERY_BODY_LIMIT_BYTES", 100_000_000, least=1),
        query_upload_limit_bytes=read.whole("ELB_QUERY_UPLOAD_LIMIT_BYTES", 2_000_000_000, least=1, most=4_000_000_000),
        query_sequences=read.whole("ELB_QUERY_SEQUENCES", 1_000_000, least=1),
        upload_days=read.whole("ELB_UPLOAD_DAYS", 7, least=1, most=MOST_DAYS),
        download_limit_bytes=read.whole("ELB_DOWNLOAD_LIMIT_BYTES", 8_000_000, least=1),
        rate_submit=read.whole("ELB_RATE_SUBMIT", 60, least=0),
        rate_validate=read.whole("ELB_RATE_VALIDATE", 120, least=0),
        rate_upload=read.whole("ELB_RATE_UPLOAD", 30, least=0),
        webhook_secret=read.text("ELB_WEBHOOK_SECRET"),
        webhook_allow=read.text("ELB_WEBHOOK_ALLOW"),
        webhook_retry_seconds=read.whole("ELB_WEBHOOK_RETRY_SECONDS", 86_400, least=0, most=604_800),
    )
    _check(settings)
    return settings


def _check(s: Settings) -> None:
    for name, url in (
        ("ELB_STATE_TABLE_ENDPOINT", s.table_endpoint),
        ("ELB_BLOB_ENDPOINT", s.blob_endpoint),
        ("ELB_ARM_ENDPOINT", s.arm_endpoint),
        ("ELB_CALLBACK_URL", s.callback_url),
        ("AUTH_ISSUER", s.auth_issuer),
        ("AUTH_KEYS_URL", s.auth_keys_url),
    ):
        scheme, host = scheme_and_host(url)
        if not host or (scheme != "https" and not (scheme == "http" and is_loopback(host))):
            raise wrong_setting(name, url, "a URL that begins with https:// (or http:// on loopback)")
    if s.default_cluster and not re.fullmatch(r"[^/]+/[^/]+/[^/]+", s.default_cluster):
        raise wrong_setting("ELB_DEFAULT_CLUSTER", s.default_cluster, "<subscription>/<resource group>/<cluster>")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", s.namespace):
        raise wrong_setting("ELB_NAMESPACE", s.namespace, "a Kubernetes namespace")
    if not s.external_owner.strip():
        raise wrong_setting("ELB_EXTERNAL_OWNER", s.external_owner, "the owner of searches begun outside")
    if s.job_memory_limit_gib < s.job_memory_gib:
        raise wrong_setting("ELB_JOB_MEMORY_LIMIT_GIB", f"{s.job_memory_limit_gib:g}", "at least ELB_JOB_MEMORY_GIB")
    _check_webhooks(s)
    _check_credential(s)


def _check_webhooks(s: Settings) -> None:
    if s.webhook_secret and len(s.webhook_secret) < MIN_SECRET:
        raise ConfigurationError(
            "wrong_setting",
            f"setting ELB_WEBHOOK_SECRET has fewer than {MIN_SECRET} characters",
            "set it to a longer random text",
        )
    try:
        read_allowed(s.webhook_allow)
    except ValueError as error:
        raise wrong_setting("ELB_WEBHOOK_ALLOW", str(error), "networks and host names with commas between") from error


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
        if not is_loopback(scheme_and_host(url)[1]):
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
        raise wrong_setting("AUTH_MODE", s.auth_mode, "one of " + ", ".join(AUTH_MODES))
    if s.auth_mode == "jwt":
        _check_jwt(s)
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


def _check_jwt(s: Settings) -> None:
    # A name such as "common" would let in whoever has an account with any tenant at all.
    if not _GUID.fullmatch(s.auth_tenant_id):
        raise wrong_setting("AUTH_TENANT_ID", s.auth_tenant_id, "the tenant's id (AUTH_MODE is 'jwt')")
    if not s.auth_audiences:
        raise wrong_setting("AUTH_AUDIENCE", "", "what tokens for this app have as aud (AUTH_MODE is 'jwt')")


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
