"""Breaks the pipeline on purpose: `tests/mutation/run`. Every mutant must make its named tests fail.

First all these tests run in the tree as it is, where they must pass. Then one mutant after the other is put into a copy of
the tree. Exit status 1: a mutant survived, or one does not apply any more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill

from streams.kafka.local import find_broker
from tests.mutation.catalogue import MUTANTS
from tests.mutation.machine import Mutant, MutationError, Tree, is_on_kafka

_CONTROL_SECONDS_MAX = 600.0
_WIDTH = 110


def chosen(only: Sequence[str], *, with_kafka: bool) -> list[tuple[Mutant, list[str]]]:
    """The mutants to try, each with its tests; without Kafka those that have any left.

    Raises:
        MutationError: an unknown name.
    """
    names = {mutant.name for mutant in MUTANTS}
    if unknown := set(only) - names:
        raise MutationError(f"no such mutant: {', '.join(sorted(unknown))}; see --list")
    mutants = [mutant for mutant in MUTANTS if not only or mutant.name in only]
    pairs = [
        (mutant, [test for test in mutant.caught_by if with_kafka or not is_on_kafka(test)])
        for mutant in mutants
    ]
    return [(mutant, tests) for mutant, tests in pairs if tests]


@contextmanager
def broker_environment(*, wanted: bool) -> Iterator[dict[str, str]]:
    """One broker for all runs, if any test wants one."""
    if not wanted:
        yield {}
        return
    with find_broker() as broker:
        yield {"FOREWARN_BROKER": broker.bootstrap_servers}


def control(tree: Tree, tests: Sequence[str]) -> None:
    """See that every test passes where nothing is broken: only then does its failure mean anything.

    Raises:
        MutationError: one does not.
    """
    began = time.monotonic()
    found = tree.run(tests, _CONTROL_SECONDS_MAX)
    bad = [f"{test}: {found[test].word} {found[test].why}" for test in found if found[test].word != "passed"]
    if bad:
        raise MutationError("these do not pass in the tree as it is:\n" + "\n".join(bad))
    print(
        f"control: {len(found)} tests pass in the tree as it is, {time.monotonic() - began:.0f} s\n",
        flush=True,
    )


def attempt(tree: Tree, mutant: Mutant, tests: Sequence[str], *, with_why: bool) -> bool:
    """Try one mutant and print its rows; whether it was caught by all its tests."""
    began = time.monotonic()
    found = tree.run(tests, mutant.seconds_max, mutant)
    seconds = time.monotonic() - began
    width = max(len(other.name) for other in MUTANTS)
    for place, (test, outcome) in enumerate(found.items()):
        name = mutant.name if place == 0 else ""
        took = f"{seconds:6.1f}" if place == 0 else " " * 6
        path, _, function = test.partition("::")
        word = {"failed": "", "hung": "(hangs) "}.get(outcome.word, f"SURVIVED ({outcome.word}) ")
        print(f"{name:{width}} | {took} | {word}{Path(path).stem}::{function}", flush=True)
        if with_why and outcome.why:
            print(f"{'':{width}} | {'':6} |     {outcome.why}", flush=True)
    return all(outcome.word in ("failed", "hung") for outcome in found.values())


def show() -> None:
    """Print the catalogue."""
    for mutant in MUTANTS:
        print(f"{mutant.name}{'  (Kafka)' if mutant.needs_kafka else ''}")
        print(fill(mutant.broken, _WIDTH, initial_indent="    ", subsequent_indent="    "))
        print(f"    in {', '.join(dict.fromkeys(edit.file for edit in mutant.edits))}; caught by")
        print("\n".join(f"      {test}" for test in mutant.caught_by))


def run(pairs: Sequence[tuple[Mutant, list[str]]], *, with_why: bool) -> list[str]:
    """Try all; return the names of those that survived."""
    tests = [test for _, own in pairs for test in own]
    with (
        tempfile.TemporaryDirectory(prefix="forewarn-mutation-") as folder,
        broker_environment(wanted=any(map(is_on_kafka, tests))) as environment,
    ):
        tree = Tree(Path(folder), environment)
        control(tree, tests)
        print(f"{'mutant':{max(len(mutant.name) for mutant in MUTANTS)}} | {'s':>6} | caught by")
        return [mutant.name for mutant, own in pairs if not attempt(tree, mutant, own, with_why=with_why)]


def main() -> int:
    """Read the command line and try the mutants."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="print the mutants and end")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="this mutant alone; may be repeated"
    )
    parser.add_argument("--without-kafka", action="store_true", help="leave out the tests that need a broker")
    parser.add_argument("--why", action="store_true", help="print the error of each test that noticed")
    arguments = parser.parse_args()
    if arguments.list:
        show()
        return 0
    try:
        pairs = chosen(arguments.only, with_kafka=not arguments.without_kafka)
        survivors = run(pairs, with_why=arguments.why)
    except MutationError as error:
        print(f"mutation: {error}", file=sys.stderr)
        return 1
    print(f"\n{len(pairs) - len(survivors)} of {len(pairs)} mutants caught")
    if survivors:
        print(f"survived: {', '.join(survivors)}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
