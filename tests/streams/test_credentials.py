"""What settings must say together about who we are, and how secrets are read: from files alone, told to nobody."""

from __future__ import annotations

import ast
import logging
from pathlib import Path

import pytest
import trustme

from streams import credentials
from streams.credentials import SECRETS, identity, read_secret, tls_context
from streams.kafka.security import aiokafka_options, faust_credentials, kafka_python_options
from streams.settings import Settings, SettingsError, load_settings

SECRET = "s3cret-nobody-may-see"


@pytest.fixture
def secret(tmp_path: Path) -> str:
    """A file with a secret, for its owner alone."""
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_text(f"{SECRET}\n")
    return str(file)


def scram(secret: str, **changes: str) -> dict[str, str]:
    """Settings that are whole."""
    return {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": "worker",
        "sasl_password_file": secret,
    } | changes


WRONG = {
    "no mechanism": ({"security_protocol": "SASL_SSL"}, "setting sasl_mechanism: missing; SASL_SSL needs it"),
    "a mechanism without SASL": (
        {"sasl_mechanism": "PLAIN"},
        "setting sasl_mechanism: is not used with security_protocol PLAINTEXT; set SASL_SSL",
    ),
    "no password": (
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-256", "sasl_username": "w"},
        "setting sasl_password_file: missing; SCRAM-SHA-256 needs it",
    ),
    "neither user nor password": (
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"},
        "setting sasl_username and sasl_password_file: missing; PLAIN needs it",
    ),
    "a password in the clear": (
        {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"},
        "setting sasl_mechanism: PLAIN would show the secret to the network; use SASL_SSL, or SCRAM",
    ),
    "a token in the clear": (
        {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "OAUTHBEARER"},
        "setting sasl_mechanism: OAUTHBEARER would show the secret",
    ),
    "no token": (
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"},
        "setting oauth_token_file or oauth_token_url: missing; OAUTHBEARER needs one of them",
    ),
    "a provider and nobody to ask it": (
        {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "OAUTHBEARER",
            "oauth_token_url": "https://id.example/token",
        },
        "setting oauth_client_id and oauth_client_secret_file: missing; oauth_token_url needs it",
    ),
    "a certificate without TLS": (
        {"tls_ca_file": "ca.pem"},
        "setting tls_ca_file: is not used with security_protocol PLAINTEXT; set SSL or SASL_SSL",
    ),
    "a key without a certificate": (
        {"security_protocol": "SSL", "tls_key_file": "key.pem"},
        "setting tls_key_file: needs tls_certificate_file",
    ),
    "a file that is not there": (
        {"security_protocol": "SSL", "tls_ca_file": "nowhere.pem"},
        "setting tls_ca_file: nowhere.pem: No such file or directory",
    ),
    "a word that Kafka does not know": ({"security_protocol": "TLS"}, "setting security_protocol: "),
}


@pytest.mark.parametrize("what", WRONG)
def test_settings_that_are_not_whole_name_what_is_missing(what: str) -> None:
    """Nothing starts with half of its credentials."""
    given, said = WRONG[what]
    with pytest.raises(SettingsError) as refused:
        load_settings({}, given)

    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"oauth_token_file": "x"}, "setting oauth_token_file: is not used with SCRAM-SHA-512"),
        ({"sasl_mechanism": "OAUTHBEARER"}, "setting sasl_username: is not used with OAUTHBEARER"),
        ({"tls_key_password_file": "x"}, "setting tls_key_password_file: needs tls_certificate_file"),
    ],
)
def test_what_is_not_used_is_refused(secret: str, changes: dict[str, str], said: str) -> None:
    """A setting that does nothing is a mistake about what holds."""
    with pytest.raises(SettingsError) as refused:
        load_settings({}, scram(secret, **changes))

    assert str(refused.value).startswith(said)


