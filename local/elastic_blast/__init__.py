"""A stand-in for the command line ``elastic-blast``, for the one-machine stack and the tests. It is not elastic-blast.

It reads the same configuration, makes Kubernetes Jobs with the same names, labels, containers and variables (held by a
test against ``recorded.json``), runs real BLAST on the whole database, writes the same blobs, and ends with the same
exit codes. What it does not do: clusters, persistent volumes, partitioned databases, cost, any cloud but the local one.

It runs inside a pod with the Python that the pod's image has: standard library only. How it reaches the cluster and
the storage, which in Azure the pod's identity gives, it is told by its environment:

``ELB_STAND_IN_KUBERNETES``, ``ELB_STAND_IN_TOKEN``: the API server's URL and a bearer token.
``ELB_STAND_IN_SAS``: the query string of a signature for the storage account.
``ELB_STAND_IN``: what it shall do wrong, as in ``faults.py``.
"""
