#!/bin/sh
# Builds .venv from the lock file given (requirements.lock or requirements-dev.lock). Needs Python 3.11+
# and, the first time, a network; nothing else, and no root. Quick and silent when nothing has changed.
set -eu
cd "$(dirname "$0")/.."
lock=$1
stamp=.venv/.installed-$(basename "$lock")

say() { printf 'lumbung: %s\n' "$*" >&2; }

if [ -f "$stamp" ] && [ "$stamp" -nt "$lock" ] && [ "$stamp" -nt pyproject.toml ]; then exit 0; fi

find_python() {
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s' "$candidate"
            return
        fi
    done
    return 1
}

if ! [ -x .venv/bin/python ] || ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    python=$(find_python) || {
        say "Python 3.11 or newer is needed and was not found; install it, or name it: make run PYTHON=/path/to/python3"
        exit 2
    }
    rm -rf .venv
    "$python" -m venv .venv >.venv.log 2>&1 || {
        rm -rf .venv
        say "$python cannot make a virtual environment; on Debian and Ubuntu install the package python3-venv (see .venv.log)"
        exit 2
    }
    rm -f .venv.log
fi

say "installing the packages of $lock into .venv (once; a few minutes on a slow line) ..."
log=.venv/install.log
.venv/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r "$lock" >"$log" 2>&1 || {
    if grep -qiE 'connection|resolution|timed out|network|proxy|no matching distribution' "$log"; then
        say "the Python packages could not be downloaded; is there a network? (details: $log)"
    else
        say "the Python packages could not be installed; $log says why"
    fi
    exit 2
}
.venv/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e . >"$log" 2>&1 || {
    say "Lumbung could not be installed into .venv; $log says why"
    exit 2
}
touch "$stamp"
