"""Against endpoints that fail, hang and lie: over real sockets, with the loop and the signatures as they are."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from models.alerts import Reason, Text
from streams.clock import SystemClock
from streams.webhooks.endpoints import Endpoint
from streams.webhooks.sender import RETRY_AFTER_SECONDS_MAX, Attempt, HttpSender, attempt_of, signed_headers
from tests.support.deliveries import PostOffice, alert, endpoint, message_id, revisions
from tests.support.receivers import (
    SECRET,
    Behaviour,
    Receiver,
    answering,
    babbling,
    dripping,
    half,
    hanging,
    honest,
    listening,
    resetting,
    secret_file,
    talking,
)

NOW_MS = 1_767_225_600_000
"""2026-01-01T00:00Z."""
PATIENCE_SECONDS = 60.0
TRIES = {"first_retry_seconds": 0.01, "retry_max_seconds": 0.02, "timeout_seconds": 5.0}


def to_receiver(receiver: Receiver, folder: Path, **changes: Any) -> Endpoint:
    """An endpoint that is the receiver."""
    return endpoint(url=receiver.url, secret_file=secret_file(folder), **(TRIES | changes))


async def delivered(office: PostOffice, to: Endpoint, count: int) -> None:
    """Deliver until so many are settled."""
    loop = office.loop(to, HttpSender(to, office.clock))

    def settled() -> int:
        return office.count("delivered", to.name) + office.count("dead_lettered", to.name)

    await office.run_until(lambda: settled() == count, loop, seconds=PATIENCE_SECONDS)


@asynccontextmanager
async def sender_to(
    receiver: Receiver, folder: Path, *, by_name: bool = False, **changes: Any
) -> AsyncIterator[HttpSender]:
    """A sender for single attempts."""
    if by_name:  # nobody keeps cookies of a bare address
        receiver.url = receiver.url.replace("127.0.0.1", "localhost")
    sender = HttpSender(to_receiver(receiver, folder, **changes), SystemClock())
    await sender.start()
    try:
        yield sender
    finally:
        await sender.close()


def attempts(office: PostOffice) -> dict[str, int]:
    """How often which outcome was counted."""
    return {
        labels[2]: amount
        for labels, amount in office.metrics.counters.items()
        if labels[0] == "webhook_attempts"
    }


# ---- it fails --------------------------------------------------------------------------------------------------------


async def test_an_endpoint_that_fails_in_every_way_gets_everything_in_order(tmp_path: Path) -> None:
    """500, 429, a broken connection, no HTTP at all: the same ids and bytes again, each time signed anew, then all arrives."""
    office = PostOffice(SystemClock())
    book = revisions(borrowers=3, each=3)
    office.publish(book)
    failures = [answering(500), answering(429, retry_after="0"), resetting, babbling, answering(404)]
    async with listening(*failures, honest) as receiver:
        await delivered(office, to_receiver(receiver, tmp_path), len(book))

    assert receiver.forged() == []
    assert len(receiver.requests) == len(book) + len(failures)
    assert attempts(office) == {
        "failed": 1,
        "throttled": 1,
        "unreachable": 2,
        "refused": 1,
        "delivered": len(book),
    }
    sent = {request.headers["webhook-id"]: request.body for request in receiver.requests}
    assert sent == {message_id(one): msgspec.json.encode(one) for one in book}
    assert all(request.body == sent[request.headers["webhook-id"]] for request in receiver.requests)
    for borrower in range(3):
        alert_id = alert(f"b-{borrower}").alert_id
        turns = [int(one.rpartition(".")[2]) for one in receiver.ids if one.startswith(alert_id)]
        assert turns == sorted(turns)
    assert office.letters() == []


async def test_an_endpoint_that_nobody_listens_at_gets_dead_letters(tmp_path: Path) -> None:
    """After the last attempt, with the reason."""
    office = PostOffice(SystemClock())
    office.publish([alert("b-0")])
    async with listening(honest) as receiver:
        to = to_receiver(receiver, tmp_path, attempts_max=3)
    await delivered(office, to, 1)

    (letter,) = office.letters()
    assert dict(letter.headers)["forewarn.webhook.reason"] == b"unreachable"
    assert attempts(office) == {"unreachable": 3}


# ---- it hangs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", [hanging, dripping])
async def test_an_attempt_ends_whatever_the_endpoint_does(behaviour: Behaviour, tmp_path: Path) -> None:
    """No answer, or one byte after the other: it counts as none, and the next attempt delivers."""
    office = PostOffice(SystemClock())
    office.publish([alert("b-0")])
    async with listening(behaviour, behaviour, honest) as receiver:
        await delivered(office, to_receiver(receiver, tmp_path, timeout_seconds=0.2), 1)

    assert receiver.ids == [message_id(alert("b-0"))] * 3
    assert attempts(office) == {"timeout": 2, "delivered": 1}


async def test_an_endpoint_that_hangs_holds_no_other_up(tmp_path: Path) -> None:
    """One never answers, all is delivered to the other one; and a stop does not wait for the one."""
    office = PostOffice(SystemClock())
    book = revisions(borrowers=20, each=2)
    office.publish(book)
    async with listening(hanging) as silent, listening(honest) as receiver:
        to, other = to_receiver(receiver, tmp_path), to_receiver(silent, tmp_path, name="silent")
        loops = [office.loop(one, HttpSender(one, office.clock)) for one in (to, other)]
        await office.run_until(
            lambda: office.count("delivered") == len(book), *loops, seconds=PATIENCE_SECONDS
        )

    assert sorted(receiver.ids) == sorted(message_id(one) for one in book)
    assert len(silent.requests) == to.parallel
    assert office.count("delivered", "silent") == 0


async def test_a_body_without_end_is_not_read(tmp_path: Path) -> None:
    """The status is the answer: what is said behind it costs neither memory nor time."""
    async with listening(talking) as receiver, sender_to(receiver, tmp_path, timeout_seconds=60) as sender:
        async with asyncio.timeout(PATIENCE_SECONDS / 2):
            assert (await sender.send("a.1", b"{}")).outcome == "delivered"


# ---- it lies ---------------------------------------------------------------------------------------------------------


async def test_a_yes_before_the_whole_was_there_is_none(tmp_path: Path) -> None:
    """200 after half of a large alert: it is sent again, until somebody reads it to its end."""
    async with listening(half, reads_whole=False) as receiver, sender_to(receiver, tmp_path) as sender:
        attempt = await sender.send("a.1", b"x" * 16 * 1024 * 1024)
    assert attempt == Attempt("incomplete", "status 200 before it had it all")


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    """Elsewhere nothing arrives, and the message is a dead letter in the end."""
    office = PostOffice(SystemClock())
    office.publish([alert("b-0")])
    async with listening(honest) as elsewhere:
        lies = [answering(status, location=elsewhere.url) for status in (301, 302, 303, 307, 308)]
        async with listening(*lies) as receiver:
            await delivered(office, to_receiver(receiver, tmp_path, attempts_max=len(lies)), 1)

    assert elsewhere.requests == []
    assert len(receiver.requests) == len(lies)
    (letter,) = office.letters()
    assert dict(letter.headers)["forewarn.webhook.reason"] == b"redirected"


async def test_what_was_done_and_then_denied_comes_again_under_its_id(tmp_path: Path) -> None:
    """The endpoint takes a message and breaks off: by the id it knows the repeat, and whoever keeps count takes it once."""
    office = PostOffice(SystemClock())
    book = [alert("b-0", 1), alert("b-0", 2)]
    office.publish(book)
    async with listening(resetting, honest) as receiver:
        await delivered(office, to_receiver(receiver, tmp_path), 2)

    first, again, following = receiver.requests
    assert first.headers["webhook-id"] == again.headers["webhook-id"] == message_id(book[0])
    assert first.body == again.body
    assert following.headers["webhook-id"] == message_id(book[1])
    assert receiver.forged() == []


# ---- single attempts ---------------------------------------------------------------------------------------------------


async def test_cookies_and_proxies_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an endpoint wants remembered is forgotten, and the environment sends alerts nowhere else."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    taking = answering(200, set_cookie="a=b")
    async with listening(taking, honest) as receiver, sender_to(receiver, tmp_path, by_name=True) as sender:
        outcomes = [(await sender.send("a.1", b"{}")).outcome for _ in range(2)]

    assert outcomes == ["delivered", "delivered"]
    assert all("cookie" not in request.headers for request in receiver.requests)
    assert all(request.headers["content-type"] == "application/json" for request in receiver.requests)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "delivered"), (202, "delivered"), (204, "delivered"), (299, "delivered"), (301, "redirected"),
        (304, "redirected"), (400, "refused"), (404, "refused"), (409, "refused"), (410, "gone"),
        (429, "throttled"), (500, "failed"), (502, "failed"), (503, "throttled"), (599, "failed"),
    ],
)  # fmt: skip
def test_what_a_status_means(status: int, outcome: str) -> None:
    """By Standard Webhooks: 2xx took it, 410 wants no more, everything else is tried again."""
    assert attempt_of(status, None, now_ms=NOW_MS, is_whole=True).outcome == outcome


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None), ("", None), ("soon", None), ("-5", None), ("0", 0.0), (" 7 ", 7.0), ("9" * 40, RETRY_AFTER_SECONDS_MAX),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0), ("Wed, 31 Dec 2025 23:00:00 GMT", 0.0),
        ("Fri, 01 Jan 2027 00:00:00 GMT", RETRY_AFTER_SECONDS_MAX), ("Thu, 01 Jan 2026 00:01:00 -0000", 60.0),
    ],
)  # fmt: skip
def test_how_long_an_endpoint_wants_to_be_left_alone(header: str | None, seconds: float | None) -> None:
    """Seconds or a date, an hour at most; nonsense is nothing."""
    assert attempt_of(503, header, now_ms=NOW_MS, is_whole=True).retry_after_seconds == seconds


def test_the_signature_is_that_of_the_standard() -> None:
    """HMAC-SHA256 over id, time and body, base64, one for each key; another body, id or time does not fit."""
    keys = [base64.b64decode(SECRET.removeprefix("whsec_")), b"n" * 32]
    body = '{"zh": "逾期"}'.encode()
    headers = signed_headers([Webhook(key) for key in keys], "a.1", NOW_MS // 1000, body)
    signed = b"a.1.1767225600." + body

    expected = [base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in keys]
    assert headers["webhook-signature"] == " ".join(f"v1,{one}" for one in expected)
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("a.1", "1767225600")


@pytest.mark.parametrize("change", ["body", "webhook-id", "webhook-timestamp"])
async def test_a_forgery_shows(change: str, tmp_path: Path) -> None:
    """Each part of what was signed, changed by one character."""
    async with listening(honest) as receiver, sender_to(receiver, tmp_path) as sender:
        await sender.send("a.1", b'{"a": 1}')
    (request,) = receiver.requests
    assert receiver.forged() == []

    body, headers = request.body, dict(request.headers)
    if change == "body":
        body = body.replace(b"1", b"2")
    else:
        headers[change] = headers[change][:-1] + ("0" if headers[change][-1] != "0" else "1")
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body, headers)


async def test_a_large_alert_goes_through_whole(tmp_path: Path) -> None:
    """A megabyte of evidence, in pieces on its way, one body on arrival."""
    office = PostOffice(SystemClock())
    long = alert("b-0", reasons=(Reason("X", Text("x" * 500_000, "贷" * 150_000), {}),))
    office.publish([long])
    async with listening(honest) as receiver:
        await delivered(office, to_receiver(receiver, tmp_path), 1)

    assert receiver.forged() == []
    assert [request.body for request in receiver.requests] == [msgspec.json.encode(long)]
