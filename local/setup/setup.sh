#!/bin/sh
# Makes everything that the make targets need: the .venv, node_modules, the built page and, as root, Debian's packages.
#
# Called by make before every target that runs something; with "tests" before the tests, which also need a browser and
# an environment like the app's on Azure. Each part leaves a stamp in .local/setup, written last and holding the hash of
# what the part was made from: a finished part costs nothing. A file PART.begun lies there while a part is being made, so
# that one that was interrupted half-way is made again from nothing.
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
browser_needs="chromium=chromium"
parts="system python node page"
[ "${1:-}" != tests ] || parts="$parts browser app portal"
azcopy=node_modules/@azure-tools/azcopy-linux/dist/bin/azcopy_linux_amd64

say() { printf '%s\n' "$*"; }
die() { say "$*" >&2; exit 1; }

# wanted PART: the hash of what PART is made from.
wanted() {
    case $1 in
        python) cat requirements.txt requirements-dev.txt constraints.txt local/setup/find-python.sh ;;
        node) cat package.json package-lock.json ;;
        app) cat requirements.txt constraints.txt local/setup/find-python.sh ;;
        system) say "$needs" ;;
        browser) say "$browser_needs" ;;
        portal) cat tests/portal/package.json tests/portal/package-lock.json ;;
        # Unquoted on purpose: whatever the page is made of.
        page) cat web/package.json web/package-lock.json web/*.js* web/*.html web/public/*/* web/src/*.* web/src/*/* ;;
    esac | sha256sum | cut -d' ' -f1
}

# is_done PART: nobody was interrupted while making it, its stamp matches and what it made is still there.
is_done() {
    [ ! -e "$stamps/$1.begun" ] || return 1
    [ "$(cat "$stamps/$1" 2>/dev/null)" = "$(wanted "$1")" ] || return 1
    case $1 in
        python) [ -x .venv/bin/python ] && .venv/bin/python -S -c '' 2>/dev/null ;;
        app) [ -x .venv-app/bin/python ] ;;
        node) [ -f node_modules/.package-lock.json ] && [ -x "$azcopy" ] ;;
        system) [ -z "$(missing_packages "$needs")" ] ;;
        browser) [ -z "$(missing_packages "$browser_needs")" ] ;;
        portal) [ -f tests/portal/node_modules/.package-lock.json ] ;;
        page) [ -f web/dist/index.html ] && [ -f web/node_modules/.package-lock.json ] ;;
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

# fits: .venv is of the right Python, has pip, and nobody was interrupted while filling it. After an interruption pip
# takes packages that it has half-copied for installed ones, so only a new environment is sure to be whole.
fits() {
    [ ! -e "$stamps/python.begun" ] || return 1
    [ "$(.venv/bin/python -c 'import sys, pip; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = 3.13 ]
}

# A virtual environment that does not fit is made anew; one that does is only brought up to date.
make_python() {
    python=$(sh local/setup/find-python.sh)
    if ! fits; then
        : >"$stamps/python.begun"
        timed "virtual environment .venv with $python" "$python" -m venv --clear .venv
    fi
    : >"$stamps/python.begun"
    timed "Python packages into .venv" .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
    rm "$stamps/python.begun"
}

# npm writes node_modules/.package-lock.json last: with it, and nothing missing, somebody's own "npm ci" is accepted. With
# an old stamp the lock file is another one than then, and only npm ci brings all of that. npm ci itself begins by
# removing node_modules, so that an interrupted one only has to be run again.
make_node() {
    need_node
    if [ -e "$stamps/node" ] || [ -e "$stamps/node.begun" ] || ! npm_is_done; then
        : >"$stamps/node.begun"
        timed "Node packages into node_modules" npm ci --no-audit --no-fund --loglevel=error
        rm "$stamps/node.begun"
    fi
    chmod +x "$azcopy"
}

# What a Functions host on Azure has: the packages of requirements.txt and no others.
make_app() {
    python=$(sh local/setup/find-python.sh)
    timed "virtual environment .venv-app" "$python" -m venv --clear .venv-app
    timed "the app's packages into .venv-app" .venv-app/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
}

# The page is small: its packages and itself are made anew whenever anything of it has changed.
make_page() {
    need_node
    timed "Node packages of the page into web/node_modules" npm ci --prefix web --no-audit --no-fund --loglevel=error
    timed "page into web/dist" npm run --prefix web build
}

# The parser of the queries that the Portal is given.
make_portal() {
    need_node
    timed "Node packages of the Portal's tests" npm ci --prefix tests/portal --no-audit --no-fund --loglevel=error
}

need_node() {
    command -v npm >/dev/null 2>&1 || die "Node >= 20.19 with npm is needed: apt-get install nodejs npm, or see https://nodejs.org/"
    # What the page's build asks for: 20.19 and later of 20, 22.13 and later.
    case $(node --version) in
        v20.19.* | v20.[2-9][0-9].* | v22.1[3-9].* | v22.[2-9][0-9].* | v2[3-9].* | v[3-9][0-9].*) ;;
        *) die "Node >= 20.19 (or >= 22.13) is needed; $(command -v node) is $(node --version)" ;;
    esac
}

npm_is_done() { [ -f node_modules/.package-lock.json ] && npm ls --all >/dev/null 2>&1; }

# missing_packages NEEDS: Debian's names of what is not there, each after a blank.
missing_packages() {
    found=
    for need in $1; do
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

make_system() { install "$needs"; }
make_browser() { install "$browser_needs"; }

install() { # install NEEDS
    missing=$(missing_packages "$1")
    [ -n "$missing" ] || return 0
    # Unquoted on purpose: one word per package.
    if [ "$(id -u)" != 0 ]; then
        die "Debian packages are missing; run this and then make again: sudo apt-get install -y --no-install-recommends$missing"
    fi
    command -v apt-get >/dev/null 2>&1 || die "These are missing and there is no apt-get to install them:$missing"
    timed "list of Debian packages" apt-get update -qq
    timed "Debian packages$missing" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
    [ -z "$(missing_packages "$1")" ] || die "setup: still missing after the installation:$(missing_packages "$1")"
}

all_done() { for part in $parts; do is_done "$part" || return 1; done; }

all_done && exit 0
# Whoever comes second waits here, and then finds everything done.
exec 9>"$stamps/lock"
flock 9
for part in $parts; do
    is_done "$part" && continue
    "make_$part"
    wanted "$part" >"$stamps/$part.new"
    mv "$stamps/$part.new" "$stamps/$part"
done
