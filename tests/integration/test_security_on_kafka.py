"""A real broker with TLS, passwords, certificates, tokens and ACLs: who may come in, who may do what, and how a refusal ends."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from click.testing import CliRunner, Result

from models.alerts import Alert
from streams.acls import Grant, Operation, grants
from streams.cli import main
from streams.clock import SystemClock
from streams.kafka import admin
from streams.kafka.ports import KafkaPorts
from streams.kafka.writing import RecordWriter, Written
from streams.metrics import PlainMetrics
from streams.pipeline import Pipeline, PipelineError
from streams.ports import EngineMaker, Logs, OutputRecord, PortError
from streams.settings import Settings
from streams.topics import TopicNames
from streams.trainer import trainer_inputs, trainer_settings
from tests.support.fake_engine import FakeEngineMaker
from tests.support.gate import counting_gate
from tests.support.kafka import unique
from tests.support.processes import wait_until
from tests.support.secured_kafka import SecuredKafka, secured_kafka
from tests.support.token_provider import token_provider
from tests.support.workload import alerts_of, closing, events, heartbeat_bytes
from tests.support.world import assigned, no_handover, produce, read_kafka, settings_for

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0
PARTITIONS = 2
DEFAULTS = Settings()
SHORT = {
    "offsets_timeout_ms": 4_000,
    "send_timeout_ms": 4_000,
    "commit_timeout_ms": 4_000,
    "offsets_query_timeout_ms": 4_000,
}
"""So that a client which asks for ever is given up soon; a denial is told before."""


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """One broker for all tests here."""
    with secured_kafka(tmp_path_factory.mktemp("papers")) as running:
        yield running


class House(NamedTuple):
    """An installation on the secured broker: what its super-user says, and what a user of it says."""

    plain: Settings
    own: Settings
    """Of a worker who is allowed what the table says."""
    user: str

    def as_user(self, user: dict[str, str]) -> Settings:
        """The same installation, as somebody else."""
        return msgspec.structs.replace(self.plain, **user)


def new_house(kafka: SecuredKafka) -> House:
    """Topics of its own, and a worker's user with exactly the worker's grants."""
    plain = settings_for("secured", kafka.plain, partitions=PARTITIONS, **SHORT)
    user = unique("worker")
    admin.apply(kafka.plain, plain)
    kafka.grant(user, grants(plain, ["worker"]))
    return House(plain, msgspec.structs.replace(plain, **kafka.add_user(user)), user)


@pytest.fixture
def house(kafka: SecuredKafka) -> House:
    """For a test that changes what is there."""
    return new_house(kafka)


@pytest.fixture(scope="module")
def calm(kafka: SecuredKafka) -> House:
    """For tests that change nothing."""
    return new_house(kafka)


def environment_of(settings: Settings) -> dict[str, str]:
    """The settings as variables, those that are not the default."""
    return {
        f"FOREWARN_{field.upper()}": str(value)
        for field in settings.__struct_fields__
        if (value := getattr(settings, field)) != getattr(DEFAULTS, field)
    }


def run(settings: Settings, *arguments: str) -> Result:
    """A command in this process."""
    return CliRunner(env=environment_of(settings)).invoke(main, arguments)


def run_worker(settings: Settings) -> subprocess.CompletedProcess[str]:
    """A worker as a process of its own, until it ends."""
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", "worker", "--log-level", "WARNING"],
        cwd=ROOT,
        env=os.environ | environment_of(settings) | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_SECONDS,
        check=False,
    )


# ---- who comes in ------------------------------------------------------------------------------------------------


@contextmanager
def by_password(kafka: SecuredKafka, name: str, mechanism: str) -> Iterator[dict[str, str]]:
    yield kafka.add_user(name) | {"sasl_mechanism": mechanism}


@contextmanager
def by_certificate(kafka: SecuredKafka, name: str, mechanism: str) -> Iterator[dict[str, str]]:
    yield {
        "broker": kafka.mutual,
        "security_protocol": "SSL",
        "tls_ca_file": str(kafka.papers.ca),
        "tls_certificate_file": str(kafka.papers.certificate(name, password="key's own")),
        "tls_key_password_file": str(kafka.papers.secret(f"{name}.key-password", "key's own\n")),
    }


def bearer(kafka: SecuredKafka, **of_token: str) -> dict[str, str]:
    return {
        "broker": kafka.secure,
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "OAUTHBEARER",
        "tls_ca_file": str(kafka.papers.ca),
        **of_token,
    }


@contextmanager
def by_token_file(kafka: SecuredKafka, name: str, mechanism: str) -> Iterator[dict[str, str]]:
    file = kafka.papers.secret(f"{name}.token", kafka.papers.token(name))
    yield bearer(kafka, oauth_token_file=str(file))


@contextmanager
def by_token_provider(kafka: SecuredKafka, name: str, mechanism: str) -> Iterator[dict[str, str]]:
    with token_provider({name: "its secret"}, lambda who: kafka.papers.token(who, seconds=60)) as provider:
        secret = kafka.papers.secret(f"{name}.client-secret", "its secret")
        yield bearer(
            kafka,
            oauth_token_url=provider.url,
            oauth_client_id=name,
            oauth_client_secret_file=str(secret),
        )
        assert provider.asked == 1, "one token serves all clients of a process"


WAYS_IN = {
    "SCRAM-SHA-512": by_password,
    "SCRAM-SHA-256": by_password,
    "certificate": by_certificate,
    "token file": by_token_file,
    "token provider": by_token_provider,
}


@pytest.mark.parametrize("way", WAYS_IN)
def test_every_client_comes_in_by_every_way(kafka: SecuredKafka, calm: House, way: str) -> None:
    """kafka-python's admin and consumer, aiokafka's consumer and producer, with what operator and administrator may do."""
    name, topic = unique("operator"), TopicNames(calm.plain.topic_prefix).inputs[0]
    kafka.grant(name, grants(calm.plain, ["operator", "administrator"]))
    with WAYS_IN[way](kafka, name, way) as user:
        settings = calm.as_user(user)
        for arguments in (["topics", "apply"], ["topics", "check"], ["lag"], ["policy", "history"]):
            done = run(settings, *arguments)
            assert done.exit_code == 0, done.output
        before = len(asyncio.run(read_kafka(settings, topic))[0])
        asyncio.run(write_heartbeat(settings, topic))
        assert len(asyncio.run(read_kafka(settings, topic))[0]) == before + 1


async def write_heartbeat(settings: Settings, topic: str) -> None:
    """One record by the command line's producer."""
    async with RecordWriter(settings, SystemClock()) as writer:
        await writer.write([Written(topic, 0, OutputRecord(None, heartbeat_bytes(1)))])


