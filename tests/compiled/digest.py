"""A digest of all that an engine makes of a folder of events: `python -m tests.compiled.digest FOLDER`, in either form."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from models.engine import EngineOutput, RiskEngine
from models.events import Event
from models.policy import default_policy
from models.risk.scorecard import expert_prior
from models.rules import Rules
from streams.codec import Reject
from streams.compiled import form
from streams.event_files import EventFolder

_LATER_MS: Final = 10**13
"""The time of the run: everything simulated lies in its past."""
_EVENTS_PER_TAKE: Final = 1024
_encode: Final = msgspec.json.Encoder(order="sorted").encode


def events_of(folder: Path) -> Iterator[tuple[Event, int, int]]:
    """The events of a folder in order, each with its topic and offset; what is rejected is left out."""
    offsets: Counter[int] = Counter()
    for line in EventFolder(folder, _LATER_MS):
        if isinstance(line.content, Reject):
            continue
        yield line.content, line.topic_index, offsets[line.topic_index]
        offsets[line.topic_index] += 1


def lines_of(output: EngineOutput) -> list[bytes]:
    """What a take holds, in an order that says nothing: states and risks by borrower."""
    return [
        *(_encode(record) for record in (*output.alerts, *output.messages, *output.examples)),
        *(f"{key} ".encode() + (output.changed[key] or b"") for key in sorted(output.changed)),
        *(f"{key} ".encode() + _encode(output.risks[key]) for key in sorted(output.risks)),
    ]


def digest_of(folder: Path) -> str:
    """Digest and number of alerts, states, risks, messages and examples, rejects, counts and progress."""
    engine = RiskEngine(Rules(default_policy()), expert_prior())
    digest, taken = hashlib.sha256(), 0

    def take() -> int:
        output = engine.take_output(0)
        for line in lines_of(output):
            digest.update(line + b"\n")
        return len(output.alerts)

    for number, (event, feed, offset) in enumerate(events_of(folder), 1):
        digest.update(f"{engine.process(event, feed, offset)}\n".encode())
        if number % _EVENTS_PER_TAKE == 0:
            taken += take()
    taken += take()
    digest.update(f"{sorted(engine.counts.items())} {engine.progress()}".encode())
    return f"{digest.hexdigest()} {taken}"


if __name__ == "__main__":
    print(form(), digest_of(Path(sys.argv[1])))
