"""Reads alerts and decides what to do about each: `python subscriber.py BROKER TOPIC JOURNAL [CLIENT]`. SIGTERM ends it.

An example of what a service must see to: repeats, revisions, gaps, and when nobody may act.
CLIENT is a file in TOML with arguments of `KafkaConsumer`: how to come in where not everybody may.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import tomllib
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer

SCHEMA = "forewarn.alert.v1"
SESSION_TIMEOUT_MS = 6_000
"""Whoever is killed holds its partitions for so long: the default of 45 s is long where calls wait."""
Task = dict[str, Any]


class Journal:
    """What was decided, a JSON line each: the memory that makes a repeat known after a crash. A service has a table instead."""

    def __init__(self, file: Path) -> None:
        """A crash may have left half a line at the end: its record was not committed and comes again."""
        self._file = file
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        self._tasks: list[Task] = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        # In order of the lines, so the last one of an alert is its newest.
        self._newest: dict[str, int] = {task["alert_id"]: task["revision"] for task in self._tasks}
        self._rewrite()

    def newest(self, alert_id: str) -> int:
        """The newest revision that was decided on; 0 for an alert that is not known."""
        return self._newest.get(alert_id, 0)

    def append(self, task: Task) -> None:
        """On disk when it returns."""
        with self._file.open("a", encoding="utf-8") as stream:
            _write(stream, [task])
        self._tasks.append(task)
        self._newest[task["alert_id"]] = task["revision"]

    def forget(self, borrower_id: str) -> None:
        """Forget a borrower. The numbers of the alerts stay known, so that a repeat does nothing."""
        self._tasks = [
            erasing(task["alert_id"], task["revision"], 0) if task["borrower_id"] == borrower_id else task
            for task in self._tasks
        ]
        self._rewrite()

    def _rewrite(self) -> None:
        following = self._file.with_name(f"{self._file.name}.next")
        with following.open("w", encoding="utf-8") as stream:
            _write(stream, self._tasks)
        following.replace(self._file)


def _write(stream: Any, tasks: list[Task]) -> None:
    stream.writelines(json.dumps(task) + "\n" for task in tasks)
    stream.flush()
    os.fsync(stream.fileno())


def decide(alert: dict[str, Any], newest: int) -> Task:
    """What is done about a revision; `newest` is the one decided on before.

    Every revision is whole, so one that was missed needs no repair: it is only told.
    """
    missed = alert["revision"] - newest - 1
    if is_erased(alert):
        return erasing(alert["alert_id"], alert["revision"], missed)
    todo = alert["recommendation"]
    why = todo["hold"]
    if alert["status"] in ("resolved", "retracted"):
        task, why = "close", alert["status"]
    elif not todo["actionable"]:
        task = "wait"
    else:
        task = "ask" if todo["human_review_required"] else "do"
    return {
        "alert_id": alert["alert_id"],
        "revision": alert["revision"],
        "missed": missed,
        "borrower_id": alert["borrower_id"],
        "task": task,
        "stage": todo["stage"],
        "why": why,
        "not_before_ms": todo["not_before_ms"],
        "not_after_ms": todo["not_after_ms"],
    }


def is_erased(alert: dict[str, Any]) -> bool:
    """The borrower was erased: what was kept of them has to go."""
    return any(reason["code"] == "ERASED" for reason in alert["reasons"])


def erasing(alert_id: str, revision: int, missed: int) -> Task:
    """What is left of an alert then."""
    nothing = {"borrower_id": None, "stage": None, "why": None, "not_before_ms": 0, "not_after_ms": 0}
    return {"alert_id": alert_id, "revision": revision, "missed": missed, "task": "erase"} | nothing


def take(alert: dict[str, Any], journal: Journal) -> None:
    """Decide on one revision, unless it is a repeat, or older than what is known: the highest holds."""
    if alert["schema"] != SCHEMA:
        raise SystemExit(f"this service reads {SCHEMA}, not {alert['schema']}")
    newest = journal.newest(alert["alert_id"])
    if alert["revision"] <= newest:
        return
    if is_erased(alert):
        journal.forget(alert["borrower_id"])
    journal.append(decide(alert, newest))


def client_settings(file: Path) -> dict[str, Any]:
    """Arguments of `KafkaConsumer`; of a name with `_file` behind it the value is in that file, so that secrets stay there."""
    given = tomllib.loads(file.read_text(encoding="utf-8"))
    secrets = {name: value for name, value in given.items() if name.endswith("_file")}
    for name, secret in secrets.items():
        del given[name]
        given[name.removesuffix("_file")] = Path(secret).read_text(encoding="utf-8").rstrip("\r\n")
    return given


def main(broker: str, topic: str, file: str, client: str | None = None) -> None:
    """Read, decide, write, commit: in this order."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    journal = Journal(Path(file))
    settings: dict[str, Any] = {} if client is None else client_settings(Path(client))
    # Behind those of the file: what the promises rest on is not to be set there.
    settings |= {
        "bootstrap_servers": broker.split(","),
        "group_id": f"collections-{topic}-python",
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "session_timeout_ms": SESSION_TIMEOUT_MS,
        "heartbeat_interval_ms": SESSION_TIMEOUT_MS // 3,
    }
    alerts = KafkaConsumer(topic, **settings)
    while not stopped:
        for records in alerts.poll(timeout_ms=1_000).values():
            for record in records:
                take(json.loads(record.value), journal)
        # Only now: who dies before sees the same records again, and knows them by alert_id and revision.
        alerts.commit()
    alerts.close(autocommit=False)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)  # else the client keeps to itself why it cannot come in
    main(*sys.argv[1:])
