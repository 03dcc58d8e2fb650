"""The file of endpoints: what is taken, and what is refused with the reason and without a secret."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from click.testing import CliRunner

from streams.cli import main
from streams.settings import Settings
from streams.webhooks.endpoints import ENDPOINTS_MAX, WebhooksError, load_endpoints, load_secrets
from streams.worker import run
from tests.support.receivers import SECRET

SHORT = "whsec_" + base64.b64encode(b"s" * 23).decode()
LONG = "whsec_" + base64.b64encode(b"l" * 65).decode()


def write(folder: Path, *lines: str, name: str = "desk", url: str = "https://desk.example/hook") -> str:
    """A file with one endpoint, and further lines of it."""
    (folder / "secret").write_text(f"{SECRET}\n")
    text = f'[[endpoints]]\nname = "{name}"\nurl = "{url}"\nsecret_file = "{folder / "secret"}"\n'
    file = folder / "webhooks.toml"
    file.write_text(text + "\n".join(lines) + "\n")
    return str(file)


def refusal(file: str) -> str:
    """Why a file is refused."""
    with pytest.raises(WebhooksError) as told:
        load_endpoints(file)
    return str(told.value)


def test_an_endpoint_that_says_little_hears_of_everything(tmp_path: Path) -> None:
    """Name, address and secret are enough."""
    (endpoint,) = load_endpoints(write(tmp_path))

    assert (endpoint.name, endpoint.url) == ("desk", "https://desk.example/hook")
    assert (endpoint.signals, endpoint.severity_min, endpoint.statuses, endpoint.actionable_only) == (
        (),
        "watch",
        (),
        False,
    )
    assert load_secrets(endpoint) == [base64.b64decode(SECRET.removeprefix("whsec_"))]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('severity = "warning"', "severity"),
        ('severity_min = "bad"', "severity_min"),
        ('signals = ["missed"]', "signals"),
        ("attempts_max = 0", "attempts_max"),
        ("attempts_max = 21", "attempts_max"),
        ("timeout_seconds = 0", "timeout_seconds"),
        ("timeout_seconds = 61", "timeout_seconds"),
        ("pending_max = 10001", "pending_max"),
        ("retry_max_seconds = 3601", "retry_max_seconds"),
        ("parallel = 65", "parallel"),
        ("[other]", "other"),
        ("= 3", "line"),
    ],
)
def test_what_does_not_fit_is_named(line: str, told: str, tmp_path: Path) -> None:
    """File and key, before anything is sent."""
    file = write(tmp_path, line)
    message = refusal(file)

    assert message.startswith(f"{file}: ")
    assert told in message


@pytest.mark.parametrize("name", ["", "Desk", "-desk", "de_sk", "x" * 41])
def test_a_name_is_one_that_groups_and_figures_can_have(name: str, tmp_path: Path) -> None:
    """Small letters, digits and hyphens, at most forty."""
    assert "name" in refusal(write(tmp_path, name=name))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://desk.example/hook", "allow_http"),
        ("ftp://desk.example/hook", "https://host/path"),
        ("https:///hook", "https://host/path"),
        ("desk.example", "https://host/path"),
        ("https://[::1/hook", "url"),
        ("https://user:word@desk.example/hook", "credentials"),
        ("https://user@desk.example/hook", "credentials"),
    ],
)
def test_an_address_that_would_tell_others_is_refused(url: str, told: str, tmp_path: Path) -> None:
    """Unencrypted to another machine, or with a password in it, which would be in every log."""
    message = refusal(write(tmp_path, url=url))

    assert told in message
    assert "word" not in message


def test_http_is_for_this_machine_or_for_who_says_so(tmp_path: Path) -> None:
    """Localhost by any name, and others with `allow_http`."""
    for host in ("localhost", "127.0.0.1", "[::1]"):
        assert load_endpoints(write(tmp_path, url=f"http://{host}:8080/hook"))
    assert load_endpoints(write(tmp_path, "allow_http = true", url="http://desk.internal/hook"))


@pytest.mark.parametrize(
    "content", ["", "\n", "secret", "whsec_", SHORT, LONG, SECRET[6:], "whsec_***", f"{SECRET}\n" * 4, "\xff"]
)
def test_a_secret_that_is_none_is_refused_and_not_told(content: str, tmp_path: Path) -> None:
    """Too short, too long, no base64, without its prefix, too many."""
    file = write(tmp_path)
    (tmp_path / "secret").write_text(content)
    message = refusal(file)

    assert str(tmp_path / "secret") in message
    for secret in (SECRET[6:], SHORT[6:], LONG[6:], "***"):
        assert secret not in message


def test_old_and_new_keys_sign_together(tmp_path: Path) -> None:
    """One a line, while the receiver changes over."""
    (endpoint,) = load_endpoints(write(tmp_path))
    new = "whsec_" + base64.b64encode(b"n" * 32).decode()
    (tmp_path / "secret").write_text(f"{new}\n{SECRET}\n")

    assert load_secrets(endpoint)[0] == b"n" * 32
    assert len(load_secrets(endpoint)) == 2


def test_files_that_are_missing_or_too_many_endpoints_are_refused(tmp_path: Path) -> None:
    """The file itself, its secret, two of one name, none at all, and one more than there may be."""
    assert refusal(str(tmp_path / "nowhere.toml")).endswith("nowhere.toml: No such file or directory")
    file = write(tmp_path)
    (tmp_path / "secret").unlink()
    assert refusal(file).endswith("secret: No such file or directory")
    text = Path(write(tmp_path)).read_text()
    Path(file).write_text(text * 2)
    assert refusal(file).endswith("two endpoints have the same name")
    Path(file).write_text("endpoints = []")
    assert "endpoints" in refusal(file)
    named = [text.replace('"desk"', f'"desk-{number}"') for number in range(ENDPOINTS_MAX + 1)]
    Path(file).write_text("".join(named))
    assert "endpoints" in refusal(file)


def test_certificates_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    """A file that is missing, and one that holds something else."""
    assert refusal(write(tmp_path, 'ca_file = "nowhere.pem"')) == "nowhere.pem: No such file or directory"
    (tmp_path / "no.pem").write_text("no certificate")
    assert f"{tmp_path}/no.pem: " in refusal(write(tmp_path, f'ca_file = "{tmp_path}/no.pem"'))


def test_resending_needs_the_file_and_an_endpoint_in_it(tmp_path: Path) -> None:
    """Told before a broker is looked for."""
    runner = CliRunner(env={"FOREWARN_WEBHOOKS_FILE": None})
    without = runner.invoke(main, ["webhooks", "resend", "desk"])
    other = runner.invoke(main, ["webhooks", "resend", "other", "--webhooks-file", write(tmp_path)])

    assert (without.exit_code, other.exit_code) == (2, 2)
    assert "FOREWARN_WEBHOOKS_FILE" in without.output
    assert "there are: desk" in other.output


def test_a_worker_with_a_wrong_file_does_not_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1 and the reason, before a broker is even looked for."""
    file = write(tmp_path, 'severity = "warning"')

    assert run(Settings(broker="127.0.0.1:1", webhooks_file=file)) == 1
    assert f"forewarn worker: {file}: " in capsys.readouterr().err
