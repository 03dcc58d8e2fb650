"""What is left to the interpreter when `models` is compiled, and that only a build of these very sources is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from deploy.compiling.classes import (
    RUNNER,
    RUNNER_SOURCE,
    Module,
    is_worth_compiling,
    records_of,
    split,
    told,
)
from streams.compiled import COMPLETE, NotCompiledError, build_folder, choose

_SOURCE = '''"""Of money."""

from __future__ import annotations

from msgspec import Struct

MOST = 7


class Kept(Struct, frozen=True):
    """A record."""

    amounts: list[int | None]
    most: int = MOST


class Clock:
    """No record."""

    at_ms = 5


def total(kept: Kept) -> int:
    return sum(amount or 0 for amount in kept.amounts)
'''
_MODULE = Module("models.kept", _SOURCE)


def test_records_are_found_through_modules() -> None:
    """A class derives from a record of another module, and is left to the interpreter as that is."""
    derived = Module(
        "models.derived", "from models.kept import Kept\nclass Own(Kept):\n    pass\nclass Not:\n    pass\n"
    )
    assert records_of([derived, _MODULE]) == {"models.derived": {"Own"}, "models.kept": {"Kept"}}


def test_a_split_module_runs_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record has its full annotations and defaults, and everything else stands on its old line."""
    monkeypatch.setitem(sys.modules, RUNNER, _run(RUNNER, RUNNER_SOURCE, "interpreted.py"))
    module = _run("models.kept", split(_MODULE, frozenset({"Kept"})), "kept.py")
    kept = module.Kept([3, None])
    assert (kept.most, module.total(kept)) == (7, 3)
    assert module.Kept.__annotations__ == {"amounts": "list[int | None]", "most": "int"}
    assert (
        module.total.__code__.co_firstlineno
        == _SOURCE.splitlines().index("def total(kept: Kept) -> int:") + 1
    )


def _run(name: str, source: str, file: str) -> Any:
    module = ModuleType(name)
    module.__file__ = file
    exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)
    return module


def test_the_checker_is_told_the_records_alone() -> None:
    """What a record names of its module is taken from there, so that there is one type of each."""
    assert "from models.kept import MOST as MOST" in told(_MODULE, frozenset({"Kept"}))
    assert "total" not in told(_MODULE, frozenset({"Kept"}))


def test_modules_of_records_alone_are_left_as_they_are() -> None:
    """Nothing in them would run compiled; and an alias that joins records keeps its module out."""
    only = Module("models.only", _SOURCE[: _SOURCE.index("class Clock")])
    joined = Module("models.joined", _SOURCE + "\nEither = Kept | None\n")
    records = frozenset({"Kept"})
    assert [is_worth_compiling(module, records) for module in (_MODULE, only, joined)] == [True, False, False]


def test_a_build_of_other_sources_is_not_looked_at(tmp_path: Path) -> None:
    """One byte more in one source is another folder."""
    (tmp_path / "models").mkdir()
    source = tmp_path / "models" / "a.py"
    source.write_text("A = 1\n")
    before = build_folder(tmp_path)
    source.write_text("A = 2\n")
    assert build_folder(tmp_path) != before


@pytest.mark.parametrize("choice", ["must", ""])
def test_a_build_that_is_there_is_used_unless_refused(tmp_path: Path, choice: str) -> None:
    """A process takes its modules from the build, and from the sources where it is told to."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("")
    (tmp_path / "models" / "a.py").write_text("WHERE = 'sources'\n")
    built = build_folder(tmp_path)
    (built / "models").mkdir(parents=True)
    (built / "models" / "a.py").write_text("WHERE = 'build'\n")
    assert _where(tmp_path, "") == "pure sources", "a build that is not whole"
    (built / COMPLETE).write_text("")
    assert _where(tmp_path, choice) == "compiled build"
    assert _where(tmp_path, "no") == "pure sources"


def _where(root: Path, choice: str) -> str:
    code = f"import sys; sys.path.insert(0, {str(root)!r}); import models; from importlib import util\n"
    code += (
        f"spec = util.spec_from_file_location('compiled', {str(Path('streams/compiled.py').resolve())!r})\n"
    )
    code += "chosen = util.module_from_spec(spec); spec.loader.exec_module(chosen)\n"
    code += f"form = chosen.choose({choice!r}); import models.a; print(form, models.a.WHERE)"
    said = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return said.stdout.strip()


def test_it_is_said_why_no_compiled_form_runs() -> None:
    """Who insists on it is told what was imported too early."""
    with pytest.raises(NotCompiledError, match=r"models\.[a-z_]+ was imported before"):
        _insist()


def _insist() -> None:
    import models.engine  # noqa: F401  # what was imported before is what this is about

    choose("must")