def test_a_secret_travels_to_a_provider_by_https_only(secret: str) -> None:
    """Or within the machine."""
    asked = {"oauth_client_id": "w", "oauth_client_secret_file": secret}
    bearer = {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"} | asked

    with pytest.raises(SettingsError, match="https"):
        load_settings({}, bearer | {"oauth_token_url": "http://id.example/token"})
    for url in ("https://id.example/token", "http://127.0.0.1:8080/token"):
        assert load_settings({}, bearer | {"oauth_token_url": url}).oauth_token_url == url


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_in_a_variable_is_refused(name: str, secret: str) -> None:
    """Not silently left alone: whoever set it believes that it is used. The message does not repeat it."""
    with pytest.raises(SettingsError, match=f"set {SECRETS[name]}") as refused:
        load_settings({f"FOREWARN_{name.upper()}": SECRET}, scram(secret))

    assert SECRET not in str(refused.value)


def test_no_secret_is_in_the_settings(secret: str) -> None:
    """Printed, logged or in a traceback they show names of files."""
    settings = load_settings({}, scram(secret))

    assert SECRET not in repr(settings)
    assert read_secret(settings, "sasl_password_file") == SECRET


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"x" * 70_000, "larger than 65536 bytes"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """An empty file is what a mount that failed leaves."""
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_bytes(content)

    with pytest.raises(SettingsError, match=said):
        load_settings({}, scram(str(file)))


def test_a_secret_that_everybody_may_write_is_refused_and_one_to_be_read_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once in a process; spaces belong to the secret, the last line break does not."""
    file = tmp_path / "secret"
    file.write_text(" p w \r\n")
    file.chmod(0o604)
    with caplog.at_level(logging.WARNING):
        settings = load_settings({}, scram(str(file)))
        assert read_secret(settings, "sasl_password_file") == " p w "
    assert [record.getMessage() for record in caplog.records] == [
        f"sasl_password_file: everybody on this machine may read {file}; 0600 or 0440 is enough"
    ]

    file.chmod(0o602)
    with pytest.raises(SettingsError, match="everybody may write"):
        load_settings({}, scram(str(file)))


def test_each_client_is_told_the_same_in_its_own_words(secret: str) -> None:
    """Aiokafka and kafka-python take keywords, Faust takes credentials."""
    settings = load_settings({}, scram(secret))
    for options in (aiokafka_options(settings), kafka_python_options(settings)):
        context = options.pop("ssl_context")
        assert context.check_hostname
        assert options == {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": "worker",
            "sasl_plain_password": SECRET,
        }
    credentials = faust_credentials(settings)
    assert credentials.protocol.value == "SASL_SSL"
    assert (credentials.mechanism.value, credentials.username) == ("SCRAM-SHA-512", "worker")
    assert SECRET not in repr(credentials)

    assert faust_credentials(Settings()) is None
    assert aiokafka_options(Settings()) == {"security_protocol": "PLAINTEXT"}
    assert faust_credentials(load_settings({}, {"security_protocol": "SSL"})).protocol.value == "SSL"


def test_passwords_are_not_logged_even_where_everything_is(
    secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    """On level DEBUG the clients tell each request, those with a password in them as well: that much is kept back."""
    aiokafka_options(load_settings({}, scram(secret)))
    with caplog.at_level(logging.DEBUG):
        for name in ("aiokafka.conn", "kafka.net.connection", "kafka.protocol.parser"):
            logging.getLogger(name).debug("Request: %s", SECRET)
            logging.getLogger(name).warning("still told")

    assert SECRET not in caplog.text
    assert caplog.text.count("still told") == 3


def test_a_certificate_and_a_key_that_do_not_belong_together_are_named(tmp_path: Path) -> None:
    """Found when the settings are read, and not in the middle of a start."""
    authority = trustme.CA()
    one, other = authority.issue_cert("a"), authority.issue_cert("b")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    one.cert_chain_pems[0].write_to_path(certificate)
    other.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    given = {"security_protocol": "SSL", "tls_certificate_file": str(certificate), "tls_key_file": str(key)}

    with pytest.raises(SettingsError, match=r"tls_certificate_file: .* key values mismatch"):
        load_settings({}, given)
    one.private_key_pem.write_to_path(key)
    assert tls_context(load_settings({}, given)).check_hostname
    certificate.write_text("no certificate")
    with pytest.raises(SettingsError, match="tls_certificate_file"):
        load_settings({}, given)
    with pytest.raises(SettingsError, match="tls_ca_file"):
        load_settings({}, {"security_protocol": "SSL", "tls_ca_file": str(certificate)})


def test_who_we_are_can_be_said_without_a_secret(secret: str) -> None:
    """For messages."""
    assert identity(load_settings({}, scram(secret))) == "user worker (SCRAM-SHA-512)"
    assert identity(Settings()) == "nobody in particular"
    assert "(OAUTHBEARER)" in identity(
        Settings(security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", oauth_token_file="t")
    )
    assert (
        identity(Settings(security_protocol="SSL", tls_certificate_file="c.pem"))
        == "the certificate in c.pem"
    )


CLIENTS = {
    "AIOKafkaClient",
    "AIOKafkaConsumer",
    "AIOKafkaProducer",
    "AIOKafkaAdminClient",
    "KafkaAdminClient",
    "KafkaConsumer",
    "KafkaProducer",
}


def made_with(call: ast.Call) -> set[str]:
    """The functions whose results are spread into a call's keywords."""
    spread = [keyword.value for keyword in call.keywords if keyword.arg is None]
    return {one.func.id for one in spread if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)}


def name_of(node: ast.expr) -> str:
    """Of a function that is called, or handed over to be called."""
    return str(getattr(node, "id", getattr(node, "attr", "")))


def test_every_client_in_the_process_is_made_with_the_credentials() -> None:
    """One that is forgotten would connect in the clear, or not at all, and only where Kafka is secured."""
    options = {"aiokafka_options", "kafka_python_options"}
    streams = Path(credentials.__file__).parent
    made = [
        (file.name, call.lineno, bool(made_with(call) & options))
        for file in sorted(streams.rglob("*.py"))
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and {name_of(one) for one in (call.func, *call.args)} & CLIENTS
    ]

    assert len(made) >= 9
    assert [(name, line) for name, line, secured in made if not secured] == []
