"""Keep the state bytes of a new format version: `python -m tests.models.keep_states`.

Borrowers with as much variety as a state can hold live until one instant; their records are kept, and with them what
came before, what came after, and the alerts that followed. A folder of an older version is never written again, but for
those alerts: where rules change what is told, `--alerts` tells them anew, and the change is there to be read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from models.alerts import Alert
from models.borrower import STATE_VERSION, Borrower
from models.engine import EngineOutput, EngineProgress, RiskEngine
from models.events import TOPICS, BorrowerEvent
from models.risk.examples import Example
from models.signal_table import SIGNALS
from tests.models.kept_lives import Heard, Life, Refused, lives
from tests.support.events import at, end_of, engine, feed_of
from tests.support.kept import KeptVersion, keep, kept_versions
from tests.support.shapes import shape_of

ROOT: Final = Path(__file__).parent / "kept_states"
CUT_MS: Final = at("2025-07-02", "00:40")
"""Forty minutes past a midnight: deadlines of the day before have not passed yet, judgements wait for them."""
UNTIL: Final = "2025-12-31"
FIRST_WITH_EXAMPLES: Final = 3
"""The first version of the state that holds what was observed."""


class Step(Struct, frozen=True, omit_defaults=True):
    """One thing that came in: an event, that one was refused, or what a linked borrower said."""

    feed: int = -1
    """The topic of an event; none for what was heard."""
    event: BorrowerEvent | None = None
    refused: Refused | None = None
    heard: Heard | None = None


def feed_steps(risk_engine: RiskEngine, steps: Sequence[Step], first_offset: int) -> None:
    """Let an engine live through steps."""
    for offset, step in enumerate(steps, start=first_offset):
        if step.refused is not None:
            bad = step.refused
            risk_engine.note_reject(bad.feed, bad.borrower_id, bad.event_id, bad.event_time_ms, offset)
        elif step.heard is not None:
            risk_engine.hear(step.heard.receiver, step.heard.message, offset)
        elif step.event is not None:
            risk_engine.process(step.event, step.feed, offset)


def finish(risk_engine: RiskEngine) -> EngineOutput:
    """Pass the end of the year on every feed."""
    risk_engine.advance_together(end_of(UNTIL))
    return risk_engine.take_output(detected_at_ms=0)


def alerts_after(kept: KeptVersion) -> list[Alert]:
    """The alerts that follow when an engine is restored from kept bytes and goes on."""
    return _output_after(kept).alerts


def examples_after(kept: KeptVersion) -> list[Example]:
    """The examples that mature then."""
    return _output_after(kept).examples


def _output_after(kept: KeptVersion) -> EngineOutput:
    risk_engine = engine()
    for borrower_id, record in kept.records.items():
        risk_engine.restore(borrower_id, record)
    risk_engine.resume(msgspec.json.decode((kept.folder / "progress.json").read_bytes(), type=EngineProgress))
    feed_steps(risk_engine, steps_of(kept, "after"), len(steps_of(kept, "before")))
    return finish(risk_engine)


def alerts_of_a_life_without_a_break(kept: KeptVersion) -> list[Alert]:
    """What an engine that was never stopped tells behind the cut."""
    return _output_without_a_break(kept).alerts


def examples_of_a_life_without_a_break(kept: KeptVersion) -> list[Example]:
    """What it hands out behind the cut."""
    return _output_without_a_break(kept).examples


def _output_without_a_break(kept: KeptVersion) -> EngineOutput:
    risk_engine = engine()
    before = steps_of(kept, "before")
    feed_steps(risk_engine, before, 0)
    risk_engine.take_output(detected_at_ms=0)
    feed_steps(risk_engine, steps_of(kept, "after"), len(before))
    return finish(risk_engine)


def steps_of(kept: KeptVersion, name: str) -> list[Step]:
    """What came `before` or `after` the cut."""
    lines = (kept.folder / f"{name}.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Step) for line in lines]


def told(alert: Alert) -> dict[str, Any]:
    """What of an alert a person acts on; wording, scores and hashes have tests of their own."""
    hold = alert.recommendation.hold
    return {
        "borrower_id": alert.borrower_id,
        "signal": alert.signal,
        "loan_id": alert.loan_id,
        "status": alert.status,
        "severity": alert.severity,
        "resolution": alert.resolution,
        "event_time_ms": alert.event_time_ms,
        "alert_id": alert.alert_id,
        "revision": alert.revision,
        "case_id": alert.case_id,
        "actionable": alert.recommendation.actionable,
        "hold": hold,
        "days_past_due": alert.exposure.days_past_due,
        "overdue_minor": alert.exposure.overdue_minor,
        "reasons": [reason.code for reason in alert.reasons],
    }


def matured(example: Example) -> dict[str, Any]:
    """An example; of what was observed after the cut not how it was seen, which later releases may see otherwise."""
    document: dict[str, Any] = msgspec.to_builtins(example)
    if example.observed_ms > CUT_MS:
        for name in ("features", "probability", "card_version"):
            del document[name]
    return document


def as_lines(items: Sequence[object]) -> bytes:
    """JSON, a line each."""
    return b"".join(msgspec.json.encode(item) + b"\n" for item in items)


def timeline(borrowers: dict[str, Life]) -> list[tuple[int, Step]]:
    """Everything in the order of delivery, with its place in time."""
    moments: list[tuple[int, Step]] = []
    for life in borrowers.values():
        delivered = [(event, feed_of(event)) for event in life.events]
        delivered += [(void, feed_of(target)) for void, target in life.voided]
        moments += [
            (event.event_time_ms if event.ingested_at_ms is None else event.ingested_at_ms, Step(feed, event))
            for event, feed in delivered
        ]
        moments += [(heard.time_ms, Step(heard=heard)) for heard in life.heard]
        moments += [
            (bad.event_time_ms or at("2025-06-18"), Step(bad.feed, refused=bad)) for bad in life.refused
        ]
    return sorted(moments, key=lambda moment: moment[0])


def numbered() -> dict[str, tuple[str, ...]]:
    """What is a number in the bytes: its place in one of these lists. They may grow at the end and change nowhere else."""
    return {"topics": TOPICS, "signals": tuple(kind.name for kind in SIGNALS)}


def keep_states(root: Path = ROOT) -> Path:
    """Write the folder of the present version."""
    borrowers = lives()
    moments = timeline(borrowers)
    before = [step for time_ms, step in moments if time_ms <= CUT_MS]
    after = [step for time_ms, step in moments if time_ms > CUT_MS]
    risk_engine = engine()
    feed_steps(risk_engine, before, 0)
    changed = risk_engine.take_output(detected_at_ms=0).changed
    records = {
        borrower_id: (life.holds, record)
        for borrower_id, life in borrowers.items()
        if (record := changed[borrower_id]) is not None
    }
    folder = keep(root, STATE_VERSION, shape_of(Borrower), records, "state", numbered())
    (folder / "before.jsonl").write_bytes(as_lines(before))
    (folder / "after.jsonl").write_bytes(as_lines(after))
    (folder / "progress.json").write_bytes(msgspec.json.encode(risk_engine.progress()) + b"\n")
    keep_alerts(KeptVersion(folder))
    return folder


def keep_alerts(kept: KeptVersion) -> None:
    """Write down what follows from kept bytes: alerts, and what matures."""
    (kept.folder / "alerts.jsonl").write_bytes(as_lines([told(alert) for alert in alerts_after(kept)]))
    if kept.manifest.version >= FIRST_WITH_EXAMPLES:
        (kept.folder / "examples.jsonl").write_bytes(as_lines([matured(one) for one in examples_after(kept)]))


if __name__ == "__main__":
    if sys.argv[1:] == ["--alerts"]:
        for version in kept_versions(ROOT):
            keep_alerts(version)
    else:
        print(keep_states())
