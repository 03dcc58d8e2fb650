"""A survey strolls: a few borrowers at a time, one task after the other, and the labels it shows are bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from models.portfolio import Pair, Portfolio
from streams.metrics import PlainMetrics
from streams.metrics_catalogue import PORTFOLIO_CURRENCIES_MAX, PORTFOLIO_PLATFORMS_MAX
from streams.surveys import Surveys, shown_currencies, shown_platforms

INTERVAL_MS = 60_000


class Dial:
    """A clock that stands where it is set."""

    def __init__(self) -> None:
        self.ms = 0

    def now_ms(self) -> int:
        return self.ms

    def monotonic_ms(self) -> int:
        return self.ms


class Held:
    """A task, and the engine in it, as a survey sees them; each look is noted."""

    def __init__(self, borrowers: int, *, loans: Portfolio | None = None) -> None:
        self.engine = self
        self.state_bytes = 0
        self.looks: list[int] = []
        self._borrowers = [str(number) for number in range(borrowers)]
        self._loans = loans or Portfolio()

    def borrower_ids(self) -> list[str]:
        return list(self._borrowers)

    def survey(self, borrower_ids: Iterable[str], book: Portfolio) -> None:
        looked_at = list(borrower_ids)
        self.looks.append(len(looked_at))
        book.surveyed += len(looked_at)
        book.state_bytes += 10 * len(looked_at)
        book.borrowers["low", "current"] += len(looked_at)
        book.loans.update(self._loans.loans)
        book.platform_outstanding_minor.update(self._loans.platform_outstanding_minor)


class Scene:
    """A worker's tasks, its clock, and what it shows."""

    def __init__(self, *tasks: Held) -> None:
        self.clock, self.metrics = Dial(), PlainMetrics()
        self.surveys = Surveys(INTERVAL_MS, self.clock, self.metrics)
        self.tasks: Any = dict(enumerate(tasks))

    def turns(self, count: int, *, is_idle: bool, every_ms: int) -> None:
        for _ in range(count):
            self.surveys.step(self.tasks, is_idle=is_idle)
            self.clock.ms += every_ms

    @property
    def borrowers(self) -> float:
        return self.metrics.gauges.get(("portfolio_borrowers", "low", "current"), 0)


def test_while_there_is_work_a_survey_takes_a_hundredth() -> None:
    """A thousand turns within a second: ten looks at ten borrowers, however many turns there are."""
    scene = Scene(task := Held(10_000))
    scene.turns(1_000, is_idle=False, every_ms=1)

    assert task.looks == [10] * 10
    assert scene.borrowers == 0  # not before all were looked at


def test_an_idle_worker_looks_at_some_in_every_turn() -> None:
    """A turn that has nothing else to do waits for records anyway."""
    scene = Scene(task := Held(1_000))
    scene.turns(50, is_idle=True, every_ms=20)

    assert task.looks == [20] * 50
    assert scene.borrowers == 1_000
    assert task.state_bytes == 10_000


