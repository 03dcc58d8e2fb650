"""The example of an endpoint: it takes what is signed, once, and nothing else."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path

import msgspec

from streams.clock import SystemClock
from streams.webhooks.sender import HttpSender
from tests.support.deliveries import alert, endpoint, message_id
from tests.support.receivers import secret_file
from tests.support.subscribers import PLACE


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_the_example_takes_what_is_signed_once_and_nothing_else(tmp_path: Path) -> None:
    """A delivery, its repeat, and one signed by somebody else."""
    port, journal, secret = free_port(), tmp_path / "tasks.jsonl", secret_file(tmp_path)
    (tmp_path / "other").write_text("whsec_" + "A" * 32)
    command = [sys.executable, str(PLACE / "python" / "receiver.py"), str(port), secret, str(journal)]

    async def main() -> list[str]:
        clock, url = SystemClock(), f"http://127.0.0.1:{port}/"
        ours = HttpSender(endpoint(url=url, secret_file=secret), clock)
        others = HttpSender(endpoint(url=url, secret_file=str(tmp_path / "other")), clock)
        body = msgspec.json.encode(alert("b-0"))
        outcomes = []
        for sender in (ours, ours, others):
            await sender.start()
            attempt = await sender.send(message_id(alert("b-0")), body)
            async with asyncio.timeout(60):
                while attempt.outcome == "unreachable":  # it has just been started
                    await asyncio.sleep(0.1)
                    attempt = await sender.send(message_id(alert("b-0")), body)
            outcomes.append(attempt.detail)
            await sender.close()
        return outcomes

    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        outcomes = asyncio.run(main())
    finally:
        process.kill()
        process.wait()
    assert outcomes == ["status 204", "status 204", "status 401"]
    assert [json.loads(line)["alert_id"] for line in journal.read_text().splitlines()] == [
        alert("b-0").alert_id
    ]
