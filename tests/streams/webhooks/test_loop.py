"""Delivering in virtual time: nothing lost, in order for each borrower, no endpoint held up by another, whatever fails when."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import pytest

from streams.memory.network import DirectNetwork
from streams.memory.virtual_time import VirtualClock, run_virtual
from streams.partitioner import partition_of
from streams.ports import PortError
from streams.webhooks import letters
from streams.webhooks.loop import WebhookError
from streams.webhooks.sender import Attempt
from tests.support.deliveries import (
    DELIVERED,
    NAMES,
    FakeReceiver,
    PostOffice,
    alert,
    endpoint,
    message_id,
    revisions,
)

T = TypeVar("T")
BROKEN = Attempt("failed", "status 500")
BOOK = revisions(borrowers=6, each=3)
ALL = [message_id(one) for one in BOOK]


def in_order(messages: list[str]) -> bool:
    """Whether of each alert no earlier revision comes after a later one."""
    last: dict[str, int] = defaultdict(int)
    for message in messages:
        alert_id, _, revision = message.partition(".")
        if int(revision) < last[alert_id]:
            return False
        last[alert_id] = int(revision)
    return True


def first_times(messages: list[str]) -> list[str]:
    """Without repeats."""
    return list(dict.fromkeys(messages))


def office_and_receiver(
    answers: Callable[[str, int], Attempt] | None = None,
) -> tuple[PostOffice, FakeReceiver]:
    """Made inside the virtual loop."""
    clock = VirtualClock()
    return PostOffice(clock), FakeReceiver(clock, answers)


def test_every_message_is_delivered_once_and_in_order() -> None:
    """By an honest endpoint; a restart sends nothing again."""

    async def main() -> tuple[FakeReceiver, PostOffice]:
        office, receiver = office_and_receiver()
        office.publish(BOOK)
        await office.run_until(
            lambda: office.count("delivered") == len(BOOK), office.loop(endpoint(), receiver)
        )
        office.publish([alert("b-late")])
        await office.run_until(
            lambda: office.count("delivered") == len(BOOK) + 1, office.loop(endpoint(), receiver)
        )
        return receiver, office

    receiver, office = run_virtual(main())
    assert sorted(receiver.messages) == sorted([*ALL, message_id(alert("b-late"))])
    assert in_order(receiver.messages)
    assert receiver.at_once == endpoint().parallel
    assert office.letters() == []


def test_a_new_endpoint_hears_of_what_comes_from_now_on() -> None:
    """With `begin = "end"`; where it began is kept, so that nothing is passed over by a restart before the first alert."""

    async def main() -> list[str]:
        office, receiver = office_and_receiver()
        office.publish(BOOK)
        to = endpoint(begin="end")
        await office.run_until(lambda: office.clock.monotonic_ms() > 3_000, office.loop(to, receiver))
        office.publish([alert("b-0", 4)])
        await office.run_until(lambda: bool(receiver.heard), office.loop(to, receiver))
        return receiver.messages

    assert run_virtual(main()) == [message_id(alert("b-0", 4))]


def test_what_fails_is_tried_again_with_growing_waits_and_then_delivered() -> None:
    """The same id each time; waits grow fourfold up to the limit, never longer, with a part of it drawn; order is kept."""

    async def main() -> FakeReceiver:
        office, receiver = office_and_receiver(lambda _, number: BROKEN if number < 7 else DELIVERED)
        office.publish([alert("b-0", 1), alert("b-0", 2)])
        to = endpoint(first_retry_seconds=1, retry_max_seconds=100)
        await office.run_until(lambda: office.count("delivered") == 2, office.loop(to, receiver))
        return receiver

    receiver = run_virtual(main())
    one, two = message_id(alert("b-0", 1)), message_id(alert("b-0", 2))
    assert receiver.messages == [one] * 7 + [two] * 7
    at = [at_ms for at_ms, message in receiver.heard if message == one]
    waits = [(later - earlier) / 1000 for earlier, later in itertools.pairwise(at)]
    for wait, longest in zip(waits, [1, 4, 16, 64, 100, 100], strict=True):
        assert longest / 2 <= wait <= longest + 0.1
    drawn = [wait / longest for wait, longest in zip(waits, [1, 4, 16, 64, 100, 100], strict=True)]
    assert min(drawn) < 0.8 < max(drawn)


def test_an_endpoint_that_asks_to_be_left_alone_is() -> None:
    """429 with Retry-After: until then nobody's message goes there, not even one that was never tried."""

    async def main() -> FakeReceiver:
        office, receiver = office_and_receiver(
            lambda _, number: Attempt("throttled", "status 429", 600) if number == 1 else DELIVERED
        )
        office.publish([alert("b-0")])
        loop = office.loop(endpoint(), receiver)
        run = asyncio.create_task(office.run_until(lambda: office.count("delivered") == 3, loop))
        await asyncio.sleep(5)
        office.publish([alert("b-1"), alert("b-2")])
        await run
        return receiver

    receiver = run_virtual(main())
    first_ms = receiver.heard[0][0]
    assert len(receiver.heard) == 6
    assert min(at_ms for at_ms, _ in receiver.heard[1:]) >= first_ms + 600_000


