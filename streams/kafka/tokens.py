"""Tokens for OAUTHBEARER: out of a file that somebody else renews, or asked for (RFC 6749, client credentials) and kept."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
import urllib.error
import urllib.request
from functools import lru_cache
from http.client import HTTPException
from typing import Annotated, Final
from urllib.parse import quote, urlencode

import msgspec
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import AuthenticationFailedError
from kafka.errors import SaslAuthenticationFailedError
from kafka.net.sasl.oauth import AbstractTokenProvider as BlockingTokenProvider
from msgspec import Meta, Struct

from streams.credentials import CredentialsError, read_secret
from streams.settings import Settings

_ANSWER_SECONDS: Final = 5.0
"""A provider answers in some tenths of a second; a connection must not be kept waiting for longer than a broker waits."""
_ANSWER_BYTES_MAX: Final = 64 * 1024
_FRESH_SHARE: Final = 0.8
"""Of a token's life, in which it is given again: the rest is for clocks that differ and connections that take long."""
_LIFE_SECONDS_DEFAULT: Final = 300.0
"""Where the provider does not say (RFC 6749 only recommends it)."""
_AGAIN_AFTER_SECONDS: Final = 1.0
"""A provider that failed is not asked again before: all clients of a process ask at once when it is away."""


class TokenError(Exception):
    """There is no token; the message says why, and quotes neither token nor secret."""


class _Answer(Struct):
    """What the provider says (RFC 6749, section 5.1)."""

    access_token: Annotated[str, Meta(min_length=1)]
    expires_in: Annotated[float, Meta(gt=0)] = _LIFE_SECONDS_DEFAULT


class TokenFile:
    """The token as it is in the file right now."""

    def __init__(self, settings: Settings) -> None:
        """`settings` name the file."""
        self._settings = settings

    def token(self) -> str:
        """Read it.

        Raises:
            TokenError: the file cannot be read.
        """
        try:
            return read_secret(self._settings, "oauth_token_file").strip()
        except CredentialsError as error:
            raise TokenError(str(error)) from error


class TokenEndpoint:
    """Asks a provider for tokens, one for all clients of the process."""

    def __init__(self, settings: Settings) -> None:
        """`settings` name the provider, the client and its secret's file, which is read whenever it is asked."""
        self._settings = settings
        self._lock = threading.Lock()
        self._token: str | None = None
        self._fresh_until = 0.0
        self._failed: tuple[float, str] | None = None

    def token(self) -> str:
        """A token with a fifth of its life left at least. Blocks while it is asked for.

        Raises:
            TokenError: the provider does not give one.
        """
        with self._lock:
            now = time.monotonic()
            if self._token is not None and now < self._fresh_until:
                return self._token
            if self._failed is not None and now - self._failed[0] < _AGAIN_AFTER_SECONDS:
                raise TokenError(self._failed[1])
            try:
                answer = self._ask()
            except TokenError as error:
                self._failed = time.monotonic(), str(error)
                raise
            self._failed = None
            self._token = answer.access_token
            self._fresh_until = now + answer.expires_in * _FRESH_SHARE
            return self._token

    def _ask(self) -> _Answer:
        settings = self._settings
        assert settings.oauth_token_url is not None
        try:
            with urllib.request.urlopen(self._request(), timeout=_ANSWER_SECONDS) as response:  # noqa: S310 - see check_credentials
                content = response.read(_ANSWER_BYTES_MAX)
            return msgspec.json.decode(content, type=_Answer)
        except urllib.error.HTTPError as error:
            with error:
                why = f"HTTP {error.code} {error.reason}"
        except (OSError, HTTPException) as error:
            why = str(getattr(error, "reason", "") or error) or type(error).__name__
        except (msgspec.DecodeError, CredentialsError) as error:
            why = str(error)
        raise TokenError(
            f"no token for {settings.oauth_client_id} from {settings.oauth_token_url} (oauth_token_url): {why}"
        )

    def _request(self) -> urllib.request.Request:
        settings = self._settings
        assert settings.oauth_token_url is not None
        form = {"grant_type": "client_credentials"}
        if settings.oauth_scope is not None:
            form["scope"] = settings.oauth_scope
        who = quote(settings.oauth_client_id or "", safe="")
        secret = quote(read_secret(settings, "oauth_client_secret_file"), safe="")
        basic = base64.b64encode(f"{who}:{secret}".encode()).decode()
        return urllib.request.Request(  # noqa: S310 - https, or this machine: see check_credentials
            settings.oauth_token_url,
            urlencode(form).encode(),
            {"Authorization": f"Basic {basic}", "Accept": "application/json"},
        )


Tokens = TokenFile | TokenEndpoint


def tokens_of(settings: Settings) -> Tokens:
    """Where tokens come from; the same for all clients of a process that name the same place."""
    return _tokens_of(
        Settings(
            oauth_token_file=settings.oauth_token_file,
            oauth_token_url=settings.oauth_token_url,
            oauth_client_id=settings.oauth_client_id,
            oauth_client_secret_file=settings.oauth_client_secret_file,
            oauth_scope=settings.oauth_scope,
        )
    )


@lru_cache(maxsize=8)
def _tokens_of(settings: Settings) -> Tokens:
    return TokenFile(settings) if settings.oauth_token_file is not None else TokenEndpoint(settings)


class AsyncTokens(AbstractTokenProvider):  # type: ignore[misc] # the library has no type information
    """As aiokafka asks for them."""

    def __init__(self, tokens: Tokens) -> None:
        """Out of `tokens`."""
        self._tokens = tokens

    async def token(self) -> str:
        """A token, asked for in a thread.

        Raises:
            AuthenticationFailedError: there is none; the client takes it as a broker that is away.
        """
        try:
            return await asyncio.to_thread(self._tokens.token)
        except TokenError as error:
            raise AuthenticationFailedError(str(error)) from error


class BlockingTokens(BlockingTokenProvider):  # type: ignore[misc] # the library has no type information
    """As kafka-python asks for them."""

    def __init__(self, tokens: Tokens) -> None:
        """Out of `tokens`."""
        super().__init__()
        self._tokens = tokens

    def token(self) -> str:
        """A token.

        Raises:
            SaslAuthenticationFailedError: there is none.
        """
        try:
            return self._tokens.token()
        except TokenError as error:
            raise SaslAuthenticationFailedError(str(error)) from error
