"""A real broker with TLS, passwords, certificates, tokens and ACLs: who may come in, who may do what, and how a refusal ends."""

from __future__ import annotations

import asyncio
import json
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
from streams import worker
from streams.acls import Grant, Operation, grants
from streams.cli import main
from streams.clock import SystemClock
from streams.kafka import admin
from streams.kafka.ports import KafkaPorts
from streams.kafka.reaching import refusal_now
from streams.kafka.writing import RecordWriter, Written
from streams.metrics import PlainMetrics
from streams.pipeline import Pipeline, PipelineError
from streams.ports import EngineMaker, Logs, OutputRecord, PortError
from streams.settings import Settings
from streams.topics import TopicNames
from streams.trainer import trainer_inputs, trainer_settings
from tests.support import alert_samples
from tests.support.fake_engine import FakeEngineMaker
from tests.support.gate import counting_gate
from tests.support.kafka import unique
from tests.support.late_payers import late_payers, records
from tests.support.processes import wait_until
from tests.support.publishing import publish
from tests.support.secured_kafka import (
    PLAIN_PASSWORD,
    PLAIN_USER,
    REAUTHENTICATED_AFTER_MS,
    SecuredKafka,
    secured_kafka,
)
from tests.support.subscribers import java_subscriber, python_subscriber, shown_client_files
from tests.support.workload import Produced, alerts_of, events, heartbeat_bytes
from tests.support.world import KafkaWorld, assigned, no_handover, produce, read_kafka, settings_for

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


USER_SETTINGS = (
    "broker",
    "security_protocol",
    "sasl_mechanism",
    "sasl_username",
    "sasl_password_file",
    "tls_ca_file",
)


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
    # A prefix of its own for the tasks' producers: it must not happen to cover the trainer's.
    tasks = unique("tasks")
    plain = settings_for(
        "secured", kafka.plain, partitions=PARTITIONS, transactional_id_prefix=tasks, **SHORT
    )
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


@pytest.fixture(scope="module")
def nobody(kafka: SecuredKafka) -> dict[str, str]:
    """A user who comes in, and is allowed nothing."""
    return kafka.add_user(unique("nobody"))


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
    """SCRAM."""
    yield kafka.add_user(name) | {"sasl_mechanism": mechanism}


@contextmanager
def by_plain_password(kafka: SecuredKafka, name: str, mechanism: str) -> Iterator[dict[str, str]]:
    """PLAIN."""
    yield {
        "broker": kafka.secure,
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": mechanism,
        "sasl_username": name,
        "sasl_password_file": str(kafka.papers.secret("plain.password", PLAIN_PASSWORD)),
        "tls_ca_file": str(kafka.papers.ca),
    }


@contextmanager
def by_certificate(kafka: SecuredKafka, name: str, mechanism: str) -> Iterator[dict[str, str]]:
    """A certificate, whose key has a password."""
    yield {
        "broker": kafka.mutual,
        "security_protocol": "SSL",
        "tls_ca_file": str(kafka.papers.ca),
        "tls_certificate_file": str(kafka.papers.certificate(name, password="key's own")),
        "tls_key_password_file": str(kafka.papers.secret(f"{name}.key-password", "key's own\n")),
    }


def bearer(kafka: SecuredKafka, **of_token: str) -> dict[str, str]:
    """Settings for OAUTHBEARER."""
    return {
        "broker": kafka.secure,
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "OAUTHBEARER",
        "tls_ca_file": str(kafka.papers.ca),
        **of_token,
    }


@contextmanager
def by_token_file(kafka: SecuredKafka, name: str, mechanism: str) -> Iterator[dict[str, str]]:
    """A token that lies in a file."""
    file = kafka.papers.secret(f"{name}.token", kafka.papers.token(name))
    yield bearer(kafka, oauth_token_file=str(file))


@contextmanager
def by_token_provider(kafka: SecuredKafka, name: str, mechanism: str) -> Iterator[dict[str, str]]:
    """A token that is asked for."""
    asked_before = len(kafka.provider.forms)
    kafka.provider.clients[name] = "its secret"
    secret = kafka.papers.secret(f"{name}.client-secret", "its secret")
    asked = {"oauth_token_url": kafka.provider.url, "oauth_client_id": name}
    yield bearer(kafka, **asked, oauth_client_secret_file=str(secret))
    assert len(kafka.provider.forms) == asked_before + 1, "one token serves all clients of a process"


