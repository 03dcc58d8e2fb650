"""Webhooks by a worker on a real Kafka: killed between a delivery and its commit, it delivers again under the same id."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from streams.kafka.local import Broker
from streams.settings import Settings
from tests.support.deliveries import alert, message_id
from tests.support.publishing import publish
from tests.support.receivers import Peer, Receiver, Request, answering, honest, listening, secret_file
from tests.support.world import KafkaWorld, read_kafka, settings_for

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120.0
BOOK = [alert(f"b-{number}", turn, severity="serious") for turn in (1, 2, 3) for number in range(4)]
POISON = alert("b-poison", severity="serious")
NEVER = alert("b-never", severity="serious")
MILD = alert("b-mild", severity="watch", status="opened")


async def worker(settings: Settings) -> Process:
    """`forewarn worker` as a process of its own."""
    fields = ("broker", "topic_prefix", "group_id", "transactional_id_prefix", "session_timeout_ms")
    own = {f"FOREWARN_{field.upper()}": str(getattr(settings, field)) for field in fields}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streams.cli", "worker", "--log-level", "WARNING",
        cwd=ROOT,
        env=os.environ | own | {"FOREWARN_WEBHOOKS_FILE": str(settings.webhooks_file), "FOREWARN_LEARNING": "false"},
        stderr=PIPE,
    )  # fmt: skip


def write(file: Path, url: str) -> None:
    """The file of endpoints."""
    file.write_text(
        f'[[endpoints]]\nname = "desk"\nurl = "{url}"\nsecret_file = "{secret_file(file.parent)}"\nbegin = "start"\n'
        'severity_min = "warning"\nattempts_max = 2\nfirst_retry_seconds = 0.1\nparallel = 1\n'
    )


async def until(condition: Callable[[], bool], process: Process) -> None:
    """Wait for something, as long as the worker lives."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition() and process.returncode is None:  # noqa: ASYNC110 - figures tell
            await asyncio.sleep(0.05)


def forewarn(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `forewarn webhooks`."""
    own = {"FOREWARN_BROKER": settings.broker, "FOREWARN_TOPIC_PREFIX": settings.topic_prefix}
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", "webhooks", *arguments],
        cwd=ROOT,
        env=os.environ | own | {"FOREWARN_WEBHOOKS_FILE": str(settings.webhooks_file)},
        capture_output=True,
        text=True,
        check=False,
    )


async def resent(settings: Settings, file: Path) -> tuple[list[str], int]:
    """What an endpoint that is well again is sent by hand, and the exit status."""
    async with listening(honest) as receiver:
        write(file, receiver.url)
        done = await asyncio.to_thread(forewarn, settings, "resend", "desk")
        assert receiver.forged() == []
        return receiver.ids, done.returncode


def test_a_worker_killed_between_a_delivery_and_its_commit_delivers_again(
    broker: Broker, tmp_path: Path
) -> None:
    """SIGKILL as soon as a message was taken; its successor delivers all, the same id twice, and ends in good order."""
    file = tmp_path / "webhooks.toml"
    settings = settings_for("webhooks", broker.bootstrap_servers, webhooks_file=str(file))
    world = KafkaWorld(settings)
    running: list[Process] = []
    killed: list[str] = []

    seen: list[str] = []

    async def behaviour(peer: Peer, request: Request) -> None:
        seen.append(request.headers["webhook-id"])
        await (answering(422) if seen[-1] == message_id(POISON) else honest)(peer, request)
        if len(seen) == 4:
            killed.append(seen[-1])
            running[0].send_signal(signal.SIGKILL)

    async def main() -> tuple[Receiver, str]:
        async with listening(behaviour) as receiver:
            write(file, receiver.url)
            await publish(world, [*BOOK, POISON, MILD])
            await publish(world, [NEVER], commits=False)
            try:
                running.append(await worker(settings))
                await running[0].wait()
                running.append(await worker(settings))
                # The first one may have died before the fourth answer was read: what it was sent comes again either way.
                wanted = {message_id(one) for one in BOOK[3:]}
                await until(lambda: wanted <= set(seen[4:]), running[1])
                await until(lambda: seen.count(message_id(POISON)) >= 2, running[1])
                running[1].terminate()
                _, said = await running[1].communicate()
            finally:
                for process in running:
                    if process.returncode is None:
                        process.kill()
                        await process.communicate()
            return receiver, said.decode()

    receiver, said = asyncio.run(main())
    assert running[1].returncode == 0, said
    assert seen.count(killed[0]) == 2
    assert receiver.forged() == []
    assert set(seen) == {message_id(one) for one in (*BOOK, POISON)}
    for number in range(4):
        mine = [one for one in dict.fromkeys(seen) if one.startswith(alert(f"b-{number}").alert_id)]
        assert mine == [message_id(alert(f"b-{number}", turn)) for turn in (1, 2, 3)]
    told = forewarn(settings, "list", "desk", "--json")
    assert json.loads(told.stdout)["message_id"] == message_id(POISON)
    assert forewarn(settings, "list", "other").stdout == ""
    assert forewarn(settings, "list", "--since", "2100-01-01").stdout == ""
    again = asyncio.run(resent(settings, file))
    assert again == ([message_id(POISON)], 0)
    refused = forewarn(settings, "resend", "desk")
    assert (refused.returncode, "1 unreachable" in refused.stdout) == (1, True), refused

    (letters,) = [
        records for records in asyncio.run(read_kafka(settings, world.names.webhook_dead_letters)) if records
    ]
    assert [letter.value for letter in letters] == [msgspec.json.encode(POISON)]
