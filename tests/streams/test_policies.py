"""Policies as published: history, what is refused, and a change amid the work of running workers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.alerts import Alert
from models.calendars import date_of_day, day_of_date
from models.engine import RiskEngine
from models.events import TOPICS
from models.policy import Policy, PolicyError, default_policy, parse_policy
from models.policy_changes import Change, changes
from models.risk.scorecard import expert_prior
from models.rulebook import SINCE_EVER_MS, Adopted, Span
from models.rules import Rules
from streams import backtest
from streams.bootstrap import build_pipeline
from streams.clock import SystemClock
from streams.commands.common import instant_from
from streams.memory.virtual_time import run_virtual
from streams.metrics import PlainMetrics
from streams.metrics_catalogue import CounterName
from streams.pipeline import Pipeline
from streams.policies import Follower, Policies, publication_records, published_of
from streams.ports import PortError
from streams.publishing import (
    PublishingError,
    former_version,
    history,
    latest_policy,
    next_publication,
)
from streams.reference import CURRENT_KEY, Pointer, content_records
from streams.reference import ReferenceError as UnreadableError
from tests.support.equality import by_borrower
from tests.support.events import at
from tests.support.house import House, until
from tests.support.late_payers import Parts, late_payers, records, write_book

DEFAULT = default_policy()
STRICTER = parse_policy("[signals.missed_payment]\nseverity = { warning = 3 }\n", "stricter.toml")
LOOSER = parse_policy("[signals.missed_payment]\nseverity = { warning = 20 }\n", "looser.toml")
HOUR_MS = 3_600_000


def topic(*publications: tuple[Policy, int]) -> dict[bytes, bytes | None]:
    """What the topic holds after these publications, each effective from an instant."""
    values: dict[bytes, bytes | None] = {}
    for number, (policy, from_ms) in enumerate(publications, start=1):
        values.update(publication_records(policy, Pointer(policy.version, from_ms, number, 1_000 * number)))
    return values


# ---- what was published ------------------------------------------------------------------------------------------


def test_the_history_survives_compaction() -> None:
    """One record a key is left, and still every publication is known, with its content."""
    published = published_of(topic((STRICTER, SINCE_EVER_MS), (LOOSER, 500), (STRICTER, 900)))

    assert [(one.number, one.version, one.effective_from_ms) for one in published.publications] == [
        (1, STRICTER.version, SINCE_EVER_MS),
        (2, LOOSER.version, 500),
        (3, STRICTER.version, 900),
    ]
    assert published.policy(LOOSER.version) == LOOSER
    assert published.last_number == 3


def test_a_pointer_without_a_history_counts_as_the_latest() -> None:
    """Written by an earlier release: it holds since ever."""
    plain = dict(content_records(STRICTER))
    assert [one.effective_from_ms for one in published_of(plain).publications] == [SINCE_EVER_MS]

    after = published_of({**topic((LOOSER, 500)), **plain})
    assert [one.version for one in after.publications] == [LOOSER.version, STRICTER.version]
    assert after.last_number == 2


def test_a_withdrawn_pointer_leaves_nothing_in_force_and_the_count_goes_on() -> None:
    """The next publication must not bear a number that workers have seen."""
    published = published_of({**topic((STRICTER, 0), (LOOSER, 1)), CURRENT_KEY: None})

    assert published.publications == ()
    assert next_publication(published, STRICTER.version, 7, 9).number == 3


def test_an_unreadable_pointer_is_refused() -> None:
    """With what to do."""
    with pytest.raises(UnreadableError, match="publish it again"):
        published_of({CURRENT_KEY: b"{"})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such version"),
        (b"{", "not readable"),
        (msgspec.json.encode(LOOSER), "what is named so is"),
        (b'{"time_zone":"UTC"}', "not readable"),
    ],
)
def test_a_content_that_cannot_be_used_is_refused(content: bytes | None, said: str) -> None:
    """Missing, garbled, under another's name, or without what a policy needs."""
    published = published_of({**topic((STRICTER, 0)), STRICTER.version.encode(): content})

    with pytest.raises(PolicyError, match=said):
        published.policy(STRICTER.version)


def test_a_policy_that_decodes_but_makes_no_sense_is_refused() -> None:
    """Severities that fall instead of rising are well typed."""
    ladder = msgspec.structs.replace(DEFAULT.signals.missed_payment.severity, warning=95)
    missed = msgspec.structs.replace(DEFAULT.signals.missed_payment, severity=ladder)
    senseless = msgspec.structs.replace(
        DEFAULT, signals=msgspec.structs.replace(DEFAULT.signals, missed_payment=missed)
    )

    with pytest.raises(PolicyError, match="must rise"):
        published_of(topic((senseless, 0))).policy(senseless.version)


