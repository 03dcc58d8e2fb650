"""Train the dictionary of a new format version: `python -m tests.models.keep_dictionary state-5.zdict`.

It learns from simulated borrowers alone, so that it holds nobody's ids: from both books of the simulator, at all ages of a
picture up to a year and a half. A dictionary once shipped is not written again, for every record that was compressed with it needs
exactly its bytes: another one belongs to another format version. `--check` trains again and says whether the same comes
out: with the same sources, and the same release of zstd, it does.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import zstandard

from models.engine import RiskEngine
from models.events import TOPICS
from models.policy import default_policy
from models.risk.scorecard import expert_prior
from models.rules import Rules
from streams.codec import Decoder, NotAnEvent
from streams.simulator import SimulationSettings, simulate
from streams.simulator.settings import VERSIONS

ROOT: Final = Path(__file__).parents[2] / "models" / "dictionaries"
DICTIONARY_BYTES: Final = 8 * 1024
"""With 4 KiB a state is a hundredth larger; with 16 KiB it is as large, and the dictionary leaves the processor's first cache."""
_SEGMENT_BYTES: Final = 128
_MATCH_BYTES: Final = 6
"""The trainer's two parameters: the best of eight pairs for books that it had not seen. All were within a fiftieth."""
_BORROWERS: Final = 400
_MONTHS: Final = 18
_SEED: Final = 11
_EVENTS_PER_SAMPLE: Final = 8
_LATER_MS: Final = 10**13
"""The time of the reading: everything simulated lies in its past."""


def trained() -> bytes:
    """The dictionary."""
    samples: list[bytes | bytearray | memoryview] = []
    for version in range(1, VERSIONS + 1):
        samples += _bodies(version)
    learnt = zstandard.train_dictionary(DICTIONARY_BYTES, samples, k=_SEGMENT_BYTES, d=_MATCH_BYTES)
    return learnt.as_bytes()


def _bodies(version: int) -> Iterator[bytes]:
    """What is kept of whoever an event was about, now and then, in one book of the simulator."""
    book = SimulationSettings(version=version, seed=_SEED + version, borrowers=_BORROWERS, months=_MONTHS)
    engine = RiskEngine(Rules(default_policy()), expert_prior())
    decoders = {topic: (feed, Decoder(topic, keyed=False)) for feed, topic in enumerate(TOPICS)}
    for number, delivery in enumerate(simulate(book), start=1):
        feed, decoder = decoders[delivery.topic]
        event = decoder.decode(delivery.payload, None, _LATER_MS)
        assert not isinstance(event, NotAnEvent), delivery
        engine.process(event, feed, number)
        if number % _EVENTS_PER_SAMPLE == 0:
            engine.take_output(0)  # or it would grow
            borrower = engine.borrower(delivery.borrower_id)
            if borrower is not None:
                yield msgspec.msgpack.encode(borrower)


def main(arguments: list[str]) -> None:
    """Write it, or check it."""
    match arguments:
        case ["--check", name]:
            if (ROOT / name).read_bytes() != trained():
                raise SystemExit(
                    f"{name}: another one comes out now, by other sources or another zstd; the old one stays"
                )
        case [name]:
            path = ROOT / name
            if path.exists():
                raise SystemExit(
                    f"{path} is there already: a dictionary that was shipped is not written again"
                )
            ROOT.mkdir(exist_ok=True)
            path.write_bytes(trained())
            print(f"{path}: SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
        case _:
            raise SystemExit("which one? As: python -m tests.models.keep_dictionary state-5.zdict")


if __name__ == "__main__":
    main(sys.argv[1:])
