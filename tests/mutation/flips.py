"""Comparisons at thresholds, flipped: `<` becomes `<=` and `>=`, `==` becomes `!=`, and so on, in one function of a signal.

A flip is made in the syntax tree, and put to work by giving the function that stands in the module the code of the flipped
one: whoever has imported the function calls the flipped one, and no file is touched.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tests.mutation.machine import MutationError

_FLIPPED: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
"""What each becomes: first what differs at the threshold alone, then its contrary."""


class Flip(Struct, frozen=True, kw_only=True):
    """One comparison with another sign."""

    module: str
    function: str
    """By its qualified name."""
    line: int
    name: str
    """`module.function: as it is -> as it becomes`, which outlives a change of lines."""
    place: int
    """Which comparison of the function, in the order of `ast.walk`."""
    link: int
    """Which sign, where some are chained."""
    choice: int
    """Which of what it may become."""


def flips_of(path: Path) -> list[Flip]:
    """Every flip of a module, by line."""
    tree = ast.parse(_text(path))
    found = [flip for name, node in _functions(tree) for flip in _flips_in(path.stem, name, node)]
    if outside := _count_of_signs(tree) - len({(one.function, one.place, one.link) for one in found}):
        raise MutationError(f"{path}: {outside} comparisons outside any function, which this cannot flip")
    return _told_apart(sorted(found, key=lambda flip: (flip.line, flip.place, flip.link, flip.choice)))


def put_in(module: ModuleType, flip: Flip) -> None:
    """Flip a comparison of a module that is in use, for this process."""
    path = Path(module.__file__ or "")
    tree = ast.parse(_text(path))
    node = dict(_functions(tree))[flip.function]
    _set_sign(_comparisons(node)[flip.place], flip.link, flip.choice)
    code = _code_of(compile(tree, str(path), "exec"), flip.function)
    _function(module, flip.function).__code__ = code


@cache
def _text(path: Path) -> str:
    """As it was when first asked for: what is in use does not change with its file either."""
    return path.read_text(encoding="utf-8")


def _functions(
    tree: ast.Module | ast.ClassDef, within: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Functions and methods by their qualified names; what stands inside a function is part of it."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{within}{node.name}", node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{within}{node.name}.")


def _comparisons(node: ast.AST) -> list[ast.Compare]:
    return [one for one in ast.walk(node) if isinstance(one, ast.Compare)]


def _count_of_signs(tree: ast.AST) -> int:
    return sum(type(sign) in _FLIPPED for one in _comparisons(tree) for sign in one.ops)


def _flips_in(module: str, function: str, node: ast.AST) -> Iterator[Flip]:
    for place, comparison in enumerate(_comparisons(node)):
        for link, sign in enumerate(comparison.ops):
            for choice in range(len(_FLIPPED.get(type(sign), ()))):
                old = ast.unparse(comparison)
                _set_sign(comparison, link, choice)
                new = ast.unparse(comparison)
                comparison.ops[link] = sign
                yield Flip(
                    module=module,
                    function=function,
                    line=comparison.lineno,
                    name=f"{module}.{function}: {old} -> {new}",
                    place=place,
                    link=link,
                    choice=choice,
                )


def _set_sign(comparison: ast.Compare, link: int, choice: int) -> None:
    comparison.ops[link] = _FLIPPED[type(comparison.ops[link])][choice]()


def _told_apart(flips: list[Flip]) -> list[Flip]:
    """Number what a function compares more than once."""
    seen: Counter[str] = Counter()
    told: list[Flip] = []
    for flip in flips:
        seen[flip.name] += 1
        number = seen[flip.name]
        told.append(flip if number == 1 else replace(flip, name=f"{flip.name} ({number})"))
    return told


def _code_of(code: CodeType, qualified_name: str) -> CodeType:
    """The code of a function of a compiled module."""
    found = [one for one in _codes(code) if one.co_qualname == qualified_name]
    if len(found) != 1:
        raise MutationError(f"{code.co_filename}: {len(found)} functions {qualified_name}")
    return found[0]


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _function(module: ModuleType, qualified_name: str) -> FunctionType:
    """The function itself, without what decorates it."""
    found: object = module
    for name in qualified_name.split("."):
        found = vars(found)[name]
    for wrapper in ("fget", "__func__", "__wrapped__"):
        found = getattr(found, wrapper, None) or found
    if not isinstance(found, FunctionType):
        raise MutationError(f"{module.__name__}.{qualified_name} is no plain function")
    return found
