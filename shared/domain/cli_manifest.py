"""What the command line's submit helper is given: its configuration file and its Job, as whole values.

Pure; called by ``activities/cli_engine.py``. The keys are those of elastic-blast (``elastic_blast/constants.py``,
``CFG_*``).
"""

from __future__ import annotations

import configparser
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.errors import PermanentError
from shared.domain.manifests import MANAGED_BY, literal
from shared.domain.names import label_value, plain_name
from shared.domain.snapshot import ATTEMPT_LABEL, JOB_ID_LABEL

APP_OPENAPI = "elb-openapi"
APP_HELPER = "elb-submit"
HELPER_CONTAINER = "submit"
HELPER_TTL_SECONDS = 300
_UNWATCHED_SECONDS = 600
"""How much longer than it is waited for the helper may run: it ends also when nobody watches any more."""
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff%]")
"""elastic-blast reads the file with interpolation, so that a ``%`` would be the end of it."""

SCRIPT = """\
PATH="/opt/venv/bin:$PATH"
umask 077
config=$(mktemp --suffix=.ini) || exit 70
printf '%s' "$ELB_SUBMIT_CONFIG" >"$config"
elastic-blast submit --cfg "$config" --idempotency-key "$1" 2>&1
code=$?
printf '\\nEXIT_CODE=%s\\n' "$code"
exit "$code"
"""


@dataclass(frozen=True, slots=True)
class CliConfig:
    """One search, as elastic-blast is told of it.

    Attributes:
        database_url: URL of the database's files without their extensions.
        queries_url: URL of the query.
        results_url: URL of the container of results; the command adds its own id as a folder.
        options: BLAST options as one text, quoted as for a shell.
        memory_request, memory_limit: of a BLAST Job, with unit (``2G``).
    """

    region: str
    resource_group: str
    storage_account: str
    acr_name: str
    cluster_name: str
    machine_type: str
    nodes: int
    program: str
    database_url: str
    queries_url: str
    results_url: str
    options: str
    batch_len: int
    memory_request: str
    memory_limit: str

    def sections(self) -> dict[str, dict[str, str]]:
        """Section -> key -> value."""
        return {
            "cloud-provider": {
                "azure-region": self.region,
                "azure-resource-group": self.resource_group,
                "azure-storage-account": self.storage_account,
                "azure-acr-name": self.acr_name,
            },
            "cluster": {
                "name": self.cluster_name,
                "machine-type": self.machine_type,
                "num-nodes": str(self.nodes),
                "reuse": "true",
                "exp-use-local-ssd": "true",
            },
            "blast": {
                "program": self.program,
                "db": self.database_url,
                "queries": self.queries_url,
                "results": self.results_url,
                "options": self.options,
                "batch-len": str(self.batch_len),
                "mem-request": self.memory_request,
                "mem-limit": self.memory_limit,
            },
        }

    def text(self) -> str:
        """The file.

        Raises:
            PermanentError: ``config_value_refused`` for a value that would not be read as it was written.
        """
        sections = self.sections()
        for section, entries in sections.items():
            for key, value in entries.items():
                if _UNFIT.search(value) or value != value.strip():
                    raise _refused(section, key, value)
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_dict(sections)
        file = io.StringIO()
        parser.write(file)
        again = configparser.ConfigParser(interpolation=None)
        again.read_string(file.getvalue())
        for section, entries in sections.items():
            for key, value in entries.items():
                if again.get(section, key, fallback=None) != value:
                    raise _refused(section, key, value)
        return file.getvalue()


