#!/bin/sh
# Before anything is deployed: makes the two secrets, once, and says what is missing.
#
# A value that was set stays, and so does an empty one: an empty ELB_WEBHOOK_SECRET switches webhooks off, and an empty
# ELB_CALLBACK_SECRET is refused here, because the app would not start with it.
set -eu

fail() {
    echo "$1" >&2
    exit 1
}

# 64 characters of 0-9 and a-f: 256 bits.
random() {
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

[ -n "${ELB_AUTH_CLIENT_ID-}" ] ||
    fail "ELB_AUTH_CLIENT_ID is not set: make the app registration (docs/azure.md), then: azd env set ELB_AUTH_CLIENT_ID <client id>"

if [ "${ELB_CLUSTER_MODE-new}" = existing ]; then
    [ -n "${ELB_CLUSTER_NAME-}" ] || fail "ELB_CLUSTER_NAME is not set: name the existing cluster"
    [ -n "${AZURE_RESOURCE_GROUP-}" ] || fail "AZURE_RESOURCE_GROUP is not set: it must be the existing cluster's own"
    if [ -z "${ELB_NODES_SUBNET_ID-}" ] && [ "${ELB_DATA_FIREWALL-Deny}" = Deny ]; then
        fail "ELB_NODES_SUBNET_ID is not set: the nodes would not get through the firewall of the data account"
    fi
fi

if [ -z "${ELB_CALLBACK_SECRET+set}" ]; then
    azd env set ELB_CALLBACK_SECRET "$(random)"
    echo "made ELB_CALLBACK_SECRET"
elif [ -z "$ELB_CALLBACK_SECRET" ]; then
    fail "ELB_CALLBACK_SECRET is empty, and the app does not start without it: azd env set ELB_CALLBACK_SECRET <32 characters or more>"
fi

if [ -z "${ELB_WEBHOOK_SECRET+set}" ]; then
    azd env set ELB_WEBHOOK_SECRET "$(random)"
    echo "made ELB_WEBHOOK_SECRET"
elif [ -z "$ELB_WEBHOOK_SECRET" ]; then
    echo "ELB_WEBHOOK_SECRET is empty: webhooks are off"
fi
