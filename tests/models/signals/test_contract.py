"""What holds of every signal: pure, bounded, deterministic, it resolves, never flaps on noise, explains itself, honest deadlines.

Each signal of the table is held to it by its story in `tests/support/signal_stories.py`; one without a story fails.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import msgspec
import pytest

from models.alerts import Alert, Finding, Reason, SignalName
from models.borrower import Borrower, encode_borrower, new_borrower
from models.calendars import DAY_MS, HOUR_MS
from models.deadlines import NEVER
from models.engine import RiskEngine
from models.episodes import Episode, open_episode
from models.events import BorrowerEvent
from models.limits import INT64_MAX
from models.signal_table import SIGNALS, SUBJECTS_DIFFER
from models.signals.binding import BORROWER_LEVEL, Signal
from tests.support.equality import by_borrower, open_linked_distress
from tests.support.events import at, engine, feed_of, rules
from tests.support.partitions import Partitions
from tests.support.signal_stories import STORIES, B, SignalStory, in_time, live

ROOT = Path(__file__).parents[3]
RULES = rules()
NUMBERS: dict[SignalName, int] = {signal.name: number for number, signal in enumerate(SIGNALS)}
SNAPSHOT_BYTES_MAX = 64 * 1024
"""Of a borrower whose life was made to be long: forty times what a quiet one takes."""
AHEAD_MS = 40 * DAY_MS
"""How far it is looked whether a finding waits for its deadline."""

LOOKS: dict[SignalName, str] = {
    "payment_at_risk": "Looks at the midnights that its deadlines name, and at every event of a loan; in between it is not asked "
    "(the head of the module says why): what a look in between would find is nobody's business."
}
"""Signals that a question between two deadlines may answer otherwise, by reason."""


@pytest.fixture(params=[signal.name for signal in SIGNALS])
def name(request: pytest.FixtureRequest) -> SignalName:
    """Each signal of the table."""
    one: SignalName = request.param
    return one


@cache
def story_of(name: SignalName) -> SignalStory:
    """Told once: the ids of its events are the same for all."""
    return STORIES[name]()


@cache
def alerts_of(name: SignalName) -> list[Alert]:
    """What a signal tells of its own story."""
    story = story_of(name)
    return _own(live([*story.opens, *story.ends], story.until), name)


def _own(alerts: Sequence[Alert], name: SignalName) -> list[Alert]:
    return [alert for alert in alerts if (alert.signal, alert.borrower_id) == (name, B)]


def _episode(borrower: Borrower, name: SignalName, subject: str | None) -> Episode | None:
    return open_episode(borrower.episodes, NUMBERS[name], subject)


def _picture(finding: Finding | None) -> object:
    """What of a finding is worth a revision."""
    return None if finding is None else (finding.severity, finding.actionable)


def _lived(name: SignalName, until: int | None = None) -> Borrower:
    """The borrower after the first events of its story, or all of them."""
    story = story_of(name)
    world = Partitions()
    world.run(in_time([*story.opens, *story.ends])[:until])
    world.settle()
    known = world.engines[0].borrower(B)
    assert known is not None
    return known


def test_every_signal_has_its_story() -> None:
    """Whoever adds a signal says what opens it, what ends it, and what hovers."""
    assert set(STORIES) == {signal.name for signal in SIGNALS}


# ---- resolves ----------------------------------------------------------------------------------------------------


def test_its_story_opens_it_and_ends_it(name: SignalName) -> None:
    """No alert stays once the cause has ended and the windows have passed."""
    last: dict[str, str] = {}
    for alert in alerts_of(name):
        last[alert.alert_id] = alert.status

    assert last
    assert set(last.values()) == {"resolved"}


def test_without_its_cause_it_says_nothing(name: SignalName) -> None:
    """The same world without the borrower's own story: another borrower is not warned of."""
    story = story_of(name)
    alerts = live([*story.opens, *story.ends], story.until)
    strangers = {alert.borrower_id for alert in alerts if alert.signal == name}

    assert strangers == {B}


# ---- pure --------------------------------------------------------------------------------------------------------


def _moments(borrower: Borrower, name: SignalName) -> Iterator[tuple[Signal, str | None, int]]:
    """A signal, its subjects, and instants all over its story, midnights among them."""
    signal = SIGNALS[NUMBERS[name]]
    times_ms = [event.event_time_ms for event in in_time([*story_of(name).opens, *story_of(name).ends])]
    instants_ms = range(at("2025-01-01", "00:00"), max(times_ms) + 90 * DAY_MS, 5 * DAY_MS + 12 * HOUR_MS)
    for subject in signal.subjects(borrower):
        for instant_ms in [*instants_ms, *times_ms]:
            yield signal, subject, instant_ms


