"""The UCI card clients as examples: what is observed of each after September's events, and what October brought."""

from __future__ import annotations

import gc
import tempfile
from datetime import date
from pathlib import Path
from typing import Final

from msgspec import Struct

from models.borrower import Borrower
from models.calendars import day_of_date
from models.policy import default_policy
from models.risk.features import Features
from models.risk.observation import observe
from models.risk.scorecard import expert_prior
from models.rules import Rules
from streams.convert.uci_default import convert
from streams.event_files import read_outcomes
from tests.bench.quality.contenders import Examples
from tests.bench.quality.pictures import pictures_of
from tests.bench.quality.stream import Stream

_OBSERVED_DAY: Final = day_of_date(date(2005, 10, 31))
"""The midnight at its beginning comes after the due date of September's statement: all that the data tell is known."""


class Client(Struct, frozen=True):
    """One client's features on the day, and whether the next payment was missed."""

    borrower_id: str
    features: Features
    is_bad: bool


def read_clients(csv_path: Path, clients_max: int | None = None) -> list[Client]:
    """Turn the data into events, the events into pictures, and observe each; in order of id."""
    rules = Rules(default_policy())
    with tempfile.TemporaryDirectory(prefix="forewarn-uci-") as name:
        folder = Path(name)
        convert(csv_path, folder)
        gc.disable()  # pictures hold no cycles, and there are many
        try:
            pictures = pictures_of(folder, rules)
        finally:
            gc.enable()
        return _clients(folder, pictures, rules)[:clients_max]


def read_stream(csv_path: Path) -> tuple[Examples, list[Client]]:
    """The examples that the stream itself made by that day, in order of maturity, and every client as above."""
    rules = Rules(default_policy())
    stream = Stream(rules, expert_prior())
    until_ms = rules.calendar.midnight_ms(_OBSERVED_DAY)
    with tempfile.TemporaryDirectory(prefix="forewarn-uci-") as name:
        folder = Path(name)
        convert(csv_path, folder)
        examples = [
            (Features(*example.values(Features._fields)), example.outcome == "bad")
            for example in stream.examples(folder, until_ms)
            if example.outcome != "censored"
        ]
        return examples, _clients(folder, stream.pictures, rules)


def _clients(folder: Path, pictures: dict[str, Borrower], rules: Rules) -> list[Client]:
    bad = {outcome.borrower_id: outcome.outcome == "bad" for outcome in read_outcomes(folder) or ()}
    at_ms = rules.calendar.midnight_ms(_OBSERVED_DAY)
    return [
        Client(name, observe(pictures[name], at_ms, rules, deadline=True), bad[name])
        for name in sorted(pictures)
    ]
