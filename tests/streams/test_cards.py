"""Scorecards as workers take them up: what is refused, and a change amid the work of running workers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from models.alerts import Alert
from models.engine import RiskEngine
from models.risk.guard import Refusal
from models.risk.scorecard import Scorecard, expert_prior
from models.rulebook import SINCE_EVER_MS, Adopted, Rulebook, Span
from streams.bootstrap import build_pipeline
from streams.cards import KnownCards, PublishedCards, published_cards_of
from streams.commands.common import instant_from
from streams.memory.ports import MemoryPorts
from streams.memory.virtual_time import run_virtual
from streams.metrics import PlainMetrics
from streams.pipeline import Pipeline
from streams.ports import OutputRecord
from streams.progress import decode_progress, progress_key
from streams.reference import CURRENT_KEY, content_records
from streams.rollback import former_version, go_back, read_topic
from streams.trainer import TrainingLoop, trainer_inputs, trainer_settings
from tests.support.card_steps import records_of
from tests.support.equality import by_borrower
from tests.support.events import at, feed_of, rules
from tests.support.examples import weeks_of_examples
from tests.support.house import House, until
from tests.support.late_payers import Parts, late_payers, records

PRIOR = expert_prior()
ALARMED = msgspec.structs.replace(PRIOR, bias=0.0)
AT_EASE = msgspec.structs.replace(PRIOR, bias=-6.0)
STRANGE = Scorecard(("shoe_size",), ((40.0,),), ((0.0, 1.0),), -3.0)
HOUR_MS = 3_600_000


def topic(*steps: tuple[Scorecard, int] | tuple[Scorecard, int, Refusal]) -> dict[bytes, bytes | None]:
    """What the topic holds after these steps, each effective from an instant."""
    values: dict[bytes, bytes | None] = {}
    for number, (card, from_ms, *refused) in enumerate(steps, start=1):
        made = records_of(card, number, from_ms, *refused)
        values.update((record.key, record.value) for record in made if record.key is not None)
    return values


# ---- what was published ------------------------------------------------------------------------------------------


def test_what_was_put_in_force_is_known_in_order_and_no_refusal() -> None:
    """One record a key is left after compaction: contents, a record a step, the pointer."""
    published = published_cards_of(topic((ALARMED, 500), (STRANGE, 600, "too_few_examples"), (AT_EASE, 900)))

    assert [(one.number, one.version, one.effective_from_ms) for one in published.publications] == [
        (1, ALARMED.version, 500),
        (3, AT_EASE.version, 900),
    ]
    assert published.faults == ()


def test_a_pointer_without_a_history_is_the_latest_and_a_withdrawn_one_leaves_nothing() -> None:
    """The one holds since ever and takes no number from the steps to come; of the other only the contents are left."""
    plain: Mapping[bytes, bytes | None] = dict(content_records(AT_EASE))
    after = published_cards_of({**topic((ALARMED, 500)), **plain}).publications
    assert [(one.number, one.version, one.effective_from_ms) for one in after] == [
        (1, ALARMED.version, 500),
        (1, AT_EASE.version, SINCE_EVER_MS),
    ]
    assert [one.number for one in published_cards_of(plain).publications] == [0]
    assert published_cards_of({**topic((ALARMED, 500)), CURRENT_KEY: None}).publications == ()


# ---- what a worker makes of it -----------------------------------------------------------------------------------


def known(values: Mapping[bytes, bytes | None], metrics: PlainMetrics | None = None) -> KnownCards:
    """What a worker knows that has read this."""
    cards = KnownCards(PRIOR)
    cards.take(published_cards_of(values), metrics or PlainMetrics())
    return cards


def adopted_by(cards: KnownCards, adopted: Adopted | None = None) -> list[tuple[int, str]]:
    """The spans of an engine that is brought up to date."""
    book = Rulebook(rules())
    cards.enter(book, adopted)
    engine = RiskEngine(book)
    cards.bring_up_to_date(engine)
    return [(span.from_ms, span.version) for span in engine.adopted_cards.spans]


def test_a_task_takes_up_what_was_published_in_order() -> None:
    """A later one calls off what was to begin after it; an equal one begins nothing."""
    spans = adopted_by(known(topic((ALARMED, 500), (AT_EASE, 900), (PRIOR, 700), (PRIOR, 800))))

    assert spans == [(SINCE_EVER_MS, PRIOR.version), (500, ALARMED.version), (700, PRIOR.version)]


def test_a_restarted_task_goes_on_with_what_it_had_adopted() -> None:
    """Even where it had learnt of it late, and though the topic says something else by now."""
    adopted = Adopted(1, (Span(SINCE_EVER_MS, PRIOR.version), Span(650, ALARMED.version)))
    before = [(SINCE_EVER_MS, PRIOR.version), (650, ALARMED.version)]

    assert adopted_by(known(topic((ALARMED, 500))), adopted) == before
    assert adopted_by(known(topic((ALARMED, 500), (AT_EASE, 900))), adopted) == [
        *before,
        (900, AT_EASE.version),
    ]


def test_a_card_withdrawn_or_put_there_without_a_number_is_followed() -> None:
    """From the next instant on that nothing has reached."""
    adopted = Adopted(1, (Span(SINCE_EVER_MS, PRIOR.version), Span(650, ALARMED.version)))

    assert adopted_by(known({**topic((ALARMED, 500)), CURRENT_KEY: None}), adopted)[-1][1] == PRIOR.version
    plain = {**topic((ALARMED, 500)), **dict(content_records(AT_EASE))}
    assert adopted_by(known(plain), adopted)[-1][1] == AT_EASE.version
    assert adopted_by(known(dict(content_records(AT_EASE)))) == [(SINCE_EVER_MS, AT_EASE.version)]


def test_an_adopted_card_whose_content_is_gone_is_left_out() -> None:
    """Where none is left, the one in force holds."""
    gone = Adopted(3, (Span(SINCE_EVER_MS, "f" * 16), Span(700, ALARMED.version)))

    assert adopted_by(known(topic((PRIOR, 1), (PRIOR, 2), (ALARMED, 500))), gone) == [(700, ALARMED.version)]
    assert adopted_by(KnownCards(PRIOR), gone) == [(SINCE_EVER_MS, PRIOR.version)]


WRONG_BINS = b'{"features":["open_loans"],"edges":[[1.0,2.0]],"weights":[[0.0,1.0]],"bias":-3.0}'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such version"),
        (b"{", "not readable"),
        (b"\xff\xfe", "not readable"),
        (WRONG_BINS, "not readable"),
        (msgspec.json.encode(AT_EASE), "what is named so is"),
    ],
)
def test_a_card_that_cannot_be_used_is_refused_once_and_the_old_one_stays(
    content: bytes | None, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Missing, garbled, with bins that do not fit, or under another's name; also for a worker that starts only then."""
    bad = topic((ALARMED, 500), (msgspec.structs.replace(PRIOR, bias=-3.3), 900))
    (version,) = set(bad) - set(topic((ALARMED, 500))) - {b"history/2"}
    bad[version] = content
    metrics = PlainMetrics()
    cards = known(topic((ALARMED, 500)), metrics)

    assert not cards.take(published_cards_of(bad), metrics)
    assert not cards.take(published_cards_of(bad), metrics)

    assert cards.current == ALARMED
    assert metrics.counters["scorecards", "refused"] == 1
    assert said in caplog.text
    assert known(bad).current == ALARMED