# ---- who does not ------------------------------------------------------------------------------------------------


class Refusal(NamedTuple):
    """What is wrong with otherwise right credentials, and what must be said of it."""

    changes: Callable[[SecuredKafka], dict[str, str | None]]
    said: str


def strange(kafka: SecuredKafka) -> dict[str, str | None]:
    with by_certificate(kafka, "somebody", "") as own:
        certificate = kafka.papers.certificate("somebody", strange=True)
        return {**own, "sasl_mechanism": None, "sasl_username": None, "sasl_password_file": None} | {
            "tls_certificate_file": str(certificate),
            "tls_key_password_file": None,
        }


def nameless(kafka: SecuredKafka) -> dict[str, str | None]:
    return strange(kafka) | {"tls_certificate_file": None}


def bad_token(kafka: SecuredKafka, **wrong: Any) -> dict[str, str | None]:
    file = kafka.papers.secret("bad.token", kafka.papers.token("somebody", **wrong))
    return {"sasl_username": None, "sasl_password_file": None, **bearer(kafka, oauth_token_file=str(file))}


def refused_by_provider(kafka: SecuredKafka) -> dict[str, str | None]:
    secret = kafka.papers.secret("wrong.client-secret", "guessed")
    with token_provider({"me": "known"}, lambda who: "none") as provider:
        return {
            "sasl_username": None,
            "sasl_password_file": None,
            **bearer(
                kafka,
                oauth_token_url=provider.url,
                oauth_client_id="me",
                oauth_client_secret_file=str(secret),
            ),
        }


