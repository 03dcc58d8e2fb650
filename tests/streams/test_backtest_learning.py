"""A backtest learns as the live system does: from what has matured, a card for all at the turn of a day, whoever has the borrowers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from io import BytesIO
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from models.policy import Policy, default_policy, parse_policy
from models.risk.examples import Example
from models.risk.guard import GuardLimits
from models.risk.issuing import EXAMPLES_BETWEEN_MIN, Issuing
from models.risk.learning import Learner
from models.risk.scorecard import expert_prior
from streams.backtest import BacktestSummary, LearningLimits, NamedPolicy, compare_policies, run
from streams.backtest.learning import Learning
from streams.backtest.processes import crew, crew_here
from streams.cli import main
from tests.support.event_folders import NOW_MS, STORIES, learnable_story, write
from tests.support.events import at
from tests.support.examples import weeks_of_examples

FILES = ("alerts.jsonl", "rejected.jsonl", "scores.jsonl", "scorecards.jsonl", "report.json", "report.html")
SOON = LearningLimits(GuardLimits(examples_min=50, bads_min=3), examples_between=40)
"""So that a book of ninety borrowers makes cards."""
AT_ONCE = LearningLimits(GuardLimits(examples_min=1, bads_min=0), examples_between=1)
"""So that any book does."""
PRIOR = expert_prior().version
LATER_POLICY = parse_policy(
    "[feeds.repayments]\nlateness_minutes = 2880\n[risk]\nhorizon_days = 45\n", "later.toml"
)
STORY = learnable_story()


def learnt(
    folder: Path,
    out: Path,
    *,
    limits: LearningLimits | None = SOON,
    shards: int = 1,
    switches: list[tuple[int, Policy]] | None = None,
    until: date | None = date(2025, 12, 1),
    hire: Callable[..., Any] = crew_here,
) -> BacktestSummary:
    """A run that learns."""
    return run(
        folder,
        out,
        default_policy(),
        now_ms=NOW_MS,
        scores=True,
        until=until,
        switches=switches or (),
        learning=limits,
        processes=shards,
        hire=hire,
    )


def written(folder: Path, **options: Any) -> dict[str, bytes]:
    """What it writes."""
    with TemporaryDirectory() as out:
        learnt(folder, Path(out), **options)
        return {name: (Path(out) / name).read_bytes() for name in FILES}


def lines(path: Path) -> list[Any]:
    """The records of a file."""
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


# ---- cards take effect -------------------------------------------------------------------------------------------


def test_cards_score_what_comes_after_what_they_have_learnt(tmp_path: Path) -> None:
    """Each score names the card in force at that instant, which had learnt nothing that matured later."""
    summary = learnt(write(tmp_path, STORY), tmp_path / "out")

    assert summary.learning is not None
    in_force = [card for card in summary.learning.cards if card.in_force_from_ms is not None]
    assert len(in_force) >= 2
    assert all(card.effective_from_ms <= (card.in_force_from_ms or 0) for card in in_force)
    scores = lines(tmp_path / "out" / "scores.jsonl")
    for score in scores:
        since = [c.version for c in in_force if (c.in_force_from_ms or 0) <= score["event_time_ms"]]
        assert score["model_version"] == (since[-1] if since else PRIOR)
    assert len({score["model_version"] for score in scores}) >= 3
    versions = {alert["risk"]["model_version"] for alert in lines(tmp_path / "out" / "alerts.jsonl")}
    assert PRIOR in versions
    assert len(versions) >= 2
    assert summary.model_version == in_force[-1].version


@pytest.mark.parametrize("day", ["2025-07-04", "2025-09-20"])
def test_no_past_depends_on_a_future(tmp_path: Path, day: str) -> None:
    """Without anything that was delivered since midnight (UTC), every score and every card before is the same."""
    midnight_ms = at(day, "08:00")
    past = [event for event in STORY if event.event_time_ms < midnight_ms]
    assert 0 < len(past) < len(STORY)
    whole = written(write(tmp_path / "whole", STORY), until=None)
    cut = written(write(tmp_path / "cut", past), until=None)

    for name in ("scores.jsonl", "scorecards.jsonl"):
        assert len(cut[name]) > 0
        assert whole[name].startswith(cut[name])


def test_without_learning_the_expert_prior_stays(tmp_path: Path) -> None:
    """No card, nothing written of any, and nothing told."""
    summary = learnt(write(tmp_path, STORY), tmp_path / "out", limits=None)

    assert summary.learning is None
    assert summary.model_version == PRIOR
    assert {score["model_version"] for score in lines(tmp_path / "out" / "scores.jsonl")} == {PRIOR}
    assert not (tmp_path / "out" / "scorecards.jsonl").exists()


# ---- however many processes --------------------------------------------------------------------------------------


def test_processes_of_their_own_learn_the_same(tmp_path: Path) -> None:
    """With one, two and three processes, and at least two cards: the same bytes in every file."""
    folder = write(tmp_path, STORY)
    one, two, three = (written(folder, shards=count, hire=crew) for count in (1, 2, 3))

    assert one["scorecards.jsonl"].count(b'"step":"published"') >= 2
    assert one == two == three


@settings(max_examples=10, deadline=None)
@given(STORIES, st.sampled_from([2, 3, 7]), st.booleans())
def test_whatever_happens_shards_learn_the_same(story: list[Any], shards: int, is_switched: bool) -> None:
    """Late events, rejects, links and a change of policy on the way, and a card as often as there can be one."""
    switches = [(at("2025-04-01"), LATER_POLICY)] if is_switched else []
    with TemporaryDirectory() as name:
        folder = write(Path(name), [*story, *learnable_story(8)])

        several = written(folder, limits=AT_ONCE, shards=shards, switches=switches)
        assert several == written(folder, limits=AT_ONCE, switches=switches)


def test_each_of_two_policies_learns_as_if_it_were_alone(tmp_path: Path) -> None:
    """Another horizon makes other examples and other cards; neither side knows of the other's."""
    folder = write(tmp_path / "events", STORY)
    names = NamedPolicy("packaged.toml", default_policy()), NamedPolicy("later.toml", LATER_POLICY)
    found = compare_policies(
        folder, tmp_path / "out", *names, now_ms=NOW_MS, learning=SOON, processes=1, hire=crew_here
    ).learning

    assert found is not None
    sides = {}
    for side, named in zip("ab", names, strict=True):
        own = run(folder, tmp_path / side, named.policy, now_ms=NOW_MS, learning=SOON, processes=1).learning
        assert own is not None
        assert getattr(found.auc, side) == own.in_force.auc
        assert getattr(found.cards, side) == own.cards_published
        sides[side] = (tmp_path / side / "scorecards.jsonl").read_bytes()
        for name in ("alerts.jsonl", "scorecards.jsonl", "report.json", "report.html"):
            assert (tmp_path / "out" / side / name).read_bytes() == (tmp_path / side / name).read_bytes()
    assert b"published" in sides["a"]
    assert sides["a"] != sides["b"]