def test_every_task_has_its_turn_and_none_before_its_time() -> None:
    """Two tasks: each is surveyed once an interval, and the figures are those of both."""
    scene = Scene(one := Held(100), other := Held(60))
    scene.turns(INTERVAL_MS // 20, is_idle=True, every_ms=20)
    in_one_interval = (len(one.looks), len(other.looks))
    scene.turns(INTERVAL_MS // 20, is_idle=True, every_ms=20)

    assert in_one_interval == (5, 3)
    assert (len(one.looks), len(other.looks)) == (10, 6)
    assert scene.borrowers == 160
    assert scene.metrics.gauges["portfolio_tasks",] == 2


def test_a_task_that_left_is_in_the_figures_no_more() -> None:
    """Whoever has it now shows it; one that returns is another one, and is surveyed anew."""
    scene = Scene(Held(100), Held(60))
    scene.turns(100, is_idle=True, every_ms=20)
    del scene.tasks[0]
    scene.surveys.show_age(scene.tasks)
    without = scene.borrowers
    scene.tasks[0] = Held(7)
    scene.turns(100, is_idle=True, every_ms=20)

    assert (without, scene.borrowers) == (60, 67)


def test_a_task_that_leaves_amid_its_survey_is_forgotten() -> None:
    """Half a survey is no figure."""
    scene = Scene(Held(10_000))
    scene.turns(10, is_idle=True, every_ms=20)
    scene.tasks[0] = Held(5)
    scene.turns(10, is_idle=True, every_ms=20)

    assert scene.borrowers == 5


def test_the_age_is_that_of_the_oldest_survey() -> None:
    """Since it was begun: what came after the first look may be missing in it."""
    scene = Scene(Held(20))
    scene.surveys.show_age(scene.tasks)
    before = scene.metrics.gauges.get(("portfolio_age_seconds",))
    scene.turns(1, is_idle=True, every_ms=4_000)
    scene.surveys.show_age(scene.tasks)

    assert (before, scene.metrics.gauges["portfolio_age_seconds",]) == (None, 4)


def test_platforms_are_the_greatest_and_the_others_together() -> None:
    """Two more than may be shown: the two least are `other`, and the sum is that of all."""
    amounts: Counter[Pair] = Counter(
        {("CNY", f"p{n:02}"): 1_000 + n for n in range(PORTFOLIO_PLATFORMS_MAX + 2)}
    )
    scene = Scene(Held(1, loans=Portfolio(loans=Counter(CNY=1), platform_outstanding_minor=amounts)))
    scene.turns(1, is_idle=True, every_ms=20)
    shown = {
        key[2]: value
        for key, value in scene.metrics.gauges.items()
        if key[0] == "portfolio_platform_outstanding_minor"
    }

    assert shown_platforms(amounts, "CNY") == {f"p{n:02}" for n in range(2, PORTFOLIO_PLATFORMS_MAX + 2)}
    assert len(shown) == PORTFOLIO_PLATFORMS_MAX + 1
    assert shown["other"] == 1_000 + 1_001
    assert sum(shown.values()) == amounts.total()


def test_platforms_that_come_and_go_leave_no_series_behind() -> None:
    """What is shown is what the last survey found."""
    scene = Scene(
        task := Held(
            1, loans=Portfolio(loans=Counter(CNY=1), platform_outstanding_minor=Counter({("CNY", "old"): 1}))
        )
    )
    scene.turns(1, is_idle=True, every_ms=INTERVAL_MS)
    task._loans.platform_outstanding_minor = Counter({("CNY", "new"): 1})
    scene.turns(1, is_idle=True, every_ms=INTERVAL_MS)

    assert [key[2] for key in scene.metrics.gauges if key[0] == "portfolio_platform_outstanding_minor"] == [
        "new"
    ]


def test_currencies_are_those_of_most_loans_and_look_like_it() -> None:
    """What stands in the field and is no ISO 4217 code becomes no label; what is left out is counted."""
    loans = Counter({chr(ord("A") + n) * 3: 10 - n for n in range(PORTFOLIO_CURRENCIES_MAX + 1)})
    loans["Yuan, a lot"] = 99
    scene = Scene(Held(1, loans=Portfolio(loans=loans)))
    scene.turns(1, is_idle=True, every_ms=20)

    assert shown_currencies(loans) == [chr(ord("A") + n) * 3 for n in range(PORTFOLIO_CURRENCIES_MAX)]
    assert scene.metrics.gauges["portfolio_currencies_left_out",] == 2


def test_no_interval_is_no_survey() -> None:
    """Switched off, nobody is ever looked at."""
    clock, metrics = Dial(), PlainMetrics()
    held: Any = {0: (task := Held(100))}
    surveys = Surveys(0, clock, metrics)
    for clock.ms in range(0, 200_000, 1_000):
        surveys.step(held, is_idle=True)

    assert task.looks == []
    assert metrics.gauges == {}