def test_the_history_tells_what_each_changed_and_what_is_in_force() -> None:
    """Key by key, old and new; a publication called off before its time is told as such."""
    published = published_of(topic((STRICTER, SINCE_EVER_MS), (LOOSER, 90_000), (DEFAULT, 50_000)))

    entries = history(published, DEFAULT, now_ms=60_000)

    key = "signals.missed_payment.severity.warning"
    assert [entry.changes for entry in entries] == [
        [Change(key, 7, 3)],
        [Change(key, 3, 20)],
        [Change(key, 20, 7)],
    ]
    assert [entry.phase for entry in entries] == ["past", "called off", "in force"]
    assert [entry.phase for entry in history(published, DEFAULT, now_ms=40_000)] == [
        "in force",
        "called off",
        "to come",
    ]
    assert latest_policy(published, STRICTER) == msgspec.json.decode(msgspec.json.encode(DEFAULT))


def test_going_back_finds_the_version_before_or_the_one_named() -> None:
    """By its first characters; what names none or several is refused."""
    published = published_of(topic((STRICTER, 0), (LOOSER, 1), (LOOSER, 2)))

    assert former_version(published, None) == STRICTER.version
    assert former_version(published, LOOSER.version[:6]) == LOOSER.version
    for wanted in ("ffffffffff", LOOSER.version[:2]):
        with pytest.raises(PublishingError, match="published:"):
            former_version(published, wanted)
    with pytest.raises(PublishingError, match="no version before"):
        former_version(published_of(topic((STRICTER, 0))), None)


def test_the_first_policy_holds_since_ever_and_a_later_one_from_now() -> None:
    """Unless it is said from when on."""
    empty, begun = published_of({}), published_of(topic((STRICTER, 0)))

    assert next_publication(empty, "v", None, 77) == Pointer("v", SINCE_EVER_MS, 1, 77)
    assert next_publication(begun, "v", None, 77) == Pointer("v", 77, 2, 77)
    assert next_publication(begun, "v", 5, 77) == Pointer("v", 5, 2, 77)


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("1750000000000", 1_750_000_000_000),
        ("2025-06-15", at("2025-06-15", "00:00")),
        ("2025-06-15T12:30", at("2025-06-15", "12:30")),
        ("2025-06-15T12:30Z", at("2025-06-15", "20:30")),
        ("ever", SINCE_EVER_MS),
    ],
)
def test_an_instant_is_read(text: str, expected_ms: int) -> None:
    """Milliseconds, or ISO 8601: local where it has no offset."""
    assert instant_from(text, "Asia/Shanghai", "--then") == expected_ms


def test_changes_are_told_where_a_key_came_or_went() -> None:
    """A document of an earlier release may lack a key; lists and tuples are the same."""
    old = msgspec.json.decode(msgspec.json.encode(DEFAULT))
    del old["contact"]["earliest_hour"]

    assert changes(old, DEFAULT) == [Change("contact.earliest_hour", None, 8)]
    assert changes(DEFAULT, DEFAULT) == []


# ---- what a worker makes of it -----------------------------------------------------------------------------------


def adopted_by(policies: Policies, adopted: Adopted | None = None) -> list[tuple[int, str]]:
    """The spans of an engine that is brought up to date."""
    engine = RiskEngine(policies.book(adopted), expert_prior())
    policies.bring_up_to_date(engine)
    return [(span.from_ms, span.version) for span in engine.adopted.spans]


def known(*publications: tuple[Policy, int]) -> Policies:
    """What a worker knows that has read these."""
    policies = Policies(Rules(DEFAULT))
    policies.take(published_of(topic(*publications)), PlainMetrics())
    return policies


def test_a_task_takes_up_what_was_published_in_order() -> None:
    """A later publication calls off what was to begin after it; an equal one begins nothing."""
    spans = adopted_by(known((STRICTER, 500), (LOOSER, 900), (DEFAULT, 700), (DEFAULT, 800)))

    assert spans == [(SINCE_EVER_MS, DEFAULT.version), (500, STRICTER.version), (700, DEFAULT.version)]