# ---- the same cards as live --------------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 3))
def test_the_cards_are_those_of_the_trainer(seed: int, weeks_a_turn: int) -> None:
    """Whatever the order in which a week's examples are handed over, and how many weeks at once: what live learning makes of them."""
    examples = [
        msgspec.structs.replace(example, borrower=f"{number:016x}")
        for number, example in enumerate(weeks_of_examples(seed, weeks=8, a_week=300))
    ]
    issuing, expected = Issuing(Learner(expert_prior())), []
    for offset, example in enumerate(examples):
        step = issuing.take(offset, example)
        if step is not None:
            expected.append((step.version, step.step, step.effective_from_ms, step.examples))

    steps = BytesIO()
    learning = Learning(LearningLimits(), steps)
    for week in range(0, 8, weeks_a_turn):
        handed_over = examples[300 * week : 300 * (week + weeks_a_turn)]
        Random(seed).shuffle(handed_over)
        learning.keep(handed_over)
        learning.turn_day()
        learning.catch_up()
    learning.report(default_policy().risk)

    told = [msgspec.json.decode(line) for line in steps.getvalue().splitlines()]
    fields = ("version", "step", "effective_from_ms", "examples")
    assert [tuple(step[field] for field in fields) for step in told] == expected
    assert any(kind == "published" for _, kind, *_ in expected)


def of_weeks(*counts: int) -> list[list[Example]]:
    """So many examples on each of the first weeks, all of them different."""
    return [
        [
            msgspec.structs.replace(example, borrower=f"{place:016x}")
            for place, example in enumerate(weeks_of_examples(1, 1, count, first_week=week))
        ]
        for week, count in enumerate(counts)
    ]


