"""Flips every comparison of the signals, one at a time: the tests of that signal must notice at least nine of ten.

They stand in `models/signals/`, a module each, and some in modules beside that folder (`_BESIDE`).

First the tests of each signal run with nothing flipped, where they must pass. What no test can notice, because it means the
same, stands in `EQUIVALENT` with the reason and is counted apart. Exit status 1: too many were not noticed. With `--same` those
that stand there are tried instead: exit status 1 means that a test tells one of them from the code as it is.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from tests.mutation.equivalent import EQUIVALENT
from tests.mutation.flips import Flip, flips_of, put_in
from tests.mutation.forks import Ended, Forks, Job
from tests.mutation.machine import ROOT, MutationError

NOTICED_SHARE_MIN: Final = 0.9
"""What the read-me promises."""
_SIGNALS: Final = ROOT / "models" / "signals"
_TESTS: Final = ROOT / "tests" / "models" / "signals"
_BESIDE: Final = {"income_drop": ("income_outlook", "income_picture", "income_sight")}
"""Modules of `models/` in which a signal looks at its evidence: flipped with it, as its tests must notice."""
_SIGNAL_OF: Final = {module: signal for signal, modules in _BESIDE.items() for module in modules}
_PROCESSES: Final = 2
_CONTROL_CPU_SECONDS_MAX: Final = 600
_CPU_FACTOR: Final = 3
"""So many times what the tests compute with nothing flipped, and then they hang."""
_CPU_SECONDS_AT_LEAST: Final = 10


def flips_by_signal(only: Sequence[str]) -> dict[str, list[Flip]]:
    """The flips of each signal that compares anything.

    Raises:
        MutationError: an unknown name.
    """
    found = {
        path.stem: [flip for module in _modules_of(path) for flip in flips_of(module)]
        for path in sorted(_SIGNALS.glob("*.py"))
    }
    found = {name: flips for name, flips in found.items() if flips}
    if unknown := set(only) - found.keys():
        raise MutationError(f"no such signal: {', '.join(sorted(unknown))}")
    return {name: flips for name, flips in found.items() if not only or name in only}


def _modules_of(path: Path) -> list[Path]:
    """The module of a signal, and those beside its folder."""
    return [path, *(_SIGNALS.parent / f"{module}.py" for module in _BESIDE.get(path.stem, ()))]


def _signal_of(flip: Flip) -> str:
    return _SIGNAL_OF.get(flip.module, flip.module)


def _module_of(flip: Flip) -> str:
    """By its full name."""
    return f"models.{flip.module}" if flip.module in _SIGNAL_OF else f"models.signals.{flip.module}"


def files_of(signal: str) -> list[Path]:
    """The test files of a signal, golden cases first."""
    return [_TESTS / f"test_{signal}.py", *sorted(_TESTS.glob(f"test_{signal}_*.py"))]


class Notes:
    """What is known of each flip; in a file, if one is named, so that a run that was broken off can go on.

    A note holds as long as nothing under `models/` and in the signal's tests changes.
    """

    def __init__(self, file: Path | None, signals: Sequence[str]) -> None:
        """Read what is there."""
        self._file = file
        code = b"".join(path.read_bytes() for path in sorted((ROOT / "models").rglob("*.py")))
        self._digests = {
            signal: sha256(code + b"".join(path.read_bytes() for path in files_of(signal))).hexdigest()
            for signal in signals
        }
        self.words: dict[str, str] = {}
        for line in file.read_text().splitlines() if file is not None and file.exists() else ():
            signal, digest, name, word = json.loads(line)
            if self._digests.get(signal) == digest:
                self.words[name] = word

    def add(self, flip: Flip, word: str) -> None:
        """Note what became of a flip."""
        self.words[flip.name] = word
        signal = _signal_of(flip)
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([signal, self._digests[signal], flip.name, word]) + "\n")


def try_all(forks: Forks, by_signal: dict[str, list[Flip]], notes: Notes) -> None:
    """Try what is not known yet, and print what becomes of it.

    Raises:
        MutationError: tests fail with nothing flipped.
    """
    missing = {
        flip.name: flip for flips in by_signal.values() for flip in flips if flip.name not in notes.words
    }
    cpu_seconds_max = _control(forks, sorted({_signal_of(flip) for flip in missing.values()}))
    jobs = (
        _job(
            _signal_of(flip),
            flip.name,
            partial(put_in, importlib.import_module(_module_of(flip)), flip),
            cpu_seconds_max[_signal_of(flip)],
        )
        for flip in missing.values()
    )
    for ended in forks.run(jobs):
        flip = missing[ended.job.name]
        notes.add(flip, ended.word)
        _print_row(flip, ended)


def _job(signal: str, name: str, break_it: Callable[[], None], cpu_seconds_max: int) -> Job:
    return Job(name, files_of(signal), break_it, cpu_seconds_max)


def _control(forks: Forks, signals: Sequence[str]) -> dict[str, int]:
    """See that all pass with nothing flipped; how long each signal's tests may compute, in seconds."""
    limits: dict[str, int] = {}
    for ended in forks.run(_job(name, name, lambda: None, _CONTROL_CPU_SECONDS_MAX) for name in signals):
        if ended.word != "passed":
            raise MutationError(f"with nothing flipped: {ended.job.name} {ended.word} {ended.test}")
        limits[ended.job.name] = int(_CPU_FACTOR * ended.cpu_seconds) + _CPU_SECONDS_AT_LEAST
        print(f"control: {ended.job.name} passes, {ended.cpu_seconds:.1f} s of computing", flush=True)
    return limits


