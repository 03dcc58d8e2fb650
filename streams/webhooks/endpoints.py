"""The file of endpoints: who hears of what, where, signed with which secret. Refused with the key that is wrong, before a start."""

from __future__ import annotations

import base64
import binascii
import ssl
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from models.alerts import SeverityName, SignalName, Status
from streams.small_files import read_small

ENDPOINTS_MAX: Final = 16
"""Each has a consumer, a producer a partition and its requests in the worker's process."""
SECRETS_MAX: Final = 3
"""Signatures of one message: while keys change there are two."""
_FILE_BYTES_MAX: Final = 64 * 1024
_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what all of them begin with
_SECRET_BYTES: Final = range(24, 65)
"""Standard Webhooks, "Signature scheme": symmetric secrets have 192 to 512 bits."""
_LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class WebhooksError(ValueError):
    """The file of endpoints, or a secret, will not do: the message names it and what is allowed, and never a secret."""


class Endpoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One receiver."""

    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,39}$")]
    """Names its group, its figures and its dead letters. Another name is another endpoint, which begins anew."""
    url: str
    """Of `https`; no credentials in it."""
    secret_file: str
    """Holds `whsec_...`; while keys change one a line, each of which signs."""
    signals: tuple[SignalName, ...] = ()
    """Only these; all where none is named."""
    severity_min: SeverityName = "watch"
    """Only these and above; see `wanted.py`."""
    statuses: tuple[Status, ...] = ()
    """Only these; all where none is named."""
    actionable_only: bool = False
    """Only what may be acted on; see `wanted.py`."""
    begin: Literal["end", "start"] = "end"
    """What a new endpoint hears first: what is published from now on, or everything that the topic holds."""
    allow_http: bool = False
    """Without TLS, also where the receiver is not this machine."""
    ca_file: str | None = None
    """Certificates to trust instead of the system's."""
    timeout_seconds: Annotated[float, Meta(gt=0, le=60)] = 15
    """For one attempt, whatever the endpoint does meanwhile."""
    attempts_max: Annotated[int, Meta(ge=1, le=20)] = 8
    """After so many a message becomes a dead letter: with the waits below after some fifteen minutes."""
    first_retry_seconds: Annotated[float, Meta(gt=0, le=3600)] = 1
    """The wait after the first attempt; each further one is four times as long."""
    retry_max_seconds: Annotated[float, Meta(gt=0, le=3600)] = 300
    """The longest wait between two attempts."""
    parallel: Annotated[int, Meta(ge=1, le=64)] = 4
    """Requests at once, never two of one borrower."""
    pending_max: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    """Messages that wait in memory; then nothing more is read for this endpoint, and the rest waits in Kafka."""


class EndpointFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    endpoints: Annotated[tuple[Endpoint, ...], Meta(min_length=1, max_length=ENDPOINTS_MAX)]


def load_endpoints(file: str) -> tuple[Endpoint, ...]:
    """Read the file.

    Raises:
        WebhooksError: it cannot be read, or something in it is wrong.
    """
    endpoints = parse_endpoints(_read(Path(file)), file)
    for endpoint in endpoints:
        load_secrets(endpoint)
        trusted(endpoint)
    return endpoints


def parse_endpoints(content: bytes, file: str) -> tuple[Endpoint, ...]:
    """Make sense of the file's bytes; secrets are not looked at.

    Raises:
        WebhooksError: something in it is wrong.
    """
    try:
        found = msgspec.toml.decode(content, type=EndpointFile)
    except msgspec.DecodeError as error:
        raise WebhooksError(f"{file}: {error}") from error
    names = [endpoint.name for endpoint in found.endpoints]
    if len(set(names)) < len(names):
        raise WebhooksError(f"{file}: two endpoints have the same name")
    for endpoint in found.endpoints:
        _check_url(endpoint, file)
    return found.endpoints


def load_secrets(endpoint: Endpoint) -> list[bytes]:
    """The secrets of an endpoint, newest first as they stand in its file.

    Raises:
        WebhooksError: the file cannot be read, or holds something else.
    """
    file = endpoint.secret_file
    lines = [line for line in _read(Path(file)).decode(errors="replace").split() if line]
    if not 1 <= len(lines) <= SECRETS_MAX:
        raise WebhooksError(f"{file}: {len(lines)} secrets; expected 1 to {SECRETS_MAX}, one a line")
    return [_secret_of(line, file) for line in lines]


def trusted(endpoint: Endpoint) -> ssl.SSLContext:
    """Whose certificates an endpoint may show.

    Raises:
        WebhooksError: `ca_file` cannot be read, or holds no certificates.
    """
    try:
        return ssl.create_default_context(cafile=endpoint.ca_file)
    except OSError as error:  # also what OpenSSL says
        raise WebhooksError(f"{endpoint.ca_file}: {error.strerror or error}") from error


def _secret_of(line: str, file: str) -> bytes:
    expected = f"{file}: a secret is {_SECRET_PREFIX} and the base64 of {_SECRET_BYTES[0]} to {_SECRET_BYTES[-1]} random bytes"
    try:
        secret = base64.b64decode(line.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise WebhooksError(expected) from None  # the cause may quote it
    if not line.startswith(_SECRET_PREFIX) or len(secret) not in _SECRET_BYTES:
        raise WebhooksError(expected)
    return secret


def _check_url(endpoint: Endpoint, file: str) -> None:
    where = f"{file}: endpoint {endpoint.name}: url"
    try:
        url = urlsplit(endpoint.url)
        host = url.hostname
    except ValueError as error:
        raise WebhooksError(f"{where}: {error}") from error
    if url.scheme not in ("https", "http") or not host:
        raise WebhooksError(f"{where}: expected https://host/path")
    if url.username is not None or url.password is not None:
        raise WebhooksError(f"{where}: holds credentials; the signature tells who sends")
    if url.scheme == "http" and host not in _LOCAL_HOSTS and not endpoint.allow_http:
        raise WebhooksError(f"{where}: is not https; allow_http = true sends alerts unencrypted all the same")


def _read(file: Path) -> bytes:
    try:
        return read_small(file, _FILE_BYTES_MAX)
    except OSError as error:
        raise WebhooksError(f"{file}: {error.strerror}") from error
