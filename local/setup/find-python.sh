#!/bin/sh
# Prints the path of a Python 3.13 that really runs, or stops with one line that says what to install.
#
# Called by setup.sh; alone it answers "which Python would make use?". A python3.13 on PATH proves nothing: pyenv
# leaves a shim there that only works when 3.13 is the selected version, so every candidate is started and asked.

# runs CANDIDATE: true when it starts, says that it is 3.13 and can make virtual environments.
runs() {
    [ -n "$1" ] && [ "$("$1" -c 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = 3.13 ]
}

# try CANDIDATE...: prints the first that runs and ends the script.
try() {
    for candidate in "$@"; do
        if runs "$candidate"; then
            # The real file, not a link or shim: the virtual environment points at it for as long as it exists.
            "$candidate" -c 'import os, sys; print(os.path.realpath(sys.executable))'
            exit 0
        fi
    done
}

try "$(command -v python3.13 2>/dev/null)"
try "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python "$HOME"/.pyenv/versions/3.13*/bin/python
if command -v uv >/dev/null 2>&1 && uv python install 3.13 >&2; then
    try "$(uv python find --no-project 3.13 2>/dev/null)"
fi
echo "Python 3.13 is needed: install it with 'pyenv install 3.13', or install uv (https://docs.astral.sh/uv/), and run make again." >&2
exit 1
