"""Reaches a broker once, with our credentials, before any client does, and tells in a sentence why it cannot be.

The clients try again whatever they hear, and tell of it only in their logs: a wrong password would be tried ten times a second,
which locks accounts. Here the first refusal is the last.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec
from aiokafka import errors as kafka_errors
from aiokafka.conn import AIOKafkaConnection, OAuthAuthenticator, collect_hosts
from aiokafka.protocol.metadata import MetadataRequest

from streams.credentials import CredentialsError, identity, uses_tls
from streams.kafka.security import aiokafka_options
from streams.ports import BrokerRefusedError, BrokerUnavailableError
from streams.settings import Settings

_RETRY_SECONDS: Final = 0.2
"""Between two tries while nobody answers yet."""
_LEAVE_SECONDS: Final = 1.0
"""A broker that is there closes in milliseconds."""
_OAUTH_ERROR_SEEN: Final = b"\x01"
"""What the client answers to the reasons of a refusal (RFC 7628, section 3.2.3), so that the broker ends it."""

_REFUSALS: Final = (
    kafka_errors.SaslAuthenticationFailed,
    kafka_errors.AuthenticationFailedError,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.IllegalSaslStateError,
    ssl.SSLCertVerificationError,
)
"""Errors that the next try would not change."""
_REFUSING_ALERTS: Final = (
    "ALERT_CERTIFICATE_REQUIRED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNKNOWN_CA",
    "CERTIFICATE_UNKNOWN",
)
"""What a broker says of our certificate, as OpenSSL spells it; with TLS 1.3 only when the handshake is over."""


class NotReachedError(Exception):
    """Nobody let us in. `refusal` tells whether somebody answered; the message is only what was heard last."""

    def __init__(self, heard: BaseException | None, *, refusal: bool) -> None:
        """`heard`: the last error, None where there was no time for any."""
        super().__init__(heard)
        self.heard = heard
        self.refusal = refusal


def require_reachable(settings: Settings) -> None:
    """Make sure that a broker lets us in, within `start_timeout_ms`. Blocks; may be called where an event loop is running.

    Raises:
        BrokerRefusedError: it does not, and would not if asked again. At once: the message says who was refused, and why.
        BrokerUnavailableError: nobody answers; the message says what to look at.
    """
    seconds = settings.start_timeout_ms / 1000
    try:
        options = aiokafka_options(settings)
    except CredentialsError as error:
        raise BrokerRefusedError(f"setting {error}") from error
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-probe") as pool:
        try:
            pool.submit(asyncio.run, reach(settings.broker, seconds, options)).result()
        except NotReachedError as error:
            if error.refusal:
                raise BrokerRefusedError(_refused(settings, error.heard)) from error
            raise BrokerUnavailableError(_unanswered(settings, error.heard)) from error


def refusal_now(settings: Settings, seconds: float) -> str | None:
    """Why a broker does not let us in at the moment; None where one does, or nobody says. Asked when something has failed."""
    limit_ms = min(settings.start_timeout_ms, round(seconds * 1000))
    try:
        require_reachable(msgspec.structs.replace(settings, start_timeout_ms=limit_ms))
    except BrokerRefusedError as error:
        return str(error)
    except BrokerUnavailableError:
        return None
    return None


async def reach(servers: str, seconds: float, options: Mapping[str, Any]) -> frozenset[str]:
    """Return `host:port` of every broker in the cluster's own metadata, asked again and again until somebody answers.

    Raises:
        NotReachedError: nobody does within `seconds`, or somebody refuses.
    """
    heard: BaseException | None = None
    try:
        async with asyncio.timeout(seconds):
            while True:
                for host, port, _family in collect_hosts(servers):
                    try:
                        brokers = await _metadata(host, port, seconds, options)
                    except (kafka_errors.KafkaError, OSError) as error:
                        heard = _told_by(error)
                        if _is_refusal(heard):
                            raise NotReachedError(heard, refusal=True) from error
                    else:
                        if brokers:
                            return brokers
                await asyncio.sleep(_RETRY_SECONDS)
    except TimeoutError as error:
        raise NotReachedError(heard, refusal=False) from error


class _Connection(AIOKafkaConnection):  # type: ignore[misc] # the library has no type information
    """A connection that hears a refused token: the library takes the reasons of a refusal for a welcome."""

    def authenticator_oauth(self) -> Any:
        """See above."""
        return _HearingAuthenticator(sasl_oauth_token_provider=self._sasl_oauth_token_provider)


class _HearingAuthenticator(OAuthAuthenticator):  # type: ignore[misc] # the library has no type information
    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        """Send the token; where reasons come back, answer them, and the broker says in Kafka's own way that it refuses."""
        if self._token_sent and payload:
            return _OAUTH_ERROR_SEEN, True
        step: tuple[bytes, bool] | None = await super().step(payload)
        return step


