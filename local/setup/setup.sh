#!/bin/sh
# Makes everything that the make targets need: the .venv, node_modules and, as root, Debian's packages.
#
# Called by make before every target that runs something. Each part leaves a stamp in .local/setup, written last and
# holding the hash of what the part was made from: an interrupted part is made again, a finished one costs nothing.
# One at a time, by a lock: two makes in one folder wait for each other.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"
stamps=$root/.local/setup
mkdir -p "$stamps"

# What must be there, and the Debian package that brings it. kubectl counts as there whoever brought it: a vendor's
# package may own /usr/bin/kubectl, and dpkg then refuses kubernetes-client half-way.
needs="
    blastn=ncbi-blast+
    blastdbcheck=ncbi-blast+
    vmtouch=vmtouch
    bwrap=bubblewrap
    curl=curl
    kubectl=kubernetes-client
    /usr/share/resfinder/db/all.name=resfinder-db
    /usr/lib/*/libsecret-1.so.0=libsecret-1-0
"
azcopy=node_modules/@azure-tools/azcopy-linux/dist/bin/azcopy_linux_amd64

say() { printf '%s\n' "$*"; }
die() { say "$*" >&2; exit 1; }

# wanted PART: the hash of what PART is made from.
wanted() {
    case $1 in
        python) cat requirements.txt requirements-dev.txt constraints.txt local/setup/find-python.sh ;;
        node) cat package.json package-lock.json ;;
        system) say "$needs" ;;
    esac | sha256sum | cut -d' ' -f1
}

# is_done PART: its stamp matches and what it made is still there.
is_done() {
    [ "$(cat "$stamps/$1" 2>/dev/null)" = "$(wanted "$1")" ] || return 1
    case $1 in
        python) [ -x .venv/bin/python ] && .venv/bin/python -S -c '' 2>/dev/null ;;
        node) [ -f node_modules/.package-lock.json ] && [ -x "$azcopy" ] ;;
        system) [ -z "$(missing_packages)" ] ;;
    esac
}

# timed LABEL COMMAND...: one line when it ends, with its seconds; its output only when it fails.
timed() {
    label=$1
    shift
    began=$(date +%s)
    if ! "$@" >"$stamps/output" 2>&1; then
        tail -n 30 "$stamps/output" >&2
        die "setup: $label failed (all of its output: $stamps/output)"
    fi
    say "setup: $label ($(($(date +%s) - began)) s)"
}

# A virtual environment whose Python is gone or is another version is made anew; one that fits is only brought up to date.
make_python() {
    python=$(sh local/setup/find-python.sh)
    if [ "$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" != 3.13 ]; then
        timed "virtual environment .venv with $python" "$python" -m venv --clear .venv
    fi
    timed "Python packages into .venv" .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
}

# npm writes node_modules/.package-lock.json last: with it, and nothing missing, somebody's own "npm ci" is accepted. With
# an old stamp the lock file is another one than then, and only npm ci brings all of that.
make_node() {
    command -v npm >/dev/null 2>&1 || die "Node >= 20 with npm is needed: apt-get install nodejs npm, or see https://nodejs.org/"
    [ "$(node -p 'parseInt(process.versions.node)')" -ge 20 ] || die "Node >= 20 is needed; $(command -v node) is $(node --version)"
    if [ -f "$stamps/node" ] || ! { [ -f node_modules/.package-lock.json ] && npm ls --all >/dev/null 2>&1; }; then
        timed "Node packages into node_modules" npm ci --no-audit --no-fund --loglevel=error
    fi
    chmod +x "$azcopy"
}

# missing_packages: Debian's names of what is not there, each after a blank.
missing_packages() {
    found=
    for need in $needs; do
        thing=${need%%=*} package=${need#*=}
        case "$thing" in
            # Unquoted on purpose: the pattern stands for whatever architecture this machine has.
            /*) set -- $thing; [ -e "$1" ] && continue ;;
            *) command -v "$thing" >/dev/null 2>&1 && continue ;;
        esac
        case "$found " in *" $package "*) ;; *) found="$found $package" ;; esac
    done
    printf '%s' "$found"
}

make_system() {
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    # Unquoted on purpose: one word per package.
    if [ "$(id -u)" != 0 ]; then
        die "Debian packages are missing; run this and then make again: sudo apt-get install -y --no-install-recommends$missing"
    fi
    command -v apt-get >/dev/null 2>&1 || die "These are missing and there is no apt-get to install them:$missing"
    timed "list of Debian packages" apt-get update -qq
    timed "Debian packages$missing" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
    [ -z "$(missing_packages)" ] || die "setup: still missing after the installation:$(missing_packages)"
}

all_done() { is_done python && is_done node && is_done system; }

all_done && exit 0
# Whoever comes second waits here, and then finds everything done.
exec 9>"$stamps/lock"
flock 9
for part in system python node; do
    is_done "$part" && continue
    "make_$part"
    wanted "$part" >"$stamps/$part.new"
    mv "$stamps/$part.new" "$stamps/$part"
done
