"""Who we are to Kafka: what the settings must say together, and secrets out of their files.

A secret is read where a client is made, and kept by that client alone: settings hold names of files, so that they can be
printed, logged and compared.
"""

from __future__ import annotations

import logging
import ssl
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from streams.small_files import read_small

if TYPE_CHECKING:
    from streams.settings import Settings

logger = logging.getLogger(__name__)

SECRETS: Final = {
    "sasl_password": "sasl_password_file",
    "tls_key_password": "tls_key_password_file",
    "oauth_token": "oauth_token_file",
    "oauth_client_secret": "oauth_client_secret_file",
}
"""What somebody may try to put into a variable (`FOREWARN_SASL_PASSWORD`), and the setting that names its file."""

_SECRET_BYTES_MAX: Final = 64 * 1024
"""Tokens with many claims have some kilobytes; more is the wrong file."""
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_OF_PASSWORDS: Final = ("sasl_username", "sasl_password_file")
_OF_TOKEN_FILES: Final = ("oauth_token_file",)
_OF_TOKEN_URLS: Final = ("oauth_token_url", "oauth_client_id", "oauth_client_secret_file")
_OF_OWN_CERTIFICATES: Final = ("tls_key_file", "tls_key_password_file")


class CredentialsError(ValueError):
    """What is missing, contradicts, or cannot be read: the message begins with the setting's name and never quotes a secret."""


def uses_tls(settings: Settings) -> bool:
    """Whether connections are encrypted, and brokers prove who they are."""
    return settings.security_protocol in {"SSL", "SASL_SSL"}


def uses_sasl(settings: Settings) -> bool:
    """Whether we say who we are by SASL."""
    return settings.security_protocol.startswith("SASL_")


def identity(settings: Settings) -> str:
    """Who we say we are, for messages."""
    match settings.sasl_mechanism if uses_sasl(settings) else None:
        case None if uses_tls(settings) and settings.tls_certificate_file:
            return f"the certificate in {settings.tls_certificate_file}"
        case None:
            return "nobody in particular"
        case "OAUTHBEARER":
            return f"the token from {settings.oauth_token_file or settings.oauth_token_url} (OAUTHBEARER)"
        case mechanism:
            return f"user {settings.sasl_username} ({mechanism})"


def check_credentials(settings: Settings) -> None:
    """Make sure that the settings say one thing, whole, and that every file they name can be read.

    Raises:
        CredentialsError: they do not.
    """
    _check_sasl(settings)
    _check_tls(settings)
    for name in set(SECRETS.values()):
        if getattr(settings, name) is not None:
            read_secret(settings, name)
    for name in ("tls_ca_file", "tls_certificate_file", "tls_key_file"):
        file = getattr(settings, name)
        if file is not None:
            _require_file(name, Path(file), is_secret=name == "tls_key_file")
    if uses_tls(settings):
        tls_context(settings)


def tls_context(settings: Settings) -> ssl.SSLContext:
    """What TLS is spoken with: TLS 1.2 or newer, brokers' certificates and host names checked, ours shown where there is one.

    Raises:
        CredentialsError: a file holds no certificate, or key and certificate do not belong together.
    """
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca_file)
    except (OSError, ValueError) as error:
        raise CredentialsError(f"tls_ca_file: {settings.tls_ca_file}: {_why(error)}") from error
    if settings.tls_certificate_file is not None:
        # Without any password OpenSSL would ask for one on the terminal, and wait.
        password = (
            "" if settings.tls_key_password_file is None else read_secret(settings, "tls_key_password_file")
        )
        try:
            context.load_cert_chain(settings.tls_certificate_file, settings.tls_key_file, password)
        except (OSError, ValueError) as error:
            where = " with ".join(filter(None, (settings.tls_certificate_file, settings.tls_key_file)))
            raise CredentialsError(f"tls_certificate_file: {where}: {_why(error)}") from error
    return context


def _why(error: Exception) -> str:
    """OpenSSL's own word, without its source lines."""
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else str(error)


