"""The second version of the simulated book: defaults come from a hazard that shows in the events."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

import msgspec
import pytest

from models.events import FUND_FLOWS, TOPICS
from streams.codec import Reject
from streams.event_files import EventFolder
from streams.simulator import SimulationSettings, lives, write_folder
from streams.simulator.dice import Dice
from streams.simulator.hazards import hazard_a_month, slip_chance
from streams.simulator.lives import people_with_loans
from streams.simulator.loans import Borrowing
from streams.simulator.oracle import forecasters
from streams.simulator.persons import Person
from streams.simulator.slips import draw_late_days, share_still_late
from streams.simulator.story import Life

LATER_MS = 1_893_456_000_000
"""2030: everything simulated lies in its past."""
SECOND = SimulationSettings(version=2, borrowers=1_000, months=14, seed=3)


@pytest.fixture(scope="module")
def people() -> list[tuple[Person, Borrowing]]:
    """A thousand borrowers with all that is hidden."""
    return list(people_with_loans(SECOND))


def events_of(life: Life) -> list[dict[str, Any]]:
    """Everything that is told of one borrower."""
    return [msgspec.json.decode(line.payload) for line in life.lines]


def test_the_first_version_is_what_it_was(tmp_path: Path) -> None:
    """The packaged book, on which figures of the signals were published, keeps its bytes."""
    write_folder(SimulationSettings(borrowers=40, months=6), tmp_path)
    content = b"".join((tmp_path / f"{name}.jsonl").read_bytes() for name in (*TOPICS, "outcomes", "truth"))
    assert hashlib.sha256(content).hexdigest()[:16] == "173ffb03bf7cd3b1"


def test_the_second_version_gives_the_same_bytes_again(tmp_path: Path) -> None:
    """As the first does; and it is another book."""
    small = SimulationSettings(version=2, borrowers=30, months=5)
    for name, settings in (
        ("a", small),
        ("b", small),
        ("first", SimulationSettings(borrowers=30, months=5)),
    ):
        write_folder(settings, tmp_path / name)
    read = {
        name: (tmp_path / name / "fund-flows.jsonl").read_bytes()
        + (tmp_path / name / "repayments.jsonl").read_bytes()
        for name in ("a", "b", "first")
    }
    assert read["a"] == read["b"] != read["first"]


def test_the_codec_rejects_nothing(tmp_path: Path) -> None:
    """All events of the second version are valid, duplicates included."""
    write_folder(SimulationSettings(version=2, borrowers=40, months=6, duplicate_share=0.05), tmp_path)
    assert not [line for line in EventFolder(tmp_path, LATER_MS) if isinstance(line.content, Reject)]


def test_those_without_slack_cease_to_pay_more_often(people: list[tuple[Person, Borrowing]]) -> None:
    """Of the third with the least slack at least four times as many as of the third with the most."""
    ranked = sorted((person for person, _ in people), key=slack_of)
    third = len(ranked) // 3
    stopped = [
        sum(p.stops_paying_day is not None for p in part) for part in (ranked[:third], ranked[-third:])
    ]
    assert stopped[0] >= 4 * stopped[1] > 0


def test_slack_shows_in_what_the_lender_sees(people: list[tuple[Person, Borrowing]]) -> None:
    """Those without it have less on the account, slip more often, and ask other lenders more often; with noise."""
    ranked = sorted((person for person, _ in people), key=slack_of)
    half = len(ranked) // 2
    low, high = ranked[:half], ranked[half:]
    assert mean(p.buffer_minor / p.income_minor for p in low) < mean(
        p.buffer_minor / p.income_minor for p in high
    )
    assert mean(slip_chance(p, 0) for p in low) > 1.5 * mean(slip_chance(p, 0) for p in high)
    appetites = [mean(p.traits.appetite for p in part if p.traits) for part in (low, high)]
    assert appetites[0] > 1.5 * appetites[1]
    assert any(slip_chance(p, 0) < slip_chance(q, 0) for p, q in zip(low, high, strict=False))


def test_most_months_of_a_high_hazard_pass_without_a_stop(people: list[tuple[Person, Borrowing]]) -> None:
    """A hazard is no fate: of borrowers at five times the usual, fewer than half stop within the observed time."""
    first = next(forecasters(SECOND))
    day = first.horizon.end_day - 120
    exposed = [p for p, _ in people if hazard_a_month(p, day, SECOND, first.horizon) > 0.02]
    assert 0 < sum(p.stops_paying_day is not None for p in exposed) < len(exposed) / 2


def test_the_oracle_foretells_better_than_chance_and_never_surely() -> None:
    """Of borrowers who pay as they should, those who are 30 days late within 60 days had twice the usual probability."""
    reached: list[float] = []
    others: list[float] = []
    for oracle, (_, borrowing) in zip(forecasters(SECOND), people_with_loans(SECOND), strict=True):
        day = oracle.horizon.start_day + 240
        late = [
            loan
            for loan in borrowing.loans
            if loan.unpaid_from is not None and day <= loan.unpaid_from < day + 30 and loan.opened_day < day
        ]
        probability = oracle.probability(day, 0)
        assert 0 <= probability < 0.7
        (reached if late else others).append(probability)
    assert mean(reached) > 2 * mean(others)


def test_whoever_is_later_is_the_likelier_to_have_stopped() -> None:
    """The oracle's probability rises with the days past due, up to those that no slip lasts."""
    oracle = next(forecasters(SECOND))
    day = oracle.horizon.start_day + 200
    rising = [oracle.probability(day, days) for days in (1, 5, 10, 15, 22, 29)]
    assert rising == sorted(rising)
    assert rising[0] < 0.5 < rising[-1]