async def _metadata(host: str, port: int, seconds: float, options: Mapping[str, Any]) -> frozenset[str]:
    connection = _Connection(
        host, port, client_id="forewarn-probe", request_timeout_ms=round(seconds * 1000), **options
    )
    try:
        await connection.connect()
        answer: Any = await connection.send(MetadataRequest([]))
    finally:
        await _closed(connection)
    return frozenset(f"{broker[1]}:{broker[2]}" for broker in answer.brokers)


async def _closed(connection: Any) -> None:
    """Let TLS take its leave before the loop ends, for a moment."""
    if connection._protocol is not None:  # noqa: SLF001 - only then there was a connection, and the end of it to wait for
        await asyncio.wait([connection.close()], timeout=_LEAVE_SECONDS)


# ---- what was heard ----------------------------------------------------------------------------------------------


def _told_by(error: BaseException) -> BaseException:
    """The error that says most: a refusal among its causes, else itself."""
    cause: BaseException | None = error
    while cause is not None:
        if _is_refusal(cause) or isinstance(cause, ssl.SSLError):
            return cause
        cause = cause.__cause__
    return error


def _is_refusal(error: BaseException) -> bool:
    if isinstance(error, _REFUSALS):
        return True
    return isinstance(error, ssl.SSLError) and any(alert in str(error.reason) for alert in _REFUSING_ALERTS)


def _refused(settings: Settings, heard: BaseException | None) -> str:
    where = f"Kafka at {settings.broker}"
    if isinstance(heard, ssl.SSLCertVerificationError):
        authorities = settings.tls_ca_file or "the system's authorities"
        return f"{where} is not trusted: {heard.verify_message}; asked {authorities} (tls_ca_file)"
    if isinstance(heard, ssl.SSLError):
        ours = settings.tls_certificate_file or "none was shown"
        return f"{where} refused our certificate ({ours}; tls_certificate_file): {_words(heard)}"
    if isinstance(heard, kafka_errors.UnsupportedSaslMechanismError):
        return f"{where} does not take {settings.sasl_mechanism} on this listener (sasl_mechanism)"
    if isinstance(heard, kafka_errors.IllegalSaslStateError):
        return f"{where} takes no SASL on this listener (security_protocol {settings.security_protocol})"
    if isinstance(heard, kafka_errors.AuthenticationFailedError):
        return f"not connected to {where}: {heard}"
    return f"{where} refused {identity(settings)}: {_words(heard)}"


def _unanswered(settings: Settings, heard: BaseException | None) -> str:
    said = "nothing was heard" if heard is None else f"heard last: {_words(heard)}"
    tls = "with TLS" if uses_tls(settings) else "without TLS"
    return (
        f"no broker answers at {settings.broker} within {settings.start_timeout_ms / 1000:g} s: is it host:port of a running "
        f"Kafka, reachable from here, {tls} (security_protocol {settings.security_protocol})? ({said})"
    )


def _words(error: BaseException | None) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, kafka_errors.BrokerResponseError) and error.args:
        return str(error.args[0])
    return str(error) or type(error).__name__


def kafkas_word(end: SystemExit) -> str | None:
    """What Kafka said to Faust where that is what ended the process; of that Faust leaves a traceback alone.

    A cluster that has lost its quorum of controllers answers, so that a start goes on, and makes no topic.
    """
    cause = end.__context__
    if not isinstance(cause, kafka_errors.KafkaError):
        return None
    return f"Kafka answers, and does not do what Faust asks ({cause}): are enough of its brokers up? The process ends; a restart tries again"