def read_secret(settings: Settings, name: str) -> str:
    """The secret in the file that a setting names, without the line break that editors put behind it.

    Raises:
        CredentialsError: the file cannot be read, is large or empty, or everybody may write to it.
    """
    file = Path(getattr(settings, name))
    _require_file(name, file, is_secret=True)
    try:
        secret = read_small(file, _SECRET_BYTES_MAX).decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise CredentialsError(f"{name}: {file}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise CredentialsError(f"{name}: {file} is not UTF-8") from None
    if not secret:
        raise CredentialsError(f"{name}: {file} is empty")
    return secret


_told_of: Final[set[Path]] = set()
"""Files that everybody may read, told of once in a process."""


def _require_file(name: str, file: Path, *, is_secret: bool) -> None:
    try:
        with file.open("rb"):
            mode = file.stat().st_mode
    except OSError as error:
        raise CredentialsError(f"{name}: {file}: {error.strerror}") from error
    if is_secret and mode & stat.S_IWOTH:
        raise CredentialsError(f"{name}: everybody may write to {file}; chmod it to 0600 or 0440")
    # Not refused: a container's secrets are often mounted this way, where nobody else is.
    if is_secret and mode & stat.S_IROTH and file not in _told_of:
        _told_of.add(file)
        logger.warning("%s: everybody on this machine may read %s; 0600 or 0440 is enough", name, file)


def _check_sasl(settings: Settings) -> None:
    mechanism = settings.sasl_mechanism
    if not uses_sasl(settings):
        _refuse(
            settings,
            ("sasl_mechanism", *_OF_PASSWORDS, *_OF_TOKEN_FILES, *_OF_TOKEN_URLS, "oauth_scope"),
            f"is not used with security_protocol {settings.security_protocol}; set SASL_SSL",
        )
        return
    if mechanism is None:
        raise CredentialsError(f"sasl_mechanism: missing; {settings.security_protocol} needs it")
    if settings.security_protocol == "SASL_PLAINTEXT" and not mechanism.startswith("SCRAM"):
        raise CredentialsError(
            f"sasl_mechanism: {mechanism} would show the secret to the network; use SASL_SSL, or SCRAM"
        )
    if mechanism == "OAUTHBEARER":
        _refuse(settings, _OF_PASSWORDS, "is not used with OAUTHBEARER")
        _check_oauth(settings)
    else:
        _refuse(settings, (*_OF_TOKEN_FILES, *_OF_TOKEN_URLS, "oauth_scope"), f"is not used with {mechanism}")
        _require(settings, _OF_PASSWORDS, mechanism)


def _check_oauth(settings: Settings) -> None:
    if settings.oauth_token_file is not None:
        _refuse(settings, (*_OF_TOKEN_URLS, "oauth_scope"), "is not used beside oauth_token_file")
        return
    if settings.oauth_token_url is None:
        raise CredentialsError("oauth_token_file or oauth_token_url: missing; OAUTHBEARER needs one of them")
    _require(settings, _OF_TOKEN_URLS, "oauth_token_url")
    url = urlsplit(settings.oauth_token_url)
    if url.scheme != "https" and not (url.scheme == "http" and url.hostname in _LOOPBACK):
        raise CredentialsError(
            "oauth_token_url: the secret travels there: https, or http on this machine only"
        )


def _check_tls(settings: Settings) -> None:
    if not uses_tls(settings):
        _refuse(
            settings,
            ("tls_ca_file", "tls_certificate_file", *_OF_OWN_CERTIFICATES),
            f"is not used with security_protocol {settings.security_protocol}; set SSL or SASL_SSL",
        )
    if settings.tls_certificate_file is None:
        _refuse(settings, _OF_OWN_CERTIFICATES, "needs tls_certificate_file")


def _refuse(settings: Settings, names: tuple[str, ...], why: str) -> None:
    for name in names:
        if getattr(settings, name) is not None:
            raise CredentialsError(f"{name}: {why}")


def _require(settings: Settings, names: tuple[str, ...], by: str) -> None:
    missing = [name for name in names if getattr(settings, name) is None]
    if missing:
        raise CredentialsError(f"{' and '.join(missing)}: missing; {by} needs it")