def test_judging_changes_nothing_and_gives_the_same_again(name: SignalName) -> None:
    """The same arguments, the same finding and deadline; the evidence is to the byte what it was."""
    borrower = _lived(name)
    before = encode_borrower(borrower)
    once, again = (_answers(borrower, name) for _ in range(2))

    assert once == again
    assert encode_borrower(borrower) == before


def _answers(borrower: Borrower, name: SignalName) -> list[tuple[Finding | None, int]]:
    return [
        (
            signal.judge(borrower, subject, at_ms, episode, RULES, deadline=deadline),
            signal.next_deadline_ms(borrower, subject, at_ms, episode, RULES),
        )
        for signal, subject, at_ms in _moments(borrower, name)
        for episode in (None, *_some_episode(borrower, name, subject))
        for deadline in (False, True)
    ]


def _some_episode(borrower: Borrower, name: SignalName, subject: str | None) -> list[Episode]:
    """An alert as if it were open, where there was one."""
    known = [episode for episode in borrower.episodes if episode.signal == NUMBERS[name]]
    return [
        msgspec.structs.replace(episode, closed_ms=None) for episode in known if episode.loan_id == subject
    ][:1]


# ---- honest deadlines --------------------------------------------------------------------------------------------


def test_between_deadlines_time_alone_changes_nothing(name: SignalName) -> None:
    """After each event: until the next deadline the finding stays, and after a deadline the next one is later."""
    story = story_of(name)
    events = in_time([*story.opens, *story.ends])
    world = Partitions()
    signal = SIGNALS[NUMBERS[name]]
    for event in events:
        world.run([event])
        borrower = world.engines[0].borrower(B)
        if borrower is None:
            continue
        for subject in list(signal.subjects(borrower)):
            _hold_to_deadlines(signal, borrower, subject, event.event_time_ms, name)


def _hold_to_deadlines(
    signal: Signal, borrower: Borrower, subject: str | None, from_ms: int, name: SignalName
) -> None:
    episode = _episode(borrower, name, subject)
    due_ms = signal.next_deadline_ms(borrower, subject, from_ms, episode, RULES)
    assert due_ms > from_ms
    if name not in LOOKS:
        found = signal.judge(borrower, subject, from_ms, episode, RULES, deadline=False)
        last_ms = min(due_ms, from_ms + AHEAD_MS) - 1
        for part in (0.001, 0.2, 0.5, 0.8, 1):
            at_ms = from_ms + int((last_ms - from_ms) * part)
            later = signal.judge(borrower, subject, at_ms, episode, RULES, deadline=False)
            assert _picture(later) == _picture(found), (subject, from_ms, at_ms, due_ms)
    for _ in range(3):
        if due_ms == NEVER:
            return
        following_ms = signal.next_deadline_ms(borrower, subject, due_ms, episode, RULES)
        assert following_ms > due_ms
        due_ms = following_ms


# ---- deterministic -----------------------------------------------------------------------------------------------


def test_neighbours_and_partitions_change_nothing(name: SignalName) -> None:
    """Among many others, in three partitions, the borrower's alerts are those it has alone."""
    story = story_of(name)
    own = [*story.opens, *story.ends]
    others = [
        msgspec.structs.replace(event, borrower_id=f"n-{number}", event_id=f"{event.event_id}-{number}")
        for number in range(2)
        for event in own
        if event.borrower_id == B
    ]
    alone, together = live(own, story.until), live([*own, *others], story.until, partitions=3)

    assert by_borrower(together).get(B) == by_borrower(alone).get(B)
    assert open_linked_distress(together).get(B) == open_linked_distress(alone).get(B)


def test_another_process_tells_the_same() -> None:
    """Whatever Python's hashes: what every story tells is the same to the last byte."""
    told = {_digests_with(seed) for seed in ("0", "1", "4242")}

    assert len(told) == 1
    assert len(next(iter(told)).splitlines()) == len(SIGNALS)