def test_a_card_of_features_that_are_not_known_here_is_refused() -> None:
    """A newer release learnt it: nobody here could say what they are worth."""
    metrics = PlainMetrics()
    assert known(topic((STRANGE, 500)), metrics).current == PRIOR
    assert metrics.counters["scorecards", "refused"] == 1


def test_records_that_cannot_be_read_are_refused_and_the_rest_counts() -> None:
    """A step, or the pointer: cards that were adopted go on, and so do those that are told of."""
    metrics = PlainMetrics()
    cards = known({**topic((ALARMED, 500)), b"history/2": b"{", CURRENT_KEY: b"{"}, metrics)

    assert cards.current == ALARMED
    assert metrics.counters["scorecards", "refused"] == 2
    cards.take(PublishedCards((), {}, ("history/2 is not readable: again",)), metrics)
    assert cards.current == PRIOR


# ---- a change amid the work --------------------------------------------------------------------------------------

CUTS = ("2025-03-30", "2025-05-30")
SWITCHES = ((ALARMED, at("2025-04-01", "00:00")), (PRIOR, at("2025-06-01", "00:00")))


def told_in_advance(parts: Parts) -> list[Alert]:
    """The alerts of an engine that knows from the beginning which card weighs when."""
    engine = RiskEngine(rules())
    for number, (card, from_ms) in enumerate(SWITCHES, start=1):
        engine.adopt_card(number, card, from_ms)
    for events, end_ms in zip(parts.events, parts.ends_ms, strict=True):
        for offset, event in enumerate(events):
            engine.process(event, feed_of(event), offset)
        engine.advance_together(dict.fromkeys(range(4), end_ms))
    return engine.take_alerts(detected_at_ms=0)