def test_after_the_last_attempt_a_message_is_a_dead_letter() -> None:
    """With its bytes and why, counted; later messages of the borrower go on, and a restart repeats neither."""
    poison = message_id(BOOK[0])

    async def main() -> tuple[PostOffice, FakeReceiver]:
        office, receiver = office_and_receiver(lambda message, _: BROKEN if message == poison else DELIVERED)
        office.publish(BOOK)
        to = endpoint(attempts_max=3)
        done = len(BOOK) - 1
        await office.run_until(lambda: office.count("delivered") == done, office.loop(to, receiver))
        await office.run_until(lambda: office.clock.monotonic_ms() > 10**6, office.loop(to, receiver))
        return office, receiver

    office, receiver = run_virtual(main())
    assert receiver.messages.count(poison) == 3
    assert first_times(receiver.messages)
    assert set(receiver.messages) == set(ALL)
    assert in_order(receiver.messages)
    assert office.count("dead_lettered") == 1
    (letter,) = office.letters()
    said = {name: value.decode() for name, value in letter.headers}
    assert letter.value == msgspec.json.encode(BOOK[0])
    assert letter.key == BOOK[0].borrower_id.encode()
    assert said[letters.ENDPOINT_HEADER] == "desk"
    assert (said[letters.REASON_HEADER], said[letters.DETAIL_HEADER]) == ("failed", "status 500")
    assert (said[letters.ATTEMPTS_HEADER], said[letters.MESSAGE_HEADER]) == ("3", poison)
    assert said["__connect.errors.topic"] == NAMES.alerts


GARBLED = msgspec.json.encode(alert("b-0")).replace(b'"policy_version":"', b'"policy_version":"\xff')
"""Broken where nobody looks but who signs it."""


@pytest.mark.parametrize("value", [b"{}", b"not json", b'{"alert_id": "\xff"}', GARBLED, None])
def test_what_is_no_alert_is_a_dead_letter(value: bytes | None) -> None:
    """Nobody is sent it, its bytes are kept, and what comes behind it is delivered."""

    async def main() -> tuple[PostOffice, FakeReceiver]:
        office, receiver = office_and_receiver()
        office.write(b"b-0", value, "b-0")
        office.publish([alert("b-0")])
        await office.run_until(
            lambda: len(office.letters()) == 1 and bool(receiver.heard), office.loop(endpoint(), receiver)
        )
        return office, receiver

    office, receiver = run_virtual(main())
    assert receiver.messages == [message_id(alert("b-0"))]
    (letter,) = office.letters()
    assert (letter.key, letter.value) == (b"b-0", value)
    assert dict(letter.headers)[letters.REASON_HEADER] == letters.NOT_AN_ALERT.encode()


