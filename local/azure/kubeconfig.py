"""A kubeconfig as AKS hands it out. Used by the credential calls of the emulator and for the file that people use."""

from __future__ import annotations

from typing import Any


def kubeconfig(cluster: str, server: str, token: str, namespace: str = "default") -> dict[str, Any]:
    """One cluster, one user, one context.

    Args:
        cluster: name of the cluster and of the context.
        server: address of the Kubernetes API.
        token: bearer token of the user.
        namespace: the context's default.
    """
    user = f"clusterUser_{cluster}"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": server}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user, "namespace": namespace}}],
        "current-context": cluster,
    }
