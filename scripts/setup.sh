# Sourced by the other scripts: finds or brings uv, then makes the project's own environment. Says what it does.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }

python_bin() {
    local candidate
    for candidate in .venv/bin/python python3.11 python3.12 python3; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say "Python 3.11 or 3.12 is needed. On Debian or Ubuntu: apt-get install python3 python3-pip"
    exit 1
}

PYTHON="$(python_bin)"
if [ -z "${UV:-}" ]; then
    if command -v uv >/dev/null 2>&1; then
        UV="$(command -v uv)"
    else
        UV="$PWD/.venv-uv/bin/uv"
        if [ ! -x "$UV" ]; then
            say "uv is missing: fetching it with pip into .venv-uv (nothing outside this folder is touched)"
            if ! "$PYTHON" -m pip --version >/dev/null 2>&1; then
                say "pip is needed once. On Debian or Ubuntu: apt-get install python3-pip"
                exit 1
            fi
            "$PYTHON" -m pip install --quiet --disable-pip-version-check --target .venv-uv "uv>=0.9"
        fi
    fi
fi
export UV

sync() { # sync [uv sync options]: the locked environment in .venv
    say "installing the locked packages into .venv (first time: about 250 MB, some minutes at most)"
    env -u VIRTUAL_ENV "$UV" sync --locked --python "$PYTHON" "$@"
}

system_packages() { # system_packages PACKAGE...: Debian packages the tests use; without root, say what will be skipped
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        say "installing from Debian for the tests: ${missing[*]}"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null ||
            say "could not install ${missing[*]}: the tests that need them will be skipped, saying so"
    else
        say "not installed: ${missing[*]}: the tests that need them will be skipped, saying so"
    fi
}
