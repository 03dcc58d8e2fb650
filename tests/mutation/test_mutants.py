"""The mutants stay applicable: a change of the code that a mutant misses is noticed at once."""

from __future__ import annotations

import ast
import re
from collections import Counter

import pytest

from tests.mutation.catalogue import MUTANTS
from tests.mutation.machine import ROOT, Edit, Mutant, MutationError, mutated


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_applies_to_the_code_as_it_is(mutant: Mutant) -> None:
    """Each of its places is there exactly once, and what comes of it is Python of another meaning."""
    broken = {edit.file: (ROOT / edit.file).read_text() for edit in mutant.edits}
    for edit in mutant.edits:
        broken[edit.file] = mutated(broken[edit.file], edit)
    for file, text in broken.items():
        assert ast.dump(ast.parse(text)) != ast.dump(ast.parse((ROOT / file).read_text()))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_tests_a_mutant_names_exist(mutant: Mutant) -> None:
    """A renamed test does not leave a promise unwatched."""
    assert mutant.caught_by
    for test in mutant.caught_by:
        path, _, function = test.partition("::")
        name = function.partition("[")[0]
        assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), test


def test_names_are_told_apart() -> None:
    """One name, one mutant."""
    assert max(Counter(mutant.name for mutant in MUTANTS).values()) == 1


@pytest.mark.parametrize("text", ["nothing of the kind", "twice and twice"])
def test_a_place_that_is_not_there_exactly_once_is_an_error(text: str) -> None:
    """Neither a mutant that breaks nothing nor one that breaks something else passes for caught."""
    with pytest.raises(MutationError, match="instead of once"):
        mutated(text, Edit("any.py", "twice", "thrice"))
