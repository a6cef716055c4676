#!/bin/sh
# "azd down" deletes whole resource groups. With an existing cluster the group is the cluster's own, and was there before.
set -eu

if [ "${ELB_CLUSTER_MODE-new}" = existing ]; then
    echo "azd down would delete the group ${AZURE_RESOURCE_GROUP-} with the existing cluster and all else in it." >&2
    echo "Delete what azd made by hand (docs/azure.md)." >&2
    exit 1
fi
