"""What counts as a pause: a task that could have gone on and did not commit."""

from __future__ import annotations

from tests.chaos.pauses import Commit, Shown, longest_pause_ms

SECOND = 1_000


def shown(*records: tuple[int, int]) -> Shown:
    """Records with offsets from 0: merge key, and when they were produced."""
    return Shown(
        list(range(len(records))), [key_ms for key_ms, _ in records], [at_ms for _, at_ms in records]
    )


def test_the_time_between_commits_counts_while_records_wait() -> None:
    """Records at every second, commits at 1, 2 and 8 s: nothing was committed for 6 s."""
    feed = shown(*((number, number * SECOND) for number in range(10)))
    commits = [Commit(1_000, (1,)), Commit(2_000, (2,)), Commit(8_000, (8,))]

    assert longest_pause_ms(commits, [feed]) == 6_000


def test_a_task_without_input_does_not_pause() -> None:
    """Caught up, and the next record comes ten seconds later: what counts is the time from there."""
    feed = shown((1, 0), (2, 10_000))
    commits = [Commit(100, (1,)), Commit(10_300, (2,))]

    assert longest_pause_ms(commits, [feed]) == 300


def test_what_the_merge_holds_back_does_not_wait() -> None:
    """The first topic's record could only be processed when the second showed one behind it."""
    feeds = [shown((5, 1_000)), shown((4, 1_000), (6, 9_000))]
    commits = [Commit(1_200, (0, 1)), Commit(9_250, (1, 1))]

    assert longest_pause_ms(commits, feeds) == 250


def test_of_two_topics_with_the_same_key_the_first_goes_first() -> None:
    """It need not wait for more of the second, but the second for more of it."""
    first, second = shown((5, 1_000)), shown((5, 2_000))

    assert longest_pause_ms([Commit(2_400, (1, 0))], [first, second]) == 400
    assert longest_pause_ms([Commit(2_100, (1, 0)), Commit(9_000, (1, 1))], [first, second]) == 100


def test_before_the_first_commit_all_input_waits() -> None:
    """The start of a worker counts from the first record that it could process."""
    assert longest_pause_ms([Commit(4_000, (1,))], [shown((1, 1_500))]) == 2_500