def test_a_restarted_task_goes_on_with_what_it_had_adopted() -> None:
    """Even where it had learnt of it late; what came since is taken up."""
    adopted = Adopted(1, (Span(SINCE_EVER_MS, DEFAULT.version), Span(650, STRICTER.version)))

    assert adopted_by(known((STRICTER, 500)), adopted) == [
        (SINCE_EVER_MS, DEFAULT.version),
        (650, STRICTER.version),
    ]
    assert adopted_by(known((STRICTER, 500), (LOOSER, 900)), adopted)[-1] == (900, LOOSER.version)


def test_another_fallback_than_at_the_last_start_is_taken_up() -> None:
    """The policy file has changed, or the packaged default of a new release; the old content is gone."""
    gone = Adopted(0, (Span(SINCE_EVER_MS, "f" * 16),))

    assert adopted_by(Policies(Rules(DEFAULT)), gone) == [(SINCE_EVER_MS, DEFAULT.version)]


def test_a_bad_policy_is_refused_once_and_the_old_one_stays() -> None:
    """Counted, and passed over, also by a worker that starts only then."""
    good, metrics = topic((STRICTER, 500)), PlainMetrics()
    bad = {**good, **topic((STRICTER, 500), (LOOSER, 900)), LOOSER.version.encode(): b"{"}
    policies = Policies(Rules(DEFAULT))

    assert policies.take(published_of(good), metrics)
    assert not policies.take(published_of(bad), metrics)
    assert not policies.take(published_of(bad), metrics)

    assert policies.current.policy_version == STRICTER.version
    assert metrics.counters["policies", "refused"] == 1
    late = Policies(Rules(DEFAULT))
    assert late.take(published_of(bad), metrics)
    assert late.current.policy_version == STRICTER.version


