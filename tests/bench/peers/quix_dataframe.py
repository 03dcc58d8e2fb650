"""The common job on Quix Streams: a dataframe a topic, each with its state in RocksDB and a changelog topic.

What goes out never crosses topics, so there is no need to concatenate them, which would make Quix align their partitions in time.
JSON is read by Quix's own deserializer (orjson).
"""

from __future__ import annotations

import os
from typing import Any

from quixstreams import Application, State
from quixstreams.dataframe import StreamingDataFrame

from tests.bench.peers import job

Event = dict[str, Any]


def keep(kind: str, event: Event, state: State) -> Event | None:
    """One event of the kind."""
    picture = state.get("picture") or job.new_picture()
    match kind:
        case "repayments":
            told = job.repaid(picture, event["amount_minor"])
        case "flows":
            told = job.flowed(picture, event["amount_minor"])
        case _:
            told = job.queried(picture, event["institution_id"], event["event_time_ms"])
    state.set("picture", picture)
    if told is None:
        return None
    return {
        "kind": kind,
        "borrower_id": event["borrower_id"],
        "event_id": event["event_id"],
        "count": told[0],
        "total_minor": told[1],
    }


def main() -> None:
    """Run until SIGTERM."""
    application = Application(
        broker_address=os.environ["BENCH_BROKER"],
        consumer_group=os.environ["BENCH_GROUP"],
        auto_offset_reset="earliest",
        state_dir=os.environ["BENCH_FOLDER"],
        processing_guarantee=os.environ["BENCH_GUARANTEE"],
        commit_interval=int(os.environ["BENCH_COMMIT_MS"]) / 1000,
        consumer_extra_config={"queued.min.messages": 200_000, "fetch.message.max.bytes": 1024 * 1024},
        producer_extra_config={"linger.ms": 20, "batch.size": 256 * 1024},
        loglevel="WARNING",
    )
    output = application.topic(os.environ["BENCH_OUTPUT"], value_serializer="json", key_serializer="bytes")
    kinds = {"repayments": "repayment", "flows": "fund_flow", "institutions": "credit_query"}
    suffixes = {"repayments": "repayments", "flows": "fund-flows", "institutions": "credit-queries"}
    for kind, event_type in kinds.items():
        (name,) = (name for name in os.environ["BENCH_INPUTS"].split(",") if name.endswith(suffixes[kind]))
        dataframe: StreamingDataFrame = application.dataframe(
            application.topic(name, value_deserializer="json", key_deserializer="bytes")
        )
        dataframe = dataframe.filter(lambda event, wanted=event_type: event["type"] == wanted)
        dataframe = dataframe.apply(lambda event, state, kind=kind: keep(kind, event, state), stateful=True)
        dataframe = dataframe.filter(lambda told: told is not None)
        dataframe.to_topic(output)
    application.run()


main()