def test_a_dead_letter_is_written_with_the_offset_that_passes_it() -> None:
    """While one before it is on its way a letter waits, though others are committed; a restart makes it anew, and writes one."""
    here = [f"b-{number}" for number in range(20) if partition_of(f"b-{number}".encode(), 2) == 0]
    slow, silent, poison = ([alert(name, turn) for turn in (1, 2, 3)] for name in here[:3])

    def answer(message: str, number: int) -> Attempt:
        is_slow = message.startswith(slow[0].alert_id)
        return BROKEN if message == message_id(poison[0]) or (is_slow and number == 1) else DELIVERED

    async def main() -> tuple[int, int]:
        office, receiver = office_and_receiver(answer)
        receiver.stays_silent = lambda message: message == message_id(silent[0])
        office.publish([*slow, silent[0], poison[0]])
        to = endpoint(attempts_max=2)
        await office.run_until(lambda: office.clock.monotonic_ms() > 60_000, office.loop(to, receiver))
        assert (office.count("delivered"), office.count("dead_lettered")) == (3, 1)
        before = len(office.letters())
        receiver.stays_silent = lambda _: False
        await office.run_until(lambda: bool(office.letters()), office.loop(to, receiver))
        assert office.count("delivered") == 4
        return before, len(office.letters())

    assert run_virtual(main()) == (0, 1)


def test_an_endpoint_that_hangs_holds_nobody_up() -> None:
    """Nothing is answered by one; all is delivered to the other, while the one holds no more than its bound in memory."""
    many = revisions(borrowers=400, each=3)

    async def main() -> tuple[PostOffice, FakeReceiver, FakeReceiver]:
        office, honest = office_and_receiver()
        hanging = FakeReceiver(office.clock)
        hanging.stays_silent = lambda _: True
        loops = [
            office.loop(endpoint(), honest),
            office.loop(endpoint(name="hanging", pending_max=50), hanging),
        ]
        office.publish(many)
        await office.run_until(lambda: office.count("delivered") == len(many), *loops, seconds=600)
        return office, honest, hanging

    office, honest, hanging = run_virtual(main())
    assert sorted(honest.messages) == sorted(message_id(one) for one in many)
    assert len(hanging.heard) == endpoint().parallel
    assert office.count("delivered", "hanging") == 0


def test_an_endpoint_that_is_full_reads_no_more_and_loses_nothing() -> None:
    """While it fails no more waits in memory than its bound; when it is well again all is delivered."""
    many = revisions(borrowers=300, each=3)

    async def main() -> tuple[int, FakeReceiver]:
        office, receiver = office_and_receiver(
            lambda *_: DELIVERED if office.clock.monotonic_ms() > 600_000 else BROKEN
        )
        office.publish(many)
        to = endpoint(pending_max=40, attempts_max=20, parallel=64)
        most = 0

        def is_done() -> bool:
            nonlocal most
            most = max(most, int(office.metrics.gauges.get(("webhook_pending", "desk"), 0)))
            return office.count("delivered") == len(many)

        await office.run_until(is_done, office.loop(to, receiver), seconds=10**6)
        assert office.letters() == []
        return most, receiver

    most, receiver = run_virtual(main())
    assert most == 40
    assert sorted(first_times(receiver.messages)) == sorted(message_id(one) for one in many)
    assert in_order(receiver.messages)


def test_an_endpoint_that_is_gone_is_sent_nothing_more_and_loses_nothing() -> None:
    """410: the loop ends and says so; a restart begins with the first message that was not delivered."""

    async def main() -> tuple[list[str], PostOffice]:
        gone = Attempt("gone", "status 410")
        office, receiver = office_and_receiver(
            lambda message, _: gone if message.endswith(".2") else DELIVERED
        )
        office.publish([alert("b-0", 1), alert("b-0", 2), alert("b-0", 3)])
        async with asyncio.timeout(60):
            await office.loop(endpoint(), receiver).run()
        assert receiver.messages == [message_id(alert("b-0", 1)), message_id(alert("b-0", 2))]
        assert office.metrics.gauges["webhook_disabled", "desk"] == 1
        back = FakeReceiver(office.clock)
        await office.run_until(lambda: office.count("delivered") == 3, office.loop(endpoint(), back))
        return back.messages, office

    messages, office = run_virtual(main())
    assert messages == [message_id(alert("b-0", 2)), message_id(alert("b-0", 3))]
    assert office.metrics.gauges["webhook_disabled", "desk"] == 0
    assert office.letters() == []


class CrashError(Exception):
    """The process is dead."""


