"""From the settings to what each client takes: aiokafka, kafka-python, and Faust's credentials. Every client is made with it."""

from __future__ import annotations

import logging
from typing import Any, Final

from streams.credentials import read_secret, tls_context, uses_sasl, uses_tls
from streams.kafka.tokens import AsyncTokens, BlockingTokens, tokens_of
from streams.settings import Settings

_SAY_WHAT_THEY_SEND: Final = (
    "aiokafka.conn",
    "kafka.net.connection",
    "kafka.protocol.parser",
    "kafka.net.transport",
    "kafka.net.sasl.scram",
)
"""Loggers that tell every request on level DEBUG, those with passwords and tokens in them as well."""


def aiokafka_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments for a consumer, a producer, or a bare client of aiokafka.

    Raises:
        CredentialsError: a file has gone since the settings were read.
    """
    options = _common(settings)
    if settings.sasl_mechanism == "OAUTHBEARER":
        options["sasl_oauth_token_provider"] = AsyncTokens(tokens_of(settings))
    return options


def kafka_python_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments for a consumer or an admin client of kafka-python.

    Raises:
        CredentialsError: a file has gone since the settings were read.
    """
    options = _common(settings)
    if settings.sasl_mechanism == "OAUTHBEARER":
        options["sasl_oauth_token_provider"] = BlockingTokens(tokens_of(settings))
    return options


def faust_credentials(settings: Settings) -> Any:
    """Faust's own broker credentials; None where anybody may come.

    Raises:
        CredentialsError: a file has gone since the settings were read.
    """
    import faust  # takes a second: not for the command line

    options = aiokafka_options(settings)
    context = options.get("ssl_context")
    if not uses_sasl(settings):
        return None if context is None else faust.SSLCredentials(context)
    if settings.sasl_mechanism == "OAUTHBEARER":
        return faust.OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=context)
    return faust.SASLCredentials(
        username=options["sasl_plain_username"],
        password=options["sasl_plain_password"],
        ssl_context=context,
        mechanism=options["sasl_mechanism"],
    )


def _common(settings: Settings) -> dict[str, Any]:
    options: dict[str, Any] = {"security_protocol": settings.security_protocol}
    if uses_tls(settings):
        options["ssl_context"] = tls_context(settings)
    if uses_sasl(settings):
        for name in _SAY_WHAT_THEY_SEND:
            _at_least_info(logging.getLogger(name))
        options["sasl_mechanism"] = settings.sasl_mechanism
        if settings.sasl_mechanism != "OAUTHBEARER":
            options["sasl_plain_username"] = settings.sasl_username
            options["sasl_plain_password"] = read_secret(settings, "sasl_password_file")
    return options


def _at_least_info(talkative: logging.Logger) -> None:
    """A filter, for a level would be overruled by whoever sets one afterwards."""
    if _no_details not in talkative.filters:
        talkative.addFilter(_no_details)


def _no_details(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG
