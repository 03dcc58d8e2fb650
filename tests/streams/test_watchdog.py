"""What must not last is timed: by what it is, as long as it does not get on."""

from __future__ import annotations

from streams.watchdog import Concern, Watchdog


def stuck(standing: int) -> Concern:
    """A feed that is read up to an offset."""
    return Concern("feed", standing, f"read up to {standing}")


def test_what_stands_adds_up() -> None:
    """A concern that does not get on lasts as long as it is seen, to the millisecond."""
    watchdog = Watchdog()
    for second in range(5):
        watchdog.look([stuck(7)], second * 1_000)

    assert watchdog.lasting(4_000) == ["read up to 7 (for 4 s)"]
    assert watchdog.lasting(4_001) == []


def test_what_gets_on_begins_anew() -> None:
    """Every step forward is a new beginning, however much is left."""
    watchdog = Watchdog()
    for second in range(100):
        watchdog.look([stuck(second)], second * 1_000)

    assert watchdog.lasting(1) == []


def test_what_is_settled_is_forgotten() -> None:
    """A concern that was gone for one look does not come back with its former age."""
    watchdog = Watchdog()
    watchdog.look([stuck(7)], 0)
    watchdog.look([stuck(7)], 3_000)
    watchdog.look([], 4_000)
    watchdog.look([stuck(7)], 5_000)

    assert watchdog.lasting(1) == []


def test_concerns_are_apart() -> None:
    """One that gets on does not excuse another."""
    watchdog = Watchdog()
    for second in range(3):
        watchdog.look([stuck(second), Concern("commit", 0, "not committed")], second * 1_000)

    assert watchdog.lasting(2_000) == ["not committed (for 2 s)"]


def test_time_in_which_nobody_looked_hardly_counts() -> None:
    """A process stopped for an hour was not watching: it gets its time after that."""
    watchdog = Watchdog()
    watchdog.look([stuck(7)], 0)
    watchdog.look([stuck(7)], 3_600_000)

    assert watchdog.lasting(5_000) == ["read up to 7 (for 5 s)"]
    assert watchdog.lasting(5_001) == []
