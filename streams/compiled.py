"""Which form of `models` runs: as it is written, or compiled where a build of exactly these sources is at hand.

`deploy/compile` builds into `.compiled/<digest>/` beside the folder `models`. The digest is of every source of `models` and
of this very Python, so what was built of other sources, or for another Python, is never looked at. Both forms decide alike to
the byte (`tests/compiled`): only the speed differs.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from pathlib import Path
from typing import Final, Literal

import models

Form = Literal["pure", "compiled"]
CHOICE: Final = "FOREWARN_COMPILED"
"""The variable that says: `no` refuses a compiled form, `must` refuses to run without one; else it is used where it is there."""
FOLDER: Final = ".compiled"
COMPLETE: Final = "complete"
"""The file that stands in a build's folder once it is whole; what it holds names compiler and options."""


class NotCompiledError(Exception):
    """A compiled form was demanded, and none fits: the message says what to do."""


def root() -> Path:
    """The folder that holds `models`: of the checkout, or of the installed packages."""
    (package, *_) = reversed(models.__path__)
    return Path(package).parent


def build_folder(root: Path) -> Path:
    """Where the build of the sources below `root` for this Python belongs."""
    digest = hashlib.sha256(f"{sys.version}|{sys.implementation.cache_tag}|{sys.platform}".encode())
    for source in sorted((root / "models").rglob("*.py")):
        digest.update(f"\n{source.relative_to(root).as_posix()}\n".encode() + source.read_bytes())
    return root / FOLDER / digest.hexdigest()[:24]


def choose(choice: str) -> Form:
    """Let what is imported of `models` from now on be compiled, if it is there and wanted.

    Args:
        choice: as `CHOICE` has it.

    Raises:
        NotCompiledError: it must be compiled, and is not, or something of the pure form has been imported before.
    """
    if form() == "compiled":
        return "compiled"
    if choice == "no":
        return "pure"
    mixed = sorted(name for name in sys.modules if name.startswith("models."))
    folder = build_folder(root())
    if not mixed and (folder / COMPLETE).is_file():
        models.__path__.insert(0, str(folder / "models"))
        sys.path.append(str(folder))  # all modules share one library, which they import by its own name
        importlib.invalidate_caches()
        return "compiled"
    if choice == "must":
        reason = f"{mixed[0]} was imported before" if mixed else f"there is no {folder}: run deploy/compile"
        msg = f"{CHOICE}=must, but `models` is not compiled: {reason}"
        raise NotCompiledError(msg)
    return "pure"


def form() -> Form:
    """Which form this process runs."""
    return "compiled" if len(models.__path__) > 1 else "pure"


def choose_by_environment() -> Form:
    """As `choose`, by the variable of this process."""
    return choose(os.environ.get(CHOICE, ""))
