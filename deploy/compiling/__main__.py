"""Compile `models` of this checkout, or of installed packages, where a C compiler is at hand: `python -m deploy.compiling`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

from deploy.compiling.classes import (
    RUNNER,
    RUNNER_SOURCE,
    TOLD_SUFFIX,
    Module,
    is_worth_compiling,
    records_of,
    split,
    told,
)
from streams.compiled import COMPLETE, build_folder

OPTIMISATION: Final = os.environ.get("FOREWARN_COMPILE_LEVEL", "2")
"""The C compiler's. Level 1 compiles in two thirds of the time and runs a twentieth slower."""
_FLAGS: Final = "-fvisibility=hidden -fno-semantic-interposition -fno-plt"
"""The modules call each other within one library, which nobody else links to: without a detour."""
_ROOT: Final = Path(__file__).parents[2]
_SLOTS: Final = Path(__file__).with_name("slots.h")
_RIVER: Final = """[mypy]
[mypy-river.*]
follow_imports = skip
ignore_missing_imports = True
"""
"""River stays behind one door, untyped: following it takes minutes."""
_SETUP: Final = """
import sys
from pathlib import Path
from setuptools import setup
from mypyc.build import mypycify

level, flags, slots, *files = sys.argv[1:]
extensions = mypycify(
    ["--config-file=mypy.ini", *files], opt_level=level, debug_level="0", multi_file=True, group_name="models"
)
for extension in extensions:
    extension.extra_compile_args += flags.split()
    for source in map(Path, extension.sources):
        if source.name.startswith("__native_models___"):  # the code of a module: mypyc's own runtime defines what is replaced
            source.write_text(f'#include "{slots}"\\n{source.read_text()}')
setup(name="models", packages=[], ext_modules=extensions, script_args=["build_ext", "--inplace", "--quiet"])
"""


def missing() -> str | None:
    """What this machine lacks for compiling, or None."""
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        return f"no C compiler: {compiler} is not found (Debian, Ubuntu: apt-get install gcc libc6-dev)"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "no Python.h (Debian, Ubuntu: apt-get install python3-dev)"
    for package in ("mypyc", "setuptools"):
        if importlib.util.find_spec(package) is None:
            return f"no {package}: pip install 'forewarn[compile]'"
    return None


def stage(root: Path, folder: Path) -> list[str]:
    """Lay out what is compiled: a copy of `models` with its records left to the interpreter. Returns the files to compile."""
    shutil.copytree(root / "models", folder / "models", ignore=shutil.ignore_patterns("__pycache__"))
    modules = [
        (path, Module(".".join(path.relative_to(root).with_suffix("").parts), path.read_text()))
        for path in sorted((root / "models").rglob("*.py"))
        if path.name != "__init__.py"
    ]
    records = records_of(module for _, module in modules)
    files: list[str] = []
    for path, module in modules:
        own = records[module.name]
        if not is_worth_compiling(module, own):
            continue
        staged = folder / path.relative_to(root)
        staged.write_text(split(module, own))
        if own:
            staged.with_name(f"{path.stem}{TOLD_SUFFIX}.py").write_text(told(module, own))
        files.append(path.relative_to(root).as_posix())
    (folder / Path(*RUNNER.split("."))).with_suffix(".py").write_text(RUNNER_SOURCE)
    (folder / "mypy.ini").write_text(_RIVER)
    (folder / "build.py").write_text(_SETUP)
    return files


def compile_into(root: Path, folder: Path, staged: Path) -> None:
    """Compile in a folder of its own, then put the result, whole, where it belongs."""
    files = stage(root, staged)
    said = subprocess.run(
        [sys.executable, "-P", "build.py", OPTIMISATION, _FLAGS, str(_SLOTS), *files],
        cwd=staged,
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    if said.returncode != 0:
        errors = [line for line in f"{said.stdout}\n{said.stderr}".splitlines() if "rror" in line]
        sys.exit("deploy/compile: it does not compile:\n" + "\n".join(line[:500] for line in errors[-20:]))
    made = staged / "made"
    shutil.copytree(root / "models", made / "models", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(staged / "models" / "interpreted.py", made / "models")
    for library in list(staged.rglob("*.so")):
        if "build" not in library.relative_to(staged).parts:
            shutil.copy(library, made / library.relative_to(staged))
    (made / COMPLETE).write_text(stamp())
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    shutil.copytree(made, folder)


def stamp() -> str:
    """What a build depends on beside its sources and Python."""
    return f"mypyc {version('mypy')}, level {OPTIMISATION}\n{_SLOTS.read_text()}{Path(__file__).read_text()}"


def main() -> None:
    """Compile, unless it is done."""
    parser = argparse.ArgumentParser(prog="deploy/compile", description=__doc__)
    parser.add_argument("--root", type=Path, default=_ROOT, help="the folder that holds `models`")
    root = parser.parse_args().root.resolve()
    if (lacks := missing()) is not None:
        sys.exit(f"deploy/compile: {lacks}. The pure form runs without.")
    folder = build_folder(root)
    done = folder / COMPLETE
    if not done.is_file() or done.read_text() != stamp():
        with tempfile.TemporaryDirectory() as staged:
            compile_into(root, folder, Path(staged))
    print(folder)


if __name__ == "__main__":
    main()