def _print_row(flip: Flip, ended: Ended) -> None:
    word = {"failed": "noticed ", "hung": "hangs   ", "passed": "SURVIVED"}[ended.word]
    test = ended.test.rpartition("/")[2]
    print(f"{word} {ended.cpu_seconds:5.1f} s  {flip.name}  {test}", flush=True)


def report(by_signal: dict[str, list[Flip]], words: dict[str, str]) -> float:
    """Print a row for each signal and what survived; the share noticed of all that mean anything else."""
    print(f"\n{'signal':26} flips  same  tried  noticed  survived   share")
    total: Counter[str] = Counter()
    for signal, flips in by_signal.items():
        counts = Counter("same" if flip.name in EQUIVALENT else words[flip.name] for flip in flips)
        _print_counts(signal, counts)
        total += counts
    share = _print_counts("all", total)
    for flip in _survivors(by_signal, words):
        print(f"{_module_of(flip).replace('.', '/')}.py:{flip.line}: {flip.name}")
    return share


def _print_counts(name: str, counts: Counter[str]) -> float:
    tried = counts.total() - counts["same"]
    noticed = tried - counts["passed"]
    share = noticed / tried if tried else 1.0
    print(
        f"{name:26} {counts.total():5} {counts['same']:5} {tried:6} {noticed:8} {counts['passed']:9} {share:7.1%}"
    )
    return share


def _survivors(by_signal: dict[str, list[Flip]], words: dict[str, str]) -> Iterator[Flip]:
    for flips in by_signal.values():
        yield from (flip for flip in flips if words.get(flip.name) == "passed")


def flip_all(by_signal: dict[str, list[Flip]], resume: Path | None, *, same: bool) -> dict[str, str]:
    """Try the flips of these signals, of those that mean the same or of the others; what became of each.

    Raises:
        MutationError: tests do not pass as they are.
    """
    chosen = {
        signal: own
        for signal, flips in by_signal.items()
        if (own := [flip for flip in flips if (flip.name in EQUIVALENT) == same])
    }
    notes = Notes(resume, list(chosen))
    forks = Forks(partial(try_all, by_signal=chosen, notes=notes), _PROCESSES)
    files = [str(path) for signal in chosen for path in files_of(signal)]
    status = pytest.main(["-qq", "-s", "-p", "no:cacheprovider", *files], plugins=[forks])
    if status != pytest.ExitCode.OK:
        raise MutationError(f"pytest ended with status {status}")
    return notes.words


def report_same(by_signal: dict[str, list[Flip]], words: dict[str, str]) -> bool:
    """Print which of those that mean the same were noticed all the same; whether none was."""
    tried = [flip.name for flips in by_signal.values() for flip in flips if flip.name in EQUIVALENT]
    noticed = [name for name in tried if words[name] != "passed"]
    print(f"\n{len(tried) - len(noticed)} of {len(tried)} flips that mean the same are told by no test")
    for name in noticed:
        print(f"noticed: {name}")
    return not noticed


def main() -> int:
    """Read the command line and flip."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="print the flips and end")
    parser.add_argument(
        "--signal", action="append", default=[], metavar="NAME", help="this one alone; may be repeated"
    )
    parser.add_argument("--resume", type=Path, metavar="FILE", help="note outcomes there, and go on from it")
    parser.add_argument(
        "--same", action="store_true", help="try the flips that mean the same: none may be noticed"
    )
    arguments = parser.parse_args()
    began = time.monotonic()
    try:
        by_signal = flips_by_signal(arguments.signal)
        if arguments.list:
            print("\n".join(flip.name for flips in by_signal.values() for flip in flips))
            return 0
        words = flip_all(by_signal, arguments.resume, same=arguments.same)
    except MutationError as error:
        print(f"comparisons: {error}", file=sys.stderr)
        return 1
    if arguments.same:
        return 0 if report_same(by_signal, words) else 1
    share = report(by_signal, words)
    print(f"\n{share:.1%} noticed, in {time.monotonic() - began:.0f} s")
    return 0 if share >= NOTICED_SHARE_MIN else 1


if __name__ == "__main__":
    sys.exit(main())