def worker_of(house: House) -> Pipeline:
    """A worker with the real engine."""
    return build_pipeline(house.settings, house.metrics, ports=house.ports, clock=house.clock)


def is_done(worker: Pipeline, end_ms: int) -> bool:
    """Whether every task has passed an instant on every feed, and committed."""
    return bool(worker.tasks) and all(
        min(task.engine.progress().watermarks_ms) >= end_ms and not task.dirty
        for task in worker.tasks.values()
    )


def write(house: House, made: list[OutputRecord]) -> None:
    """Write the records of a step."""
    for record in made:
        assert record.key is not None
        house.broker.produce(house.names.scorecards, 0, record.key, record.value)


def adopted_cards(house: House) -> list[Adopted]:
    """As each task's progress has it."""
    states = house.states()
    found = [states[progress_key(task)] for task in range(house.settings.partitions)]
    return [decode_progress(record).cards for record in found if record is not None]


@pytest.mark.parametrize("restarts", [False, True], ids=["running", "restarted"])
def test_a_change_amid_the_work_gives_the_alerts_of_who_knew_it_all_along(*, restarts: bool) -> None:
    """Published and gone back while a worker runs, or restarts in between: each alert names the card of its instant."""
    parts = late_payers(CUTS)

    async def main() -> House:
        house = House(until_end=False)
        worker = worker_of(house)
        run = asyncio.create_task(worker.run())
        for number, (part, end_ms) in enumerate(zip(parts.events, parts.ends_ms, strict=True)):
            house.produce(records(part, end_ms, house.settings.partitions))
            house.produce(records([], end_ms + 1, house.settings.partitions))
            if number == len(SWITCHES):
                break
            card, from_ms = SWITCHES[number]
            write(house, records_of(card, number + 1, from_ms))
            await until(lambda taken=number + 1: house.metrics.counters["scorecards", "taken"] >= taken)
            await until(lambda worker=worker, end_ms=end_ms: is_done(worker, end_ms))
            if restarts:
                worker.stop()
                await run
                worker = worker_of(house)
                run = asyncio.create_task(worker.run())
                house.metrics.counters["scorecards", "taken"] = number + 1
        await until(lambda: is_done(worker, parts.ends_ms[-1]))
        worker.stop()
        await run
        return house

    house = run_virtual(main())
    found = [alert for alerts in house.alerts() for alert in alerts]

    assert by_borrower(found) == by_borrower(told_in_advance(parts))
    began_ms, ended_ms = (from_ms for _, from_ms in SWITCHES)
    for alert in found:
        is_alarmed = began_ms <= alert.event_time_ms < ended_ms
        assert alert.risk.model_version == (ALARMED if is_alarmed else PRIOR).version
    scored = [alert for alert in found if alert.signal == "risk_score"]
    assert {alert.status for alert in scored if alert.event_time_ms >= ended_ms} == {"resolved"}
    assert {"opened"} <= {alert.status for alert in scored if alert.risk.model_version == ALARMED.version}
    spans = ((SINCE_EVER_MS, PRIOR), (began_ms, ALARMED), (ended_ms, PRIOR))
    expected = Adopted(2, tuple(Span(from_ms, card.version) for from_ms, card in spans))
    assert adopted_cards(house) == [expected] * house.settings.partitions


