"""One attempt: a signed request, within a limit, whatever the endpoint does; and what came of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, Literal, Protocol

import aiohttp
from msgspec import Struct
from standardwebhooks import Webhook

from streams.clock import Clock
from streams.webhooks.endpoints import Endpoint, load_secrets, trusted

Outcome = Literal[
    "delivered",
    "refused",
    "redirected",
    "throttled",
    "failed",
    "timeout",
    "unreachable",
    "incomplete",
    "gone",
]
RETRY_AFTER_SECONDS_MAX: Final = 3_600.0
"""An endpoint that asks for more is asked again after so long."""
_PIECE_BYTES: Final = 64 * 1024
_SECONDS_DIGITS_MAX: Final = 10
_THROTTLES: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


class Attempt(Struct, frozen=True):
    """What came of an attempt."""

    outcome: Outcome
    detail: str
    """For the operator: a status, or the kind of failure. Nothing that the endpoint wrote."""
    retry_after_seconds: float | None = None
    """How long the endpoint wants to be left alone."""


class Sender(Protocol):
    """Makes attempts."""

    async def start(self) -> None:
        """Get ready."""
        ...

    async def send(self, message_id: str, body: bytes) -> Attempt:
        """Make one."""
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


class HttpSender:
    """Over HTTP, signed as Standard Webhooks has it. Connections are kept, redirects and proxies are not followed."""

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        """`clock` gives the time that is signed.

        Raises:
            WebhooksError: a secret or `ca_file` is not readable.
        """
        self._endpoint = endpoint
        self._clock = clock
        self._keys = [Webhook(secret) for secret in load_secrets(endpoint)]
        self._tls = trusted(endpoint)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Make the pool of connections; none is opened yet."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._endpoint.parallel, ssl=self._tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._endpoint.timeout_seconds),
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(self, message_id: str, body: bytes) -> Attempt:
        """Make one attempt. The answer's body is not read: its status says all that counts."""
        assert self._session is not None
        upload = _Upload(body)
        try:
            async with self._session.post(
                self._endpoint.url,
                data=upload.pieces(),
                headers=self._headers(message_id, body),
                allow_redirects=False,
            ) as answer:
                return attempt_of(
                    answer.status,
                    answer.headers.get("Retry-After"),
                    now_ms=self._clock.now_ms(),
                    is_whole=upload.is_whole,
                )
        except TimeoutError:
            return Attempt("timeout", f"no answer within {self._endpoint.timeout_seconds:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Attempt("unreachable", type(error).__name__)

    def _headers(self, message_id: str, body: bytes) -> dict[str, str]:
        seconds = self._clock.now_ms() // 1000
        return {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "user-agent": "forewarn",
            **signed_headers(self._keys, message_id, seconds, body),
        }


def signed_headers(keys: Sequence[Webhook], message_id: str, seconds: int, body: bytes) -> dict[str, str]:
    """The three headers of Standard Webhooks; a signature of each key."""
    at, text = datetime.fromtimestamp(seconds, tz=UTC), body.decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(key.sign(message_id, at, text) for key in keys),
    }


def attempt_of(status: int, retry_after: str | None, *, now_ms: int, is_whole: bool) -> Attempt:
    """What an answer means.

    Args:
        status: of the answer.
        retry_after: the header, as it came.
        now_ms: wall clock.
        is_whole: whether the whole request was handed over when the answer came.
    """
    told = f"status {status}"
    if status == HTTPStatus.GONE:
        return Attempt("gone", told)
    if 200 <= status < 300:
        # Who says yes before having it all cannot have checked the signature.
        return (
            Attempt("delivered", told) if is_whole else Attempt("incomplete", f"{told} before it had it all")
        )
    wait = _seconds_of(retry_after, now_ms)
    if status in _THROTTLES:
        return Attempt("throttled", told, wait)
    if 300 <= status < 400:
        return Attempt("redirected", told)
    return Attempt("refused" if status < 500 else "failed", told, wait)


def _seconds_of(retry_after: str | None, now_ms: int) -> float | None:
    """RFC 9110, section 10.2.3: seconds, or a date; None for anything else."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:_SECONDS_DIGITS_MAX]), RETRY_AFTER_SECONDS_MAX)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max(at.timestamp() - now_ms / 1000, 0.0), RETRY_AFTER_SECONDS_MAX)


class _Upload:
    """A body on its way: in pieces, so that is known whether the last one was taken."""

    def __init__(self, body: bytes) -> None:
        self.is_whole = False
        self._body = body

    async def pieces(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), _PIECE_BYTES):
            yield self._body[start : start + _PIECE_BYTES]
        self.is_whole = True
