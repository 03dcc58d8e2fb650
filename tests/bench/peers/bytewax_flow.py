"""The common job on Bytewax: one stateful step, snapshots into its recovery store as often as all commit."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import msgspec
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kafka_op
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from tests.bench.peers import job


class Event(msgspec.Struct):
    """The fields that the job needs."""

    type: str
    event_id: str = ""
    borrower_id: str = ""
    event_time_ms: int = 0
    amount_minor: int = 0
    institution_id: str = ""


KINDS = {"repayment": "repayments", "fund_flow": "flows", "credit_query": "institutions"}
Keyed = tuple[str, Event]
decode = msgspec.json.Decoder(Event).decode
encode = msgspec.json.Encoder().encode


def read(batch: list[Any]) -> list[Keyed]:
    """Decode a batch, and keep what the job is about."""
    events = [decode(message.value) for message in batch]
    return [(event.borrower_id, event) for event in events if event.type in KINDS]


def keep(picture: job.Picture | None, event: Event) -> tuple[job.Picture | None, list[bytes]]:
    """One event."""
    if picture is None:
        picture = job.new_picture()
    kind = KINDS[event.type]
    match kind:
        case "repayments":
            told = job.repaid(picture, event.amount_minor)
        case "flows":
            told = job.flowed(picture, event.amount_minor)
        case _:
            told = job.queried(picture, event.institution_id, event.event_time_ms)
    if told is None:
        return picture, []
    record = {
        "kind": kind,
        "borrower_id": event.borrower_id,
        "event_id": event.event_id,
        "count": told[0],
        "total_minor": told[1],
    }
    return picture, [encode(record)]


def message_of(told: tuple[str, bytes]) -> KafkaSinkMessage[bytes, bytes]:
    """What goes to Kafka."""
    return KafkaSinkMessage(key=told[0].encode(), value=told[1])


brokers = [os.environ["BENCH_BROKER"]]
flow = Dataflow("bench")
source = kafka_op.input(
    "events",
    flow,
    brokers=brokers,
    topics=os.environ["BENCH_INPUTS"].split(","),
    batch_size=5_000,
    add_config={"queued.min.messages": "200000"},
)
keyed = op.flat_map_batch("read", source.oks, read)
told = op.stateful_flat_map("keep", keyed, keep)
messages = op.map("message", told, message_of)
kafka_op.output("told", messages, brokers=brokers, topic=os.environ["BENCH_OUTPUT"])

if __name__ == "__main__":
    folder = Path(os.environ["BENCH_FOLDER"])
    init_db_dir(folder, 1)
    cli_main(
        flow,
        workers_per_process=1,
        epoch_interval=timedelta(milliseconds=int(os.environ["BENCH_COMMIT_MS"])),
        recovery_config=RecoveryConfig(folder),
    )
