"""The floor: `aiokafka` reads, `msgspec` decodes into the contract's own types, nothing else happens."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from typing import Any, Union

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from models.events import TOPICS, TYPES_BY_TOPIC

TOLD_SECONDS = 0.1


def decoder_of(name: str) -> Any:
    """The strict decoder of an input topic, whatever prefix its name has."""
    (topic,) = (topic for topic in TOPICS if name.endswith(topic))
    return msgspec.json.Decoder(Union[TYPES_BY_TOPIC[topic]]).decode  # noqa: UP007 - built from a tuple


async def main() -> None:
    """Read everything once; print `<epoch second> <records so far>` now and then."""
    inputs = os.environ["BENCH_INPUTS"].split(",")
    decoders = {name: decoder_of(name) for name in inputs}
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=os.environ["BENCH_BROKER"], max_partition_fetch_bytes=512 * 1024
    )
    await consumer.start()
    try:
        places = [
            TopicPartition(name, number)
            for name in inputs
            for number in range(int(os.environ["BENCH_PARTITIONS"]))
        ]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        done, told_at, records = 0, 0.0, int(os.environ["BENCH_RECORDS"])
        while done < records:
            for place, batch in (await consumer.getmany(timeout_ms=200)).items():
                decode = decoders[place.topic]
                for record in batch:
                    decode(record.value)
                done += len(batch)
            if (now := time.time()) - told_at >= TOLD_SECONDS or done >= records:
                told_at = now
                print(now, done, flush=True)
    finally:
        await consumer.stop()


gc.set_threshold(50_000, 20, 50)
asyncio.run(main())
