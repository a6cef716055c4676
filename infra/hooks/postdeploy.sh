#!/bin/sh
# After a deployment: has the app put elb-openapi onto a new cluster. Doing it again does no harm: what is there is
# repaired. ELB_DEPLOY_OPENAPI=1 does it on an existing cluster as well, an empty one on none.
#
# Exit code 1: it was not begun, and the message says how to do it by hand. Only the command-line engine needs it.
set -eu

by_hand="As an operator: POST $ELB_APP_URL/api/aks/openapi/deploy with the body {}"
case ${ELB_CLUSTER_MODE-new} in
    new) wanted=${ELB_DEPLOY_OPENAPI-1} ;;
    *) wanted=${ELB_DEPLOY_OPENAPI-} ;;
esac
if [ "$wanted" != 1 ]; then
    echo "elb-openapi is left as it is."
    exit 0
fi
if [ -z "${ELB_IMAGE_REGISTRY-}" ]; then
    echo "elb-openapi is not deployed: there is no registry with its image (ELB_REGISTRY_NAME, docs/azure.md)." >&2
    exit 1
fi
if ! token=$(azd auth token --scope "api://$ELB_AUTH_CLIENT_ID/.default") || [ -z "$token" ]; then
    echo "elb-openapi is not deployed: no token for the app could be had. $by_hand" >&2
    exit 1
fi

# By standard input: what is an argument, everybody on this machine can see. A new app takes a while to start.
status=$(printf 'header = "Authorization: Bearer %s"\n' "$token" |
    curl --config - --silent --show-error --output /dev/null --write-out '%{http_code}' --max-time 60 \
        --retry 5 --retry-delay "${PAUSE_SECONDS-20}" --request POST --header 'Content-Type: application/json' \
        --data '{}' "$ELB_APP_URL/api/aks/openapi/deploy") || status=none
if [ "$status" != 202 ]; then
    echo "elb-openapi is not deployed: the app answered $status. $by_hand" >&2
    exit 1
fi
echo "The app deploys elb-openapi now; it takes up to 10 minutes."
