"""The resources that the emulator serves, in one table: discovery, routes and the store all read it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource: its group and version ("" is the core group) and the names it goes by."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    status: bool = False
    verbs: tuple[str, ...] = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")

    @property
    def api_version(self) -> str:
        """`v1` or `batch/v1`, as in an object's apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """`pods` or `jobs.batch`, as in the API server's messages."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        """`pod`, as in discovery."""
        return self.kind.lower()


NAMESPACES = Kind("", "v1", "namespaces", "Namespace", namespaced=False, short_names=("ns",), status=True)
NODES = Kind("", "v1", "nodes", "Node", namespaced=False, short_names=("no",), status=True)
PODS = Kind("", "v1", "pods", "Pod", short_names=("po",), categories=("all",), status=True)
CONFIG_MAPS = Kind("", "v1", "configmaps", "ConfigMap", short_names=("cm",))
SECRETS = Kind("", "v1", "secrets", "Secret")
EVENTS = Kind("", "v1", "events", "Event", short_names=("ev",))
SERVICE_ACCOUNTS = Kind("", "v1", "serviceaccounts", "ServiceAccount", short_names=("sa",))
SERVICES = Kind("", "v1", "services", "Service", short_names=("svc",), categories=("all",), status=True)
RESOURCE_QUOTAS = Kind("", "v1", "resourcequotas", "ResourceQuota", short_names=("quota",), status=True)
LIMIT_RANGES = Kind("", "v1", "limitranges", "LimitRange", short_names=("limits",))
JOBS = Kind("batch", "v1", "jobs", "Job", categories=("all",), status=True)
DAEMON_SETS = Kind("apps", "v1", "daemonsets", "DaemonSet", short_names=("ds",), categories=("all",), status=True)
DEPLOYMENTS = Kind("apps", "v1", "deployments", "Deployment", short_names=("deploy",), categories=("all",), status=True)
ROLES = Kind("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS = Kind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
LEASES = Kind("coordination.k8s.io", "v1", "leases", "Lease")
NODE_METRICS = Kind("metrics.k8s.io", "v1beta1", "nodes", "NodeMetrics", namespaced=False, verbs=("get", "list"))
POD_METRICS = Kind("metrics.k8s.io", "v1beta1", "pods", "PodMetrics", verbs=("get", "list"))

ALL_KINDS: tuple[Kind, ...] = (
    NAMESPACES,
    NODES,
    PODS,
    CONFIG_MAPS,
    SECRETS,
    EVENTS,
    SERVICE_ACCOUNTS,
    SERVICES,
    RESOURCE_QUOTAS,
    LIMIT_RANGES,
    JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    ROLES,
    ROLE_BINDINGS,
    LEASES,
    NODE_METRICS,
    POD_METRICS,
)

_BY_PATH = {(kind.group, kind.version, kind.plural): kind for kind in ALL_KINDS}


def find_kind(group: str, version: str, plural: str) -> Kind | None:
    """The resource at `/apis/<group>/<version>/<plural>`, or None."""
    return _BY_PATH.get((group, version, plural))
