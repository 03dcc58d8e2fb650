"""Telling a silent feed from an idle partition."""

from __future__ import annotations

from streams.feeds import FeedHealth

SILENCE_MS = 1_000
GRACE_MS = 300


def health() -> FeedHealth:
    """Two feeds."""
    return FeedHealth(2, SILENCE_MS, GRACE_MS)


def test_at_the_start_nothing_is_trusted() -> None:
    """A worker that starts amid an outage does not take the feed for alive."""
    feeds = health()
    feeds.observe(0, [5, 5], 0)

    assert feeds.is_silent(0, 1)
    assert not feeds.follows_wall_clock(0, 10**9)


def test_a_feed_that_moves_is_trusted_after_its_grace() -> None:
    """One partition that moves speaks for the whole feed, once the backlog has had its time."""
    feeds = health()
    feeds.observe(0, [5, 5], 0)
    feeds.observe(0, [5, 6], 100)

    assert not feeds.is_silent(0, 100)
    assert not feeds.follows_wall_clock(0, 399)
    assert feeds.follows_wall_clock(0, 400)


def test_silence_ends_the_trust_and_the_return_has_its_grace() -> None:
    """Nothing for so long is silence; after it the grace begins anew."""
    feeds = health()
    feeds.observe(0, [0], 0)
    feeds.observe(0, [1], 100)
    feeds.observe(0, [1], 900)

    assert feeds.follows_wall_clock(0, 1_099)
    assert not feeds.follows_wall_clock(0, 1_100)

    feeds.observe(0, [2], 5_000)

    assert not feeds.follows_wall_clock(0, 5_299)
    assert feeds.follows_wall_clock(0, 5_300)


def test_a_steady_feed_has_no_new_grace() -> None:
    """Every movement within the silence keeps the trust."""
    feeds = health()
    for number in range(10):
        feeds.observe(0, [number], number * 500)

    assert feeds.follows_wall_clock(0, 4_500)


def test_feeds_are_apart() -> None:
    """One feed's life says nothing of another's."""
    feeds = health()
    for number in range(10):
        feeds.observe(0, [number], number * 500)
        feeds.observe(1, [0], number * 500)

    assert feeds.is_silent(1, 4_500)
    assert not feeds.is_silent(0, 4_500)