WAYS_IN = {
    "SCRAM-SHA-512": by_password,
    "SCRAM-SHA-256": by_password,
    "PLAIN": by_plain_password,
    "certificate": by_certificate,
    "token file": by_token_file,
    "token provider": by_token_provider,
}


@pytest.mark.parametrize("way", WAYS_IN)
def test_every_client_comes_in_by_every_way(kafka: SecuredKafka, calm: House, way: str) -> None:
    """kafka-python's admin and consumer, aiokafka's consumer and producer, with what operator and administrator may do."""
    name = PLAIN_USER if way == "PLAIN" else unique("operator")
    topic = TopicNames(calm.plain.topic_prefix).inputs[0]
    kafka.grant(name, grants(calm.plain, ["operator", "administrator"]))
    with WAYS_IN[way](kafka, name, way) as user:
        settings = calm.as_user(user)
        for arguments in (["topics", "check"], ["lag"]):
            done = run(settings, *arguments)
            assert done.exit_code == 0, done.output
        before = len(asyncio.run(read_kafka(settings, topic))[0])
        asyncio.run(write_heartbeat(settings, topic))
        assert len(asyncio.run(read_kafka(settings, topic))[0]) == before + 1


async def write_heartbeat(settings: Settings, topic: str) -> None:
    """One record by the command line's producer."""
    async with RecordWriter(settings, SystemClock()) as writer:
        await writer.write([Written(topic, 0, OutputRecord(b"k", heartbeat_bytes(1)))])


# ---- who does not ------------------------------------------------------------------------------------------------


Changes = dict[str, str | None]
"""What is wrong with otherwise right settings."""

NO_SASL = {"sasl_mechanism": None, "sasl_username": None, "sasl_password_file": None}


def wrong_password(kafka: SecuredKafka) -> Changes:
    """Guessed."""
    return {"sasl_password_file": str(kafka.papers.secret("guessed", "guessed"))}


def unknown_user(kafka: SecuredKafka) -> Changes:
    """With a password that is good for another."""
    return {"sasl_username": "nobody"}


def sasl_on_the_other_listener(kafka: SecuredKafka) -> Changes:
    """Where certificates tell who somebody is."""
    certificate = kafka.papers.certificate("somebody")
    return {"broker": kafka.mutual, "tls_certificate_file": str(certificate)}


def untrusted_broker(kafka: SecuredKafka) -> Changes:
    """Another authority than the broker's."""
    return {"tls_ca_file": str(kafka.papers.strange_ca)}


def no_certificate(kafka: SecuredKafka) -> Changes:
    """Where one is asked for."""
    return {**NO_SASL, "broker": kafka.mutual, "security_protocol": "SSL"}


def strangers_certificate(kafka: SecuredKafka) -> Changes:
    """Of an authority that the broker does not know."""
    certificate = kafka.papers.certificate("somebody", strange=True)
    return {**no_certificate(kafka), "tls_certificate_file": str(certificate)}


def token_for_another_audience(kafka: SecuredKafka) -> Changes:
    """Rightly signed."""
    file = kafka.papers.secret("bad.token", kafka.papers.token("somebody", audience="another"))
    return {**NO_SASL, **bearer(kafka, oauth_token_file=str(file))}


def token_that_has_run_out(kafka: SecuredKafka) -> Changes:
    """Rightly signed, too."""
    file = kafka.papers.secret("bad.token", kafka.papers.token("somebody", seconds=-1))
    return {**NO_SASL, **bearer(kafka, oauth_token_file=str(file))}


def wrong_secret_of_the_client(kafka: SecuredKafka) -> Changes:
    """Guessed, and asked for at a provider that goes on until the end of the tests."""
    secret = kafka.papers.secret("wrong.client-secret", "guessed")
    asked = {
        "oauth_token_url": kafka.provider.url,
        "oauth_client_id": "me",
        "oauth_client_secret_file": str(secret),
    }
    return {**NO_SASL, **bearer(kafka, **asked)}