def test_a_card_is_there_at_the_turn_of_the_day_that_makes_it_due() -> None:
    """Enough in the first week; the first example of the second makes a card of them, and the rest of it waits for the next."""
    learning = Learning(LearningLimits(GuardLimits(examples_min=1, bads_min=0)), BytesIO())
    first, second, third = of_weeks(EXAMPLES_BETWEEN_MIN, EXAMPLES_BETWEEN_MIN, 1)
    learning.keep(first)
    assert learning.turn_day() is None
    learning.keep(second)
    card = learning.turn_day()
    assert card is not None
    assert sum(card.counts.values()) - sum(n for name, n in card.counts.items() if "drift" in name) == len(
        first
    )
    assert learning.turn_day() is None
    learning.keep(third)
    following = learning.turn_day()
    assert following is not None
    assert (following.number, following.replaces) == (2, card.version)


def test_a_card_that_another_overtakes_never_was_in_force() -> None:
    """What was to take effect later than a newer card is called off."""
    learning = Learning(LearningLimits(GuardLimits(examples_min=1, bads_min=0)), BytesIO())
    for examples in of_weeks(EXAMPLES_BETWEEN_MIN, EXAMPLES_BETWEEN_MIN, 1):
        learning.keep(examples)
        learning.turn_day()
    learning.takes_effect(1, at("2025-07-02"))
    learning.takes_effect(2, at("2025-07-01"))

    cards = learning.report(default_policy().risk).cards
    assert [card.in_force_from_ms for card in cards] == [None, at("2025-07-01")]


# ---- what is told ------------------------------------------------------------------------------------------------


def test_the_report_tells_the_cards_and_what_they_were_worth(tmp_path: Path) -> None:
    """Its counts are those of the last step and more; `scorecards.jsonl` has the weights that each version names."""
    summary = learnt(write(tmp_path, STORY), tmp_path / "out")
    told = summary.learning

    assert told is not None
    assert (told.target_days_late, told.horizon_days) == (30, 60)
    known = told.examples["good"] + told.examples["bad"]
    assert told.cards[-1].examples <= known == sum(period.examples for period in told.periods)
    assert told.examples["bad"] == sum(period.examples_bad for period in told.periods)
    steps = lines(tmp_path / "out" / "scorecards.jsonl")
    assert [step["version"] for step in steps] == [card.version for card in told.cards]
    assert all("optimiser" not in step and step["card"]["weights"] for step in steps)
    before = [
        period
        for period in told.periods
        if period.from_ms < (told.cards[0].effective_from_ms - 30 * 86_400_000)
    ]
    assert all(period.log_loss == period.log_loss_of_the_prior for period in before)
    assert told.in_force.log_loss is not None
    assert told.expert_prior.log_loss is not None
    assert told.in_force.log_loss < told.expert_prior.log_loss


def test_without_outcomes_there_is_a_page_of_what_was_learnt(tmp_path: Path) -> None:
    """The stream's own labels are enough for curves; every plot is whole."""
    folder = write(tmp_path, STORY)
    (folder / "outcomes.jsonl").unlink()
    learnt(folder, tmp_path / "out")

    shown = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "cards in force" in shown
    assert "AUC by the stream&#x27;s own labels" in shown
    root = ET.fromstring(shown.split("<body>")[1].split("</body>")[0].join(("<body>", "</body>")))
    assert len(root.findall(".//svg")) == 4


def test_the_command_learns_unless_it_is_told_not_to(tmp_path: Path) -> None:
    """By default the report tells of learning, though ninety borrowers are too few for a card; with --no-learning it does not."""
    folder = write(tmp_path / "events", STORY)
    for flags, is_told in (([], True), (["--no-learning"], False)):
        out = tmp_path / "out"
        found = CliRunner().invoke(
            main, ["backtest", str(folder), "--out", str(out), "--processes", "1", *flags]
        )

        assert found.exit_code == 0, found.output
        assert ("learnt from the stream's own labels" in found.output) == is_told
        assert (out / "scorecards.jsonl").exists() == is_told
        report = msgspec.json.decode((out / "report.json").read_bytes())
        assert (report["learning"] is not None) == is_told
