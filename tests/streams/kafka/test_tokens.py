"""Tokens: out of a file as it is now, or from a provider, asked once for all and again before they run out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka.errors import AuthenticationFailedError
from kafka.errors import SaslAuthenticationFailedError

from streams.kafka.tokens import AsyncTokens, BlockingTokens, TokenEndpoint, TokenError, TokenFile, tokens_of
from streams.settings import Settings
from tests.support.token_provider import token_provider

SECRET = "a secret: with / signs"


def secret_file(folder: Path, content: str) -> str:
    """For its owner alone."""
    file = folder / "secret"
    file.touch(mode=0o600)
    file.write_text(content)
    return str(file)


def asking(url: str, folder: Path, secret: str = SECRET, scope: str | None = None) -> Settings:
    """Settings of one who asks a provider."""
    return Settings(
        oauth_token_url=url,
        oauth_client_id="fore warn",
        oauth_client_secret_file=secret_file(folder, secret),
        oauth_scope=scope,
    )


def test_a_token_file_is_read_anew_each_time(tmp_path: Path) -> None:
    """Somebody else renews it."""
    file = secret_file(tmp_path, "first\n")
    tokens = TokenFile(Settings(oauth_token_file=file))

    assert tokens.token() == "first"
    Path(file).write_text("second\n")
    assert tokens.token() == "second"
    Path(file).unlink()
    with pytest.raises(TokenError, match="oauth_token_file"):
        tokens.token()


def test_a_token_lasts_for_all_clients_until_most_of_its_life_has_passed(tmp_path: Path) -> None:
    """Asked for with the client's name and secret, as RFC 6749 has them written; one that ends at once is asked for anew."""
    for life, asked in ((3600, 1), (1e-9, 2)):
        with token_provider(lambda who: f"for {who}", expires_in=life) as provider:
            provider.clients["fore%20warn"] = SECRET
            tokens = TokenEndpoint(asking(provider.url, tmp_path, scope="kafka.write"))

            assert [tokens.token(), tokens.token()] == ["for fore%20warn"] * 2
            assert (
                provider.forms == [{"grant_type": ["client_credentials"], "scope": ["kafka.write"]}] * asked
            )


def test_a_refusal_is_told_without_the_secret_and_not_asked_for_again_at_once(tmp_path: Path) -> None:
    """However many clients ask meanwhile."""
    with token_provider(lambda who: who) as provider:
        tokens = TokenEndpoint(asking(provider.url, tmp_path, secret="guessed"))
        for _ in range(5):
            with pytest.raises(TokenError, match="HTTP 401") as refused:
                tokens.token()
            assert "guessed" not in str(refused.value)

        assert len(provider.forms) == 1


@pytest.mark.parametrize("answer", ["", 5])
def test_an_answer_that_holds_no_token_is_told(tmp_path: Path, answer: object) -> None:
    """A provider behind a proxy that answers for it, say."""
    with token_provider(lambda _: answer) as provider:
        provider.clients["fore%20warn"] = SECRET
        with pytest.raises(TokenError, match="access_token"):
            TokenEndpoint(asking(provider.url, tmp_path)).token()


def test_a_provider_that_is_away_is_told(tmp_path: Path) -> None:
    """With where it was looked for."""
    with pytest.raises(TokenError, match=r"localhost:1/token \(oauth_token_url\): .*refused"):
        TokenEndpoint(asking("http://localhost:1/token", tmp_path)).token()


def test_each_client_library_hears_of_it_in_its_own_way(tmp_path: Path) -> None:
    """As an error of its own, so that it takes the broker for away and not for broken."""
    tokens = tokens_of(asking("http://localhost:1/token", tmp_path))

    with pytest.raises(AuthenticationFailedError, match="no token"):
        asyncio.run(AsyncTokens(tokens).token())
    with pytest.raises(SaslAuthenticationFailedError, match="no token"):
        BlockingTokens(tokens).token()


def test_clients_of_one_process_share_their_tokens(tmp_path: Path) -> None:
    """Whatever else their settings say."""
    file = secret_file(tmp_path, "t")

    assert tokens_of(Settings(oauth_token_file=file, group_id="one")) is tokens_of(
        Settings(oauth_token_file=file, group_id="two")
    )