def test_what_is_learnt_beside_the_work_is_taken_up_and_what_is_gone_back_to_too(tmp_path: Path) -> None:
    """A trainer publishes, the worker's alerts name its card; an operator goes back, and they name the one before.

    The late payers are not observed: their examples would come between those of another book.
    """
    policy = tmp_path / "unobserved.toml"
    policy.write_text("[model]\nobserves = false\n")
    parts = late_payers(CUTS)
    book = weeks_of_examples(1, weeks=5, a_week=600)

    def bring(house: House, part: int) -> None:
        house.produce(records(parts.events[part], parts.ends_ms[part], house.settings.partitions))
        house.produce(records([], parts.ends_ms[part] + 1, house.settings.partitions))

    async def main() -> tuple[House, list[str]]:
        house = House(until_end=False, policy_file=str(policy))
        own = trainer_settings(house.settings)
        ports = MemoryPorts(house.broker, own, inputs=trainer_inputs(house.settings))
        worker = worker_of(house)
        trainer = TrainingLoop(ports, own, house.clock, house.metrics)
        running = [asyncio.create_task(worker.run()), asyncio.create_task(trainer.run())]
        bring(house, 0)
        await until(lambda: is_done(worker, parts.ends_ms[0]))
        for example in book:
            house.broker.produce(house.names.training_examples, 0, b"k", msgspec.json.encode(example))
        await until(lambda: house.metrics.counters["card_steps", "published"] == 2)
        learnt = (await read_topic(ports, house.settings)).in_force.version
        await until(lambda: adopted_last(worker) == learnt)
        bring(house, 1)
        await until(lambda: is_done(worker, parts.ends_ms[1]))

        before = former_version(await read_topic(ports, house.settings), None)
        from_ms = instant_from("2025-06-01", "Asia/Shanghai", "--effective-from")
        await go_back(ports, house.settings, before, from_ms, house.clock)
        await until(lambda: adopted_last(worker) == before)
        bring(house, 2)
        await until(lambda: is_done(worker, parts.ends_ms[-1]))
        worker.stop()
        trainer.stop()
        await asyncio.gather(*running)
        return house, [learnt, before]

    def adopted_last(worker: Pipeline) -> str | None:
        last = {task.engine.adopted_cards.spans[-1].version for task in worker.tasks.values()}
        return last.pop() if len(last) == 1 else None

    house, (learnt, before) = run_virtual(main())
    found = [alert for alerts in house.alerts() for alert in alerts]
    first_ms, last_ms = parts.ends_ms[0] + HOUR_MS, at("2025-06-01", "00:00")
    by_time: dict[str, set[str]] = {"first": set(), "learnt": set(), "back": set()}
    for alert in found:
        when = (
            "first"
            if alert.event_time_ms <= first_ms
            else "learnt"
            if alert.event_time_ms < last_ms
            else "back"
        )
        by_time[when].add(alert.risk.model_version)

    assert by_time == {"first": {PRIOR.version}, "learnt": {learnt}, "back": {before}}
    assert len({PRIOR.version, learnt, before}) == 3
    assert house.metrics.counters["scorecards", "refused"] == 0