def _refused(section: str, key: str, value: str) -> PermanentError:
    return PermanentError(
        "config_value_refused",
        f"{section}.{key} cannot be {value!r} in a configuration of elastic-blast",
        "it must be one line without control characters, without % and without blanks at its ends",
    )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the helper takes over from the running elb-openapi pod: where and as whom it runs."""

    image: str
    service_account: str
    env: Sequence[Mapping[str, Any]] = ()
    labels: Mapping[str, str] | None = None
    pod: Mapping[str, Any] | None = None


_ENV = re.compile(r"(?:AZURE|AZCOPY|ELB)_.*", re.DOTALL)
_OWN_SECRETS = re.compile(r"ELB_OPENAPI_.*", re.DOTALL)
_BEFORE_THE_FILE = frozenset(
    {
        "AZURE_STORAGE_ACCOUNT",
        "ELB_AZURE_REGION",
        "ELB_AZURE_RESOURCE_GROUP",
        "ELB_BATCH_LEN",
        "ELB_BID_PERCENTAGE",
        "ELB_CLUSTER_NAME",
        "ELB_PARALLEL_WARM_REUSE",
        "ELB_RESULTS",
        "ELB_SUBMIT_CONFIG",
        "ELB_USE_PREEMPTIBLE",
    }
)
"""What elastic-blast would take before the file (``elastic_blast/config.py``), and what the helper is given itself."""
_IDENTITY_LABEL = "azure.workload.identity/use"
_PLACE = ("nodeSelector", "tolerations", "imagePullSecrets")


def surroundings_of(pods: Sequence[Mapping[str, Any]]) -> Surroundings | None:
    """Image, service account, place and Azure settings of a running elb-openapi pod; None when none runs.

    Args:
        pods: the pods labelled ``app=elb-openapi``, as the API server's JSON.
    """
    running = [
        pod
        for pod in pods
        if (pod.get("status") or {}).get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
    ]
    if not running:
        return None
    pod = min(running, key=lambda each: str(each["metadata"]["name"]))
    spec, labels = pod["spec"], pod["metadata"].get("labels") or {}
    container = spec["containers"][0]
    return Surroundings(
        image=container["image"],
        service_account=spec.get("serviceAccountName") or "default",
        env=tuple(dict(entry) for entry in container.get("env") or () if _is_passed_on(str(entry.get("name", "")))),
        labels={_IDENTITY_LABEL: labels[_IDENTITY_LABEL]} if _IDENTITY_LABEL in labels else {},
        pod={name: spec[name] for name in _PLACE if spec.get(name)},
    )


def _is_passed_on(name: str) -> bool:
    return bool(_ENV.fullmatch(name)) and not _OWN_SECRETS.fullmatch(name) and name not in _BEFORE_THE_FILE


def helper_name(job_id: str, attempt: int = 1, number: int = 1) -> str:
    """``elb-submit-<job id>``; a second attempt of the search and a further helper of an attempt have it in the name.

    Args:
        number: which helper of the attempt, from 1.
    """
    more = [f"a{attempt}"] if attempt > 1 else []
    more += [f"t{number}"] if number > 1 else []
    return plain_name(APP_HELPER, job_id, *more)


@dataclass(frozen=True, slots=True)
class HelperJob:
    """Everything that makes one submit helper.

    Attributes:
        config: text of the configuration file.
        parallel_warm_reuse: what the command gets as ``ELB_PARALLEL_WARM_REUSE``.
        deadline_seconds: how long it is waited for.
    """

    job_id: str
    attempt: int
    number: int
    config: str
    parallel_warm_reuse: bool
    deadline_seconds: int
    surroundings: Surroundings

    @property
    def name(self) -> str:
        """The Job's name: the same for the same helper."""
        return helper_name(self.job_id, self.attempt, self.number)

    def manifest(self) -> dict[str, Any]:
        """The whole Job. It may use the API (it makes Jobs), so it has the service account's token."""
        around = self.surroundings
        labels = {
            "app": APP_HELPER,
            JOB_ID_LABEL: label_value(self.job_id),
            ATTEMPT_LABEL: str(self.attempt),
            "app.kubernetes.io/managed-by": MANAGED_BY,
        }
        own = {"ELB_PARALLEL_WARM_REUSE": "1" if self.parallel_warm_reuse else "0", "ELB_SUBMIT_CONFIG": self.config}
        container = {
            "name": HELPER_CONTAINER,
            "image": around.image,
            "command": ["/bin/bash", "-c", literal(SCRIPT), "elb-submit"],
            "args": [literal(self.job_id)],
            "env": [*map(dict, around.env), *({"name": n, "value": literal(v)} for n, v in own.items())],
            "resources": {
                "requests": {"cpu": "250m", "memory": "256Mi"},
                "limits": {"cpu": "2", "memory": "2Gi"},
            },
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": self.name, "labels": labels},
            "spec": {
                "backoffLimit": 0,
                "activeDeadlineSeconds": self.deadline_seconds + _UNWATCHED_SECONDS,
                "ttlSecondsAfterFinished": HELPER_TTL_SECONDS,
                "template": {
                    "metadata": {"labels": {**labels, **(around.labels or {})}},
                    "spec": {
                        "restartPolicy": "Never",
                        "serviceAccountName": around.service_account,
                        "enableServiceLinks": False,
                        "terminationGracePeriodSeconds": 5,
                        **(around.pod or {}),
                        "containers": [container],
                    },
                },
            },
        }
