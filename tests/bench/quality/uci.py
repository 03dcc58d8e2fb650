"""The UCI card clients as examples: what is observed of each after September's events, and what October brought."""

from __future__ import annotations

import gc
import tempfile
from datetime import date
from pathlib import Path
from typing import Final

from msgspec import Struct

from models.calendars import day_of_date
from models.policy import default_policy
from models.risk.features import Features
from models.risk.observation import observe
from models.rules import Rules
from streams.convert.uci_default import convert
from streams.event_files import read_outcomes
from tests.bench.quality.pictures import pictures_of

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
    gc.disable()  # pictures hold no cycles, and there are many
    try:
        with tempfile.TemporaryDirectory(prefix="forewarn-uci-") as name:
            folder = Path(name)
            convert(csv_path, folder)
            pictures = pictures_of(folder, rules)
            bad = {outcome.borrower_id: outcome.outcome == "bad" for outcome in read_outcomes(folder) or ()}
    finally:
        gc.enable()
    at_ms = rules.calendar.midnight_ms(_OBSERVED_DAY)
    return [
        Client(name, observe(pictures[name], at_ms, rules, deadline=True), bad[name])
        for name in sorted(pictures)[:clients_max]
    ]
