"""Which classes a compiler of modules leaves to the interpreter, and a module's source with those taken out of its reach.

mypyc makes C of functions and plain classes. It knows no class statement with keywords, and keeps no full annotations: both
are what a msgspec `Struct` is made of. So a record's class statement stays what it is, a statement for the interpreter, run
in the compiled module's own namespace, where it stood. The types are told to the compiler by a module of records alone that
never runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

TOLD_SUFFIX: Final = "__told"
"""Behind a module's name: its records, read by the type checker alone."""
RUNNER: Final = "models.interpreted"
"""The module that runs what is left to the interpreter; it is written beside the compiled ones."""
RUNNER_SOURCE: Final = '''"""Runs the class statements that are not compiled, where they stood."""

from __future__ import annotations

import __future__

from typing import Any

_FLAGS = __future__.annotations.compiler_flag


def interpret(namespace: dict[str, Any], line: int, statement: str) -> None:
    """Run a statement of a module in its namespace, as the line of its file that it is.

    Args:
        namespace: the module's `globals()`.
        line: on which the statement begins, from 1.
        statement: its source.
    """
    code = compile("\\n" * (line - 1) + statement, namespace["__file__"], "exec", _FLAGS, dont_inherit=True)
    exec(code, namespace)
'''
_ROOTS: Final = frozenset({"Struct", "NamedTuple"})


class Module(NamedTuple):
    """A module of the project by its full name."""

    name: str
    source: str


def records_of(modules: Iterable[Module]) -> Mapping[str, frozenset[str]]:
    """By module, the names of the classes that are left to the interpreter: those that derive from a root, at any remove."""
    trees = {module.name: ast.parse(module.source) for module in modules}
    found: dict[str, set[str]] = {name: set() for name in trees}
    while True:
        grown = False
        for name, tree in trees.items():
            known = _ROOTS | found[name] | _imported(tree, found)
            for statement in _classes(tree):
                bases = {base.id for base in statement.bases if isinstance(base, ast.Name)}
                if statement.name not in found[name] and bases & known:
                    found[name].add(statement.name)
                    grown = True
        if not grown:
            return {name: frozenset(names) for name, names in found.items()}


def split(module: Module, records: frozenset[str]) -> str:
    """The source to compile: each record's class statement as text for the interpreter, every other line where it was."""
    if not records:
        return module.source
    lines = module.source.splitlines()
    own = module.name.rpartition(".")[2]
    package = module.name.rpartition(".")[0]
    for statement in _classes(ast.parse(module.source)):
        if statement.name not in records:
            continue
        first = min([statement.lineno, *(decorator.lineno for decorator in statement.decorator_list)])
        last = statement.end_lineno
        assert last is not None
        assert last > first, f"{module.name}.{statement.name} stands on one line"
        text = "\n".join(lines[first - 1 : last])
        types = f"from {package}.{own}{TOLD_SUFFIX} import {statement.name} as {statement.name}"
        lines[first - 1] = f"from {RUNNER} import interpret; interpret(globals(), {first}, {text!r})"
        lines[first] = f"if TYPE_CHECKING: {types}"
        lines[first + 1 : last] = [""] * (last - first - 1)
    return _with_type_checking("\n".join(lines) + "\n")


def _with_type_checking(source: str) -> str:
    future = "from __future__ import annotations"
    assert future in source, "a module with records postpones its annotations"
    return source.replace(future, f"{future}; from typing import TYPE_CHECKING", 1)


def told(module: Module, records: frozenset[str]) -> str:
    """The records of a module alone, for the type checker: what else their statements name is the compiled module's."""
    tree = ast.parse(module.source)
    imports = [statement for statement in tree.body if isinstance(statement, ast.Import | ast.ImportFrom)]
    own = {name for statement in tree.body for name in _defined(statement)} - records
    statements = [statement for statement in _classes(tree) if statement.name in records]
    needed = {
        node.id for statement in statements for node in ast.walk(statement) if isinstance(node, ast.Name)
    }
    borrowed = [f"from {module.name} import {name} as {name}" for name in sorted(own & needed)]
    return "\n".join([*map(ast.unparse, imports), *borrowed, *map(ast.unparse, statements), ""])


def _defined(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.ClassDef() | ast.FunctionDef():
            yield statement.name
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name
        case ast.Assign(targets=targets):
            yield from (
                node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)
            )


def _classes(tree: ast.Module) -> Iterator[ast.ClassDef]:
    return (statement for statement in tree.body if isinstance(statement, ast.ClassDef))


def _imported(tree: ast.Module, found: Mapping[str, set[str]]) -> set[str]:
    return {
        alias.asname or alias.name
        for statement in tree.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
        if alias.name in found.get(statement.module or "", ())
    }


def is_worth_compiling(module: Module, records: frozenset[str]) -> bool:
    """Whether there is anything but records in a module, and no alias joins them: the checker cannot follow it through a cycle."""
    tree = ast.parse(module.source)
    runs = any(
        isinstance(statement, ast.FunctionDef)
        or (isinstance(statement, ast.ClassDef) and statement.name not in records)
        for statement in tree.body
    )
    joins = any(
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.BitOr)
        and records & {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for node in ast.walk(statement.value)
    )
    return runs and not joins