def test_slips_last_as_long_as_the_oracle_thinks() -> None:
    """Of many drawn, the share that lasts so many days is the one computed."""
    dice = Dice(1, 1, "slips")
    drawn = [draw_late_days(dice) for _ in range(20_000)]
    for days in (2, 5, 10, 15, 20):
        assert mean(d >= days for d in drawn) == pytest.approx(share_still_late(days), abs=0.02)


def test_a_layoff_hits_many_of_an_employer_at_once(people: list[tuple[Person, Borrowing]]) -> None:
    """Some day, two or more of one employer lose the job together."""
    days = Counter(
        (p.traits.employer, p.cause_day) for p, _ in people if p.traits is not None and p.cause == "job_loss"
    )
    assert max(days.values()) >= 2


def test_owners_earn_as_businesses_do(people: list[tuple[Person, Borrowing]]) -> None:
    """From customers, in weeks that vary, and not every week."""
    owner = next(p for p, _ in people if p.job == "owner" and p.cause == "none")
    told = next(life for life in lives(SECOND) if life.borrower_id == owner.borrower_id)
    amounts = [e["amount_minor"] for e in events_of(told) if e.get("category") == "business_income"]
    assert max(amounts) > 3 * min(amounts)


def test_an_outage_leaves_a_hole_that_nobody_fills(people: list[tuple[Person, Borrowing]]) -> None:
    """While the feed of an account is down none of its flows is told; repayments are."""
    numbers = {p.borrower_id: p.traits.outage for p, _ in people if p.traits is not None and p.traits.outage}
    assert numbers
    horizon = next(forecasters(SECOND)).horizon
    for life in lives(SECOND):
        outage = numbers.get(life.borrower_id)
        if outage is not None:
            from_ms, until_ms = (
                horizon.midnight_ms(min(day, horizon.end_day)) for day in (outage.start, outage.stop)
            )
            flows = [line for line in life.lines if line.topic_index == FUND_FLOWS]
            times = [msgspec.json.decode(line.payload)["event_time_ms"] for line in flows]
            assert not [ms for ms in times if from_ms <= ms < until_ms]
            return
    raise AssertionError("nobody's feed was down")


def test_duplicates_come_byte_for_byte() -> None:
    """At about the rate set, right behind the first."""
    settings = SimulationSettings(version=2, borrowers=60, months=6, duplicate_share=0.1)
    lines = [line.payload for life in lives(settings) for line in life.lines]
    repeats = len(lines) - len(set(lines))
    assert 0.06 < repeats / len(lines) < 0.12


def test_after_the_shift_other_causes_lead_to_default() -> None:
    """Before, a lost job multiplies the hazard more than after; for stacking it is the other way round."""
    shifted = msgspec.structs.replace(SECOND, shift_month=7)
    hazards: dict[str, list[float]] = defaultdict(list)
    for oracle in forecasters(shifted):
        person, horizon = oracle.person, oracle.horizon
        if person.cause in ("job_loss", "stacking"):
            day = person.cause_day
            is_after = day >= horizon.months[7][0]
            plain = hazard_a_month(person, day - 1, shifted, horizon)
            ratio = hazard_a_month(person, day, shifted, horizon) / plain
            hazards[f"{person.cause}-{is_after}"].append(ratio)
    assert mean(hazards["job_loss-False"]) > mean(hazards["job_loss-True"])
    assert mean(hazards["stacking-False"]) < mean(hazards["stacking-True"])


def test_the_first_version_has_no_oracle() -> None:
    """Nothing there is a hazard; nor can it shift."""
    with pytest.raises(ValueError, match="version=2"):
        next(forecasters(SimulationSettings(borrowers=1)))
    with pytest.raises(ValueError, match="needs version 2"):
        SimulationSettings(shift_month=3)


def slack_of(person: Person) -> float:
    """What nobody sees."""
    assert person.traits is not None
    return person.traits.slack