REFUSALS: dict[Callable[[SecuredKafka], Changes], str] = {
    wrong_password: r"refused user worker-\w+ \(SCRAM-SHA-512\): .*invalid credentials",
    unknown_user: r"refused user nobody \(SCRAM-SHA-512\): .*invalid credentials",
    sasl_on_the_other_listener: r"takes no SASL on this listener",
    untrusted_broker: r"is not trusted: .*certificate.*strange-ca\.pem \(tls_ca_file\)",
    no_certificate: r"refused our certificate \(none was shown",
    strangers_certificate: r"refused our certificate \(.*somebody-strange\.pem",
    token_for_another_audience: r"refused the token from .*bad\.token.*invalid_token",
    token_that_has_run_out: r"refused the token from .*bad\.token.*invalid_token",
    wrong_secret_of_the_client: r"no token for me from http.*HTTP 401",
}


@pytest.mark.parametrize("what", REFUSALS, ids=lambda what: what.__name__)
def test_a_refusal_is_told_in_a_sentence(
    kafka: SecuredKafka, calm: House, what: Callable[[SecuredKafka], Changes]
) -> None:
    """What was refused, for whom, and where: exit status 1."""
    settings = msgspec.structs.replace(calm.own, **what(kafka))

    done = run(settings, "lag")

    assert done.exit_code == 1
    assert re.search(REFUSALS[what], done.stderr), done.stderr
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
    with counting_gate(kafka.secure) as gate:
        done = run(msgspec.structs.replace(calm.own, broker=gate.address, **wrong_password(kafka)), *command)

    assert done.exit_code == 1, done.output
    assert f"refused user {calm.user}" in done.stderr
    assert gate.connections == 1