def _digests_with(hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "streams", "tests.support.signal_stories"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


# ---- bounded -----------------------------------------------------------------------------------------------------


def _flood(events: Sequence[BorrowerEvent], times: int) -> list[BorrowerEvent]:
    """Each event again and again, minutes apart, with names that were never heard before."""
    flood: list[BorrowerEvent] = []
    for event in events:
        for number in range(times):
            fields = {
                "event_id": f"{event.event_id}-{number}",
                "event_time_ms": event.event_time_ms + number * 90_000,
            }
            for field in ("institution_id", "counterparty_id", "account_id"):
                if getattr(event, field, None) is not None:
                    fields[field] = f"{getattr(event, field)}-{number}"
            if hasattr(event, "loan_id") and number and event.loan_id is not None:
                fields["loan_id"] = f"{event.loan_id}-{number % 100}"
            flood.append(msgspec.structs.replace(event, **fields))
    return in_time(flood)


def test_a_long_adversarial_life_stays_within_its_bounds(name: SignalName) -> None:
    """Everything that its story holds, hundreds of times over: the borrower's bytes stay bounded, and it still answers."""
    story = story_of(name)
    own = [event for event in [*story.opens, *story.hovers] if event.borrower_id == B]
    risk_engine = engine()
    sizes = [_bytes_after(risk_engine, _flood(own[:40], 15), round_) for round_ in range(2)]

    assert max(sizes) <= SNAPSHOT_BYTES_MAX, sizes
    borrower = risk_engine.borrower(B)
    assert borrower is not None
    for signal, subject, at_ms in [*_moments(borrower, name)][:50]:
        signal.judge(borrower, subject, at_ms, None, RULES, deadline=False)


def _bytes_after(risk_engine: RiskEngine, events: Sequence[BorrowerEvent], round_: int) -> int:
    """The size of the borrower's state after events, so many times 400 days later."""
    for offset, event in enumerate(events):
        again = msgspec.structs.replace(
            event,
            event_id=f"{event.event_id}-r{round_}",
            event_time_ms=event.event_time_ms + round_ * 400 * DAY_MS,
        )
        risk_engine.process(again, feed_of(again), offset)
    risk_engine.take_output(0)
    borrower = risk_engine.borrower(B)
    assert borrower is not None
    return len(encode_borrower(borrower))


# ---- never flaps -------------------------------------------------------------------------------------------------


def test_hovering_at_the_threshold_causes_few_revisions(name: SignalName) -> None:
    """Hysteresis, tolerance or cooldown hold back what noise would make of it."""
    story = story_of(name)

    assert len(_own(live(story.hovers, story.until), name)) <= story.hovering_revisions_max


def test_within_its_cooldown_only_a_higher_severity_opens_again(name: SignalName) -> None:
    """Of the same loan, or borrower, as the policy has it."""
    story = story_of(name)
    cooldown_ms = SIGNALS[NUMBERS[name]].cooldown_days(RULES) * DAY_MS
    worst: dict[str, int] = defaultdict(int)
    ended: dict[str | None, tuple[int, int]] = {}
    words = {"watch": 1, "warning": 2, "serious": 3, "critical": 4}
    for alert in _own(live(story.hovers, story.until), name):
        worst[alert.alert_id] = max(worst[alert.alert_id], words[alert.severity])
        if alert.status == "opened" and alert.loan_id in ended:
            ended_ms, severity = ended[alert.loan_id]
            assert alert.event_time_ms >= ended_ms + cooldown_ms or words[alert.severity] > severity
        if alert.status == "resolved":
            ended[alert.loan_id] = alert.event_time_ms, worst[alert.alert_id]


# ---- explains itself ---------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_CLOSING = {"RESOLVED", "RETRACTED"}


def test_every_revision_explains_itself(name: SignalName) -> None:
    """A code, a sentence in each language with the same numbers, those of the evidence; a threshold among them."""
    story = story_of(name)
    for alert in [*alerts_of(name), *_own(live(story.hovers, story.until), name)]:
        assert alert.reasons
        for reason in alert.reasons:
            assert re.fullmatch(r"[A-Z]+(-[A-Z]+)*", reason.code)
            assert re.search(r"[a-z]", reason.text.en)
            assert re.search(r"[\u4e00-\u9fff]", reason.text.zh)
            if reason.code not in _CLOSING:
                assert _numbers(reason.text.en) == _numbers(reason.text.zh), reason.text
                assert _unexplained(reason) == [], reason
        if alert.status not in ("resolved", "retracted"):
            assert any("threshold" in reason.evidence for reason in alert.reasons), alert.reasons


def _numbers(text: str) -> Counter[str]:
    return Counter(_NUMBER.findall(_DATE.sub("", text))) + Counter(_DATE.findall(text))


def _unexplained(reason: Reason) -> list[str]:
    """Numbers of the text that are not in the evidence: as they are, as a percentage, or in minor units."""
    values = [value for value in reason.evidence.values() if isinstance(value, int | float)]
    words = " ".join(value for value in reason.evidence.values() if isinstance(value, str))
    shown: list[str] = []
    for text in _numbers(reason.text.en):
        if text in words:
            continue
        number = float(text.replace(",", ""))
        forms = (number, number / 100, number * 100)
        if not any(
            abs(form - value) < 0.0051 for form in forms for value in values if abs(value) < INT64_MAX
        ):
            shown.append(text)
    return shown


def test_whose_subjects_never_differ_judges_any_borrower_as_a_whole(name: SignalName) -> None:
    """The table says of whom there is nothing to ask."""
    number, unknown = NUMBERS[name], new_borrower(0)

    assert (SIGNALS[number].subjects(unknown) != BORROWER_LEVEL) == (number in SUBJECTS_DIFFER)
