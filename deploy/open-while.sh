#!/bin/sh
# Lets this machine's address through to the app, runs a command, and closes that again whatever happens: when the
# command fails, when the opening itself fails half-way, when it is interrupted or told to end.
#
#   RESOURCE_GROUP=... APP_NAME=... ADDRESS=203.0.113.7 SITES="scm main" deploy/open-while.sh <command> [arguments]
#
# SITES names which of the app's two sites is opened: scm, to which packages are deployed, main, which serves, or both.
# Name only a site that lets known addresses in: a first rule on one that has none shuts everybody else out meanwhile.
# Leave ADDRESS empty where everybody may reach both, and the command runs as it is. Exit code: the command's; 69 when
# a site cannot be opened; 70 when one cannot be closed again (close it by hand).
set -u
: "${RESOURCE_GROUP?}" "${APP_NAME?}" "${ADDRESS?}" "${SITES=scm}"
[ -n "$ADDRESS" ] || exec "$@"
for site in $SITES; do
    case $site in scm | main) ;; *) echo "SITES names scm, main or both, not $site" >&2 && exit 64 ;; esac
done
rule="deploy-$(printf %s "$ADDRESS" | tr -c '0-9a-z' '-')"
running='' before=''

# started COMMAND...: run it in the background, so that a signal is taken at once and not when the command has ended. A
# signal may come before its number is known to anything but $!.
started() {
    before=${!-} running=1
    "$@" &
    wait "$!"
    code=$?
    running=
}

# on SITE: how az is told which site is meant.
on() { if [ "$1" = scm ]; then echo true; else echo false; fi; }

# is_gone SITE: the rule is known not to be there.
is_gone() {
    rules=ipSecurityRestrictions
    [ "$1" = main ] || rules=scmIpSecurityRestrictions
    found=$(az functionapp config access-restriction show --resource-group "$RESOURCE_GROUP" --name "$APP_NAME" \
        --query "$rules[?name=='$rule'].name" --output tsv) && [ -z "$found" ]
}

# shut SITE: az fails also when there is nothing to remove, which is as good.
shut() {
    for try in 1 2 3; do
        if az functionapp config access-restriction remove --resource-group "$RESOURCE_GROUP" --name "$APP_NAME" \
            --rule-name "$rule" --scm-site "$(on "$1")" --output none || is_gone "$1"; then
            echo "closed: $rule, $1"
            return 0
        fi
        [ "$try" = 3 ] || sleep "${PAUSE_SECONDS:-5}"
    done
    echo "NOT closed: remove the access restriction $rule of $APP_NAME ($1 site) by hand" >&2
    return 1
}

close() {
    code=$?
    trap - EXIT
    trap '' HUP INT TERM # once is enough
    if [ -n "$running" ] && [ "${!-}" != "$before" ]; then
        # Told again until it is gone: one that is just being started may not hear the first time.
        while kill "$!" 2>/dev/null; do sleep 0.1; done
    fi
    for site in $SITES; do shut "$site" || code=70; done
    exit "$code"
}
trap close EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Whether this comes to its end is not known when it fails: it is closed in any case.
for site in $SITES; do
    az functionapp config access-restriction add --resource-group "$RESOURCE_GROUP" --name "$APP_NAME" \
        --rule-name "$rule" --action Allow --ip-address "$ADDRESS/32" --priority 100 --scm-site "$(on "$site")" \
        --output none || exit 69
    echo "open: $rule, $site"
done
# A rule takes a moment to act.
started sleep "${SETTLE_SECONDS:-15}"
started "$@"
exit "$code"