class CrashingNetwork(DirectNetwork):
    """Passes so many calls; then the process dies, or one call fails, before or after it reached the broker."""

    def __init__(self, calls: int, error: type[Exception], *, arrives: bool) -> None:
        self.left = calls
        self.struck = False
        self._error = error
        self._arrives = arrives

    async def call(self, step: str, effect: Callable[[], T]) -> T:
        if step in ("leave", "fetch"):
            return await super().call(step, effect)
        self.left -= 1
        if self.left < 0 and (not self.struck or self._error is CrashError):
            self.struck = True
            if self._arrives:
                effect()
            raise self._error("struck")
        return await super().call(step, effect)


@pytest.mark.parametrize("arrives", [False, True])
@pytest.mark.parametrize("error", [CrashError, PortError])
def test_whatever_call_it_dies_at_nothing_is_lost(error: type[Exception], arrives: bool) -> None:
    """Every message arrives, repeats keep the order and the id, and a dead letter is written once."""
    poison = message_id(BOOK[3])

    async def main(calls: int) -> bool:
        office, receiver = office_and_receiver(lambda message, _: BROKEN if message == poison else DELIVERED)
        office.publish(BOOK)
        to = endpoint(attempts_max=2)
        network = CrashingNetwork(calls, error, arrives=arrives)
        loop = office.loop(to, receiver, network)
        run = asyncio.create_task(loop.run())
        await asyncio.wait([run], timeout=60)
        loop.stop()
        await asyncio.wait([run])
        if not isinstance(run.exception(), CrashError | None):
            run.result()

        def is_settled() -> bool:
            return set(receiver.messages) == set(ALL) and len(office.letters()) == 1

        await office.run_until(is_settled, office.loop(to, receiver))
        assert len(office.letters()) == 1
        by_alert = defaultdict(list)
        for message in first_times(receiver.messages):
            by_alert[message.partition(".")[0]].append(message)
        assert all(in_order(messages) for messages in by_alert.values())
        return network.struck

    struck = [run_virtual(main(calls)) for calls in range(60)]
    assert struck[0]
    assert not struck[-1]


def test_partitions_that_move_are_gone_on_with_by_who_has_them() -> None:
    """A second worker joins amid the work and the first one leaves; everything arrives."""
    many = revisions(borrowers=40, each=3)

    async def main() -> list[str]:
        office, receiver = office_and_receiver()
        receiver.seconds = 1
        office.publish(many)
        first, second = (office.loop(endpoint(), receiver) for _ in range(2))
        run = asyncio.create_task(first.run())
        await asyncio.sleep(5)
        other = asyncio.create_task(second.run())
        await asyncio.sleep(5)
        first.stop()
        await run
        async with asyncio.timeout(3_600):
            while set(receiver.messages) != {message_id(one) for one in many}:  # noqa: ASYNC110 - figures tell
                await asyncio.sleep(1)
        second.stop()
        await other
        return receiver.messages

    messages = run_virtual(main())
    assert len(messages) < 2 * len(many)


def test_a_position_beyond_the_end_is_another_topic() -> None:
    """The loop ends with what is to be done, and delivers nothing."""

    async def main() -> list[str]:
        office, receiver = office_and_receiver()
        office.publish(BOOK)
        loop = office.loop(endpoint(), receiver)
        await office.run_until(lambda: office.count("delivered") == len(BOOK), loop)
        for partition in range(2):
            office.broker.log(NAMES.alerts, partition).end = 0
        with pytest.raises(WebhookError, match="another topic"):
            await office.loop(endpoint(), receiver).run()
        return receiver.messages

    assert len(run_virtual(main())) == len(BOOK)


def test_a_kafka_that_stays_away_ends_the_loop_with_an_error() -> None:
    """After ten failures in a row, over some three minutes; silence would pass for peace."""

    class Away(DirectNetwork):
        async def call(self, step: str, effect: Callable[[], Any]) -> Any:
            raise PortError("nobody answers")

    async def main() -> int:
        office, receiver = office_and_receiver()
        with pytest.raises(WebhookError, match=r"endpoint desk: .*nobody answers"):
            await office.loop(endpoint(), receiver, Away()).run()
        return office.clock.monotonic_ms()

    assert 150_000 < run_virtual(main()) < 300_000