REFUSALS = {
    "wrong password": Refusal(
        lambda kafka: {"sasl_password_file": str(kafka.papers.secret("guessed", "guessed"))},
        r"refused user worker-\w+ \(SCRAM-SHA-512\): .*invalid credentials",
    ),
    "unknown user": Refusal(
        lambda kafka: {"sasl_username": "nobody"},
        r"refused user nobody \(SCRAM-SHA-512\): .*invalid credentials",
    ),
    "mechanism not offered": Refusal(
        lambda kafka: {"sasl_mechanism": "PLAIN"}, r"does not take PLAIN on this listener"
    ),
    "broker not trusted": Refusal(
        lambda kafka: {"tls_ca_file": str(kafka.papers.strange_ca)},
        r"is not trusted: .*certificate.*strange-ca\.pem \(tls_ca_file\)",
    ),
    "no certificate": Refusal(nameless, r"refused our certificate \(none was shown"),
    "certificate of a stranger": Refusal(strange, r"refused our certificate \(.*somebody-strange\.pem"),
    "token for somebody else": Refusal(
        lambda kafka: bad_token(kafka, audience="another"),
        r"refused the token from .*bad\.token.*invalid_token",
    ),
    "token that has run out": Refusal(
        lambda kafka: bad_token(kafka, seconds=-1), r"refused the token from .*bad\.token.*invalid_token"
    ),
    "wrong secret of the client": Refusal(
        refused_by_provider, r"no token for me from http.*(HTTP 401|refused)"
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_a_refusal_is_told_in_a_sentence(kafka: SecuredKafka, calm: House, what: str) -> None:
    """What was refused, for whom, and where: exit status 1."""
    changes, said = REFUSALS[what]
    settings = msgspec.structs.replace(calm.own, **changes(kafka))

    done = run(settings, "lag")

    assert done.exit_code == 1
    assert re.search(said, done.stderr), done.stderr
    assert settings.broker in done.stderr
    assert len(done.stderr.splitlines()) == 1


COMMANDS = (
    ("topics", "apply"),
    ("topics", "check"),
    ("alerts", "tail", "--until-end"),
    ("borrower", "show", "b"),
    ("audit", "verify"),
    ("dead-letters", "list"),
    ("dead-letters", "retry", "--all"),
    ("policy", "history"),
    ("policy", "rollback", "--yes"),
    ("model", "history"),
    ("model", "rollback"),
    ("simulate", "--to-kafka", "--borrowers", "1"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_tries_a_wrong_password_twice(
    kafka: SecuredKafka, calm: House, command: tuple[str, ...]
) -> None:
    """One connection, one refusal, one sentence: tried again and again, it would lock the account."""
    wrong = {"sasl_password_file": str(kafka.papers.secret("guessed", "guessed"))}
    with counting_gate(kafka.secure) as gate:
        done = run(msgspec.structs.replace(calm.own, broker=gate.address, **wrong), *command)

    assert done.exit_code == 1, done.output
    assert f"refused user {calm.user}" in done.stderr
    assert gate.connections == 1


def test_a_worker_with_a_wrong_password_ends_at_once(kafka: SecuredKafka, calm: House) -> None:
    """One connection, the same sentence, exit status 1; it was never ready."""
    wrong = {"sasl_password_file": str(kafka.papers.secret("guessed", "guessed"))}
    with counting_gate(kafka.secure) as gate:
        done = run_worker(msgspec.structs.replace(calm.own, broker=gate.address, **wrong))

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        f"forewarn worker: Kafka at {gate.address} refused user {calm.user} (SCRAM-SHA-512): "
    )
    assert gate.connections == 1