def test_a_worker_with_a_wrong_password_ends_at_once(
    kafka: SecuredKafka, calm: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """One connection, the same sentence, exit status 1; it was never ready."""
    with counting_gate(kafka.secure) as gate:
        status = worker.run(msgspec.structs.replace(calm.own, broker=gate.address, **wrong_password(kafka)))

    assert status == 1
    assert capsys.readouterr().err.startswith(
        f"forewarn worker: Kafka at {gate.address} refused user {calm.user} (SCRAM-SHA-512): "
    )
    assert gate.connections == 1


# ---- what is allowed ---------------------------------------------------------------------------------------------


def test_a_worker_with_exactly_its_grants_does_the_whole_job(kafka: SecuredKafka, house: House) -> None:
    """A process with Faust, learning and transactions: everything consumed, alerts out, refused records in dead letters."""
    book = late_payers([])
    written = records(book.events[0], book.ends_ms[0], PARTITIONS)
    asyncio.run(produce(house.plain, [Produced(0, 0, b"somebody", b"{"), *written]))

    done = run_worker(msgspec.structs.replace(house.own, until_end=True, clock="event"))

    assert done.returncode == 0, done.stderr
    assert "uthoriz" not in done.stderr
    names = TopicNames(house.plain.topic_prefix)
    for topic in (names.alerts, names.borrower_risk, names.state, names.dead_letters):
        assert any(asyncio.run(read_kafka(house.plain, topic))), topic
    lag = json.loads(run(house.plain, "lag", "--json").stdout)
    # The last heartbeat of each partition waits for what comes behind it.
    assert lag["lag"] <= len(names.inputs) * PARTITIONS


NOT_ALLOWED = (
    ("topics", "apply"),
    ("topics", "check"),
    ("lag",),
    ("alerts", "tail", "--until-end"),
    ("policy", "history"),
    ("model", "history"),
    ("simulate", "--to-kafka", "--borrowers", "1"),
)


@pytest.mark.parametrize("command", NOT_ALLOWED, ids=" ".join)
def test_a_command_says_what_its_user_may_not_do(
    kafka: SecuredKafka, calm: House, nobody: dict[str, str], command: tuple[str, ...]
) -> None:
    """Let in, and allowed nothing: Kafka does not even tell that a topic is there."""
    done = run(calm.as_user(nobody), *command)

    assert done.exit_code == 1, done.output
    assert re.search("does not allow|hidden from this user", done.output), done.output


def test_a_worker_that_may_not_make_fausts_topic_says_so(kafka: SecuredKafka, house: House) -> None:
    """The one topic that a worker makes itself; exit status 1, and nothing was begun."""
    lacking = [grant for grant in grants(house.plain, ["worker"]) if "Create" in grant.operations]
    kafka.revoke(house.user, lacking)

    done = run_worker(house.own)

    assert done.returncode == 1
    assert re.search(rf"Cannot create topic: {lacking[0].names[0]} .*Authorization failed", done.stderr)


class Need(NamedTuple):
    """What a worker does that needs one operation on one resource."""

    resource: str
    name: str
    operation: Operation
    pattern: str


async def consume(settings: Settings, inputs: tuple[str, ...] | None) -> None:
    """As a member of the group, from all topics of the input, a record of each where there is one."""
    source = KafkaPorts(settings, inputs).source()
    try:
        await source.start(no_handover)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await assigned(source)
            source.open(0, [0] * len(inputs or TopicNames(settings.topic_prefix).consumed))
            seen: set[int] = set()
            while len(seen) < len(inputs or TopicNames(settings.topic_prefix).consumed):
                seen |= {fetched.feed for fetched in await source.poll(100)}
    finally:
        await source.stop()


async def read(settings: Settings, topic: str) -> None:
    """Without a group, as state, policies and cards are."""
    logs = KafkaPorts(settings).logs()
    try:
        await logs.start()
        async for _ in logs.read(topic, 0):
            pass
    finally:
        await logs.stop()


async def transact(settings: Settings, inputs: tuple[str, ...] | None, topic: str | None) -> None:
    """One transaction, with a record where a topic is named, and with offsets."""
    sink = KafkaPorts(settings, inputs).sink(0)
    try:
        await sink.open()
        await sink.begin()
        if topic is not None:
            await sink.send(topic, [OutputRecord(b"k", b"v")], 1)
            await sink.flush()
        await sink.send_offsets([0] * len(inputs or TopicNames(settings.topic_prefix).consumed))
        await sink.commit()
    finally:
        await sink.close()


def doing(house: House, need: Need) -> Coroutine[Any, Any, None]:
    """What a worker does with it."""
    own, names = house.own, TopicNames(house.own.topic_prefix)
    learning = need.name.startswith(trainer_settings(own).group_id)
    settings, inputs = (trainer_settings(own), trainer_inputs(own)) if learning else (own, None)
    match need.resource, need.operation:
        case "topic", "Write":
            return transact(own, None, need.name)
        case "topic", _ if need.name == names.training_examples:
            return consume(trainer_settings(own), trainer_inputs(own))
        case "topic", _ if need.name in names.consumed:
            return consume(own, None)
        case "topic", _:
            return read(own, need.name)
        case "group", _:
            return consume(settings, inputs)
        case _:
            return transact(settings, inputs, None)


def test_each_grant_of_a_worker_is_needed_and_its_lack_told(kafka: SecuredKafka, house: House) -> None:
    """Without any one of them what needs it fails, at once, naming the resource. Faust's own are tried below."""
    names = TopicNames(house.own.topic_prefix)
    for topic in (*names.consumed, names.training_examples, names.state, names.policies, names.scorecards):
        asyncio.run(write_heartbeat(house.plain, topic))
    needs = [
        (grant, Need(grant.resource, name, operation, grant.pattern))
        for grant in grants(house.plain, ["worker"])
        for name in grant.names
        for operation in grant.operations
        if "-faust" not in name
    ]
    own, learner = house.own, trainer_settings(house.own)
    for works in (
        consume(own, None),
        consume(learner, trainer_inputs(own)),
        read(own, names.state),
        transact(own, None, names.alerts),
        transact(learner, trainer_inputs(own), names.scorecards),
    ):
        asyncio.run(works)
    for grant, need in needs:
        lacking = [msgspec.structs.replace(grant, names=(need.name,), operations=(need.operation,))]
        kafka.revoke(house.user, lacking)
        with pytest.raises(PortError) as failed:
            asyncio.run(doing(house, need))
        kafka.grant(house.user, lacking)
        named = house.own.transactional_id(0) if need.pattern == "prefixed" else need.name
        assert named in str(failed.value)
        assert re.search("does not allow|hidden from this user", str(failed.value))


# ---- what is allowed no more -------------------------------------------------------------------------------------


class Fleet(NamedTuple):
    """A pipeline that runs, and the events that go on coming."""

    pipeline: Pipeline
    run: asyncio.Task[None]


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[Fleet]:
    """A pipeline with the fake engine, as somebody; stopped at the end of the block."""

    async def prepare(logs: Logs) -> EngineMaker:
        return FakeEngineMaker(alert_every=1)

    pipeline = Pipeline(KafkaPorts(settings), prepare, settings, SystemClock(), PlainMetrics())
    run = asyncio.create_task(pipeline.run())
    try:
        yield Fleet(pipeline, run)
    finally:
        pipeline.stop()
        await asyncio.wait([run])


async def alerts_in(house: House, count: int, fleet: Fleet | None = None) -> list[Alert]:
    """The committed alerts, once there are so many."""
    topic = TopicNames(house.plain.topic_prefix).alerts
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = [one for part in alerts_of(await read_kafka(house.plain, topic)) for one in part]
            if len(found) >= count:
                return found
            if fleet is not None and fleet.run.done():
                fleet.run.result()
            await asyncio.sleep(0.1)


def require_each_once(alerts: list[Alert], produced: list[Produced]) -> None:
    """Every event made its one alert, none twice, none lost."""
    causes = sorted(str(alert.caused_by.event_id) for alert in alerts)
    assert causes == sorted(str(msgspec.json.decode(one.value)["event_id"]) for one in produced)


def revoked_in_turn(house: House) -> dict[str, Grant]:
    """What is taken away, by what the message must name: of each kind of resource, and of topics what is read and written."""
    names = TopicNames(house.plain.topic_prefix)
    needed = {
        names.alerts: "Write",
        names.inputs[0]: "Read",
        house.plain.group_id: "Read",
        house.plain.transactional_id(0).removesuffix("0"): "Write",
    }
    return {
        name: msgspec.structs.replace(grant, names=(name,), operations=(operation,))
        for name, operation in needed.items()
        for grant in grants(house.plain, ["worker"])
        if name in grant.names
    }


async def test_a_grant_revoked_while_a_worker_runs_ends_it_and_loses_nothing(
    kafka: SecuredKafka, house: House
) -> None:
    """It ends by itself, saying what is not allowed; granted again, the next worker goes on as if nothing had been."""
    produced: list[Produced] = []

    async def produce_more() -> None:
        more = list(events(len(produced), 40, PARTITIONS))
        produced.extend(more)
        await produce(house.plain, more)

    for name, lacking in revoked_in_turn(house).items():
        async with working(house.own) as fleet:
            await produce_more()
            await alerts_in(house, len(produced), fleet)
            await asyncio.to_thread(kafka.revoke, house.user, [lacking])
            await produce_more()
            told = f"(does not allow|hidden from) this user .*{name}"
            with pytest.raises((PipelineError, PortError), match=told):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await asyncio.shield(fleet.run)
        await asyncio.to_thread(kafka.grant, house.user, [lacking])

    async with working(house.own) as fleet:
        found = await alerts_in(house, len(produced), fleet)
    require_each_once(found, produced)


# ---- what runs out -----------------------------------------------------------------------------------------------

PERIODS = 2
"""As many times what a worker came in with runs out while it works."""


async def renewing(kafka: SecuredKafka, name: str, seconds: float) -> None:
    """Put a new token into the file, again and again, as a projected service account does."""
    while True:
        await asyncio.to_thread(
            kafka.papers.secret, f"{name}.token", kafka.papers.token(name, seconds=seconds)
        )
        await asyncio.sleep(seconds / 3)


async def work_on(house: House, user: dict[str, str], seconds: float) -> None:
    """Events all the time for so long; each makes its one alert."""
    produced: list[Produced] = []
    async with working(house.as_user(user)) as fleet:
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            more = list(events(len(produced), 10, PARTITIONS))
            produced += more
            await produce(house.plain, more)
            await asyncio.sleep(0.2)
            assert not fleet.run.done(), fleet.run.exception()
        found = await alerts_in(house, len(produced), fleet)
    require_each_once(found, produced)


async def test_a_worker_works_on_when_connections_and_tokens_run_out(kafka: SecuredKafka) -> None:
    """The broker ends old connections, and those of tokens that have run out; a new one is made with what is in the files then."""
    by_users, by_tokens = await asyncio.gather(*(asyncio.to_thread(new_house, kafka) for _ in range(2)))
    seconds = REAUTHENTICATED_AFTER_MS / 1000
    user = {name: str(getattr(by_users.own, name)) for name in USER_SETTINGS}
    renewal = asyncio.create_task(renewing(kafka, by_tokens.user, seconds + 1))
    await asyncio.sleep(0.5)
    try:
        await asyncio.gather(
            work_on(by_users, user | {"sasl_mechanism": "SCRAM-SHA-256"}, PERIODS * seconds),
            work_on(
                by_tokens,
                bearer(kafka, oauth_token_file=str(kafka.papers.folder / f"{by_tokens.user}.token")),
                PERIODS * seconds,
            ),
        )
    finally:
        renewal.cancel()


async def test_a_user_who_is_taken_away_ends_the_worker(kafka: SecuredKafka, house: House) -> None:
    """Nothing to do, and no way in any more: the worker ends within its limits all the same, and can say why."""
    own = msgspec.structs.replace(
        house.own, sasl_mechanism="SCRAM-SHA-256", unready_after_ms=1_000, progress_timeout_ms=4_000
    )
    unready: list[str] = []
    async with working(own) as fleet:
        more = list(events(1, 10, PARTITIONS))
        await produce(house.plain, more)
        await alerts_in(house, len(more), fleet)
        await asyncio.to_thread(kafka.remove_user, house.user)
        while not fleet.run.done():
            unready += fleet.pipeline.reasons_not_ready
            await asyncio.wait([fleet.run], timeout=0.2)

    assert unready
    with pytest.raises(PipelineError, match="progress_timeout_ms"):
        fleet.run.result()
    assert f"refused user {house.user}" in str(await asyncio.to_thread(refusal_now, own, 10))


def test_the_example_subscribers_come_in_as_the_read_me_shows(kafka: SecuredKafka, house: House) -> None:
    """With nothing but the role's grants; with another password they end, and say so without it."""
    kafka.grant("collections", grants(house.plain, ["subscriber"]))
    kafka.add_user("collections")
    folder = kafka.papers.folder
    password = (folder / "collections.password").read_text().strip()
    kafka.papers.secret("collections.password", password)  # without a line break, as the read-me says
    made = alert_samples.alerts()[:3]
    asyncio.run(publish(KafkaWorld(house.plain), made))
    topic = TopicNames(house.plain.topic_prefix).alerts
    files = shown_client_files(folder)
    journals = [folder / "python.jsonl", folder / "java.jsonl"]
    lines = [
        make(kafka.secure, topic, journal, file)
        for make, journal, file in zip((python_subscriber, java_subscriber), journals, files, strict=True)
    ]

    def decided(journal: Path) -> set[str]:
        text = journal.read_text() if journal.exists() else ""
        return {json.loads(line)["alert_id"] for line in text[: text.rfind("\n") + 1].splitlines()}

    with processes(lines) as running:
        wait_until(
            lambda: (
                all(decided(journal) for journal in journals)
                or any(process.poll() is not None for process in running)
            ),
            "both have decided",
        )
        for process in running:
            process.terminate()
        said = [process.communicate(timeout=PATIENCE_SECONDS)[1] for process in running]
    assert [decided(journal) for journal in journals] == [{alert.alert_id for alert in made}] * 2, said

    kafka.papers.secret("collections.password", f"not-{password}")
    with files[0].open("a") as client:
        client.write("bootstrap_timeout_ms = 3000\n")  # by default it tries for half a minute
    with processes(lines) as refused:
        said = [process.communicate(timeout=PATIENCE_SECONDS)[1] for process in refused]
    # Python's client often finds the connection closed before it has read why, try after try.
    reasons = ("Unable to bootstrap", "Authentication failed")
    for process, complaint, reason in zip(refused, said, reasons, strict=True):
        assert process.returncode not in (0, None), complaint
        assert reason in complaint
        assert password not in complaint


@contextmanager
def processes(lines: list[list[str]]) -> Iterator[list[subprocess.Popen[str]]]:
    """Killed at the end."""
    started = [subprocess.Popen(line, stderr=subprocess.PIPE, text=True) for line in lines]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()