def test_the_longer_lateness_counts_while_two_policies_may_be_in_force() -> None:
    """An idle partition's watermark must not run ahead of what either waits for."""
    slow = parse_policy("[feeds.credit-queries]\nlateness_minutes = 1440\n", "slow.toml")

    hours = [lateness_ms // HOUR_MS for lateness_ms in known((slow, 500), (DEFAULT, 900)).lateness_ms]
    assert dict(zip(TOPICS, hours, strict=True)) == {**dict.fromkeys(TOPICS, 1), "credit-queries": 24}
    assert known((DEFAULT, 0), (DEFAULT, 1)).lateness_ms == (HOUR_MS,) * 4


def test_a_topic_that_cannot_be_read_is_told_and_tried_again() -> None:
    """Neither the loop ends nor the policy changes."""

    async def main() -> None:
        answers: list[bool | Exception] = [PortError("away"), UnreadableError("garbled"), True]

        async def refresh() -> bool:
            answer = answers.pop(0) if answers else False
            if isinstance(answer, Exception):
                raise answer
            return answer

        metrics = PlainMetrics()
        follower = Follower("policies", refresh, 1_000, metrics)
        seen: list[bool] = []
        for now_ms in range(0, 8_000, 500):
            seen.append(follower.look(now_ms))
            await asyncio.sleep(0)
        await follower.stop()
        assert seen.count(True) == 1
        assert metrics.counters["policies", "unreadable"] == 2
        assert metrics.gauges["policies_age_seconds",] == 0

    asyncio.run(main())


# ---- a change amid the work --------------------------------------------------------------------------------------

CUTS = ("2025-03-30", "2025-05-30")
SWITCHES = ((STRICTER, at("2025-04-01", "00:00")), (DEFAULT, at("2025-06-01", "00:00")))
_LEAP_FROM_MS = SWITCHES[0][1]


def backtested(parts: Parts, folder: Path, changes_ms: Sequence[tuple[Policy, int]]) -> list[Alert]:
    """The alerts of a backtest that switches at the same instants."""
    book = write_book(parts, folder / "book")
    last = date_of_day(day_of_date(date_of_day(0)) + (parts.ends_ms[-1] + 8 * HOUR_MS) // (24 * HOUR_MS) - 1)
    backtest.run(
        book,
        folder / "out",
        DEFAULT,
        now_ms=SystemClock().now_ms(),
        until=last,
        switches=[(from_ms, policy) for policy, from_ms in changes_ms],
    )
    decode = msgspec.json.Decoder(Alert).decode
    return [decode(line) for line in (folder / "out" / "alerts.jsonl").read_bytes().splitlines()]


def worker_of(house: House) -> Pipeline:
    """A worker with the real engine."""
    return build_pipeline(house.settings, house.metrics, ports=house.ports, clock=house.clock)


@pytest.mark.parametrize("restarts", [False, True], ids=["running", "restarted"])
def test_a_change_amid_the_work_gives_the_alerts_of_a_backtest_that_switches(
    tmp_path: Path, *, restarts: bool
) -> None:
    """Published and gone back while a worker runs, or restarts in between: no restart is needed, and none disturbs."""
    parts = late_payers(CUTS)

    async def main() -> House:
        house = House(until_end=False)
        worker = worker_of(house)
        run = asyncio.create_task(worker.run())
        events = 0
        for number, (part, end_ms) in enumerate(zip(parts.events, parts.ends_ms, strict=True)):
            produced = records(part, end_ms, house.settings.partitions)
            house.produce(produced)
            events += len(part)
            if number == len(SWITCHES):
                break
            policy, from_ms = SWITCHES[number]
            for key, value in publication_records(policy, Pointer(policy.version, from_ms, number + 1)):
                house.broker.produce(house.names.policies, 0, key, value)
            await until(lambda taken=number + 1: house.metrics.counters["policies", "taken"] >= taken)
            if restarts:
                worker.stop()
                await run
                worker = worker_of(house)
                run = asyncio.create_task(worker.run())
                house.metrics.counters["policies", "taken"] = number + 1
        house.produce(records([], parts.ends_ms[-1] + 1, house.settings.partitions))
        await until(lambda: worker_is_done(house, worker))
        worker.stop()
        await run
        return house

    def worker_is_done(house: House, worker: Pipeline) -> bool:
        return bool(worker.tasks) and all(
            min(task.engine.progress().watermarks_ms) >= parts.ends_ms[-1] and not task.dirty
            for task in worker.tasks.values()
        )

    house = run_virtual(main())
    found = [alert for alerts in house.alerts() for alert in alerts]
    expected = backtested(parts, tmp_path, SWITCHES)

    assert by_borrower(found) == by_borrower(expected)
    by_version = {version: [one for one in found if one.policy_version == version] for version in versions()}
    assert {one.severity for one in by_version[STRICTER.version]} == {"watch", "warning"}
    assert {one.severity for one in by_version[DEFAULT.version]} == {"watch"}
    assert all(SWITCHES[0][1] <= one.event_time_ms < SWITCHES[1][1] for one in by_version[STRICTER.version])
    assert {one.event_time_ms < SWITCHES[0][1] for one in by_version[DEFAULT.version]} == {True, False}


def versions() -> tuple[str, str]:
    """Of the two policies."""
    return STRICTER.version, DEFAULT.version


def test_a_leap_over_a_whole_review_is_done_in_steps_and_gives_the_same_alerts(tmp_path: Path) -> None:
    """A feed that brings a day at once must not hold the loop: each turn judges so many borrowers at most."""
    parts = late_payers(())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.engine.REVIEWED_AT_ONCE_MAX", 1)
        house, steps = stepped(parts, STRICTER)

    assert steps >= 2 * len(house.states()) - 2 * house.settings.partitions
    following = ((STRICTER, _LEAP_FROM_MS),)
    expected = backtested(parts, tmp_path, following)
    assert by_borrower(alert for alerts in house.alerts() for alert in alerts) == by_borrower(expected)


def test_deadlines_that_pass_together_are_judged_in_steps_and_give_the_same_alerts(tmp_path: Path) -> None:
    """A midnight of a million borrowers must not hold the loop either: one deadline a turn of each task, and no commit amid them."""
    parts = late_payers(())
    house, steps = stepped(parts, None, deadlines_at_once_max=1)

    assert steps > len(house.states())
    expected = backtested(parts, tmp_path, ())
    assert by_borrower(alert for alerts in house.alerts() for alert in alerts) == by_borrower(expected)


def stepped(parts: Parts, policy: Policy | None, **changes: Any) -> tuple[House, int]:
    """A book that one worker takes whole, and how many steps of reviews and deadlines it needed; a policy follows."""

    async def main() -> tuple[House, int]:
        house = House(**changes)
        house.produce(records(parts.events[0], parts.ends_ms[0], house.settings.partitions))
        if policy is not None:
            for key, value in publication_records(policy, Pointer(policy.version, _LEAP_FROM_MS, 1)):
                house.broker.produce(house.names.policies, 0, key, value)
        worker = worker_of(house)
        steps = 0
        show = house.metrics.count

        def count(name: CounterName, amount: float = 1, *labels: str) -> None:
            nonlocal steps
            steps = max(steps, sum(task.steps_before for task in worker.tasks.values()))
            show(name, amount, *labels)

        house.metrics.count = count  # type: ignore[method-assign] # looks in whenever something is counted
        await worker.run()
        return house, steps

    found: tuple[House, int] = run_virtual(main())
    return found
