"""Keep progress records of a new format version: `python -m tests.streams.keep_progress`. Older ones stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from models.alerts import ChainHead
from models.engine import EngineProgress, Passing
from models.events import TOPICS
from models.rulebook import SINCE_EVER_MS, Adopted, Span
from streams.progress import PROGRESS_VERSION, Progress, encode_progress
from tests.support.kept import keep
from tests.support.shapes import shape_of

ROOT: Final = Path(__file__).parent / "kept_progress"


def positions() -> dict[str, tuple[str, Progress]]:
    """Tasks at different points of their lives."""
    chain = ChainHead(17, "ab" * 32)
    return {
        "new": (
            "a task that has read one record of one topic",
            Progress(
                task=0,
                partition_count=1,
                offsets=(0, 0, 1, 0, 0),
                merge_keys_ms=(0, 0, 1_735_700_000_000, 0),
                engine=EngineProgress(
                    (-1, -1, 1_735_696_400_000, -1, 1_735_696_400_000), (-1, -1, 0, -1), ChainHead()
                ),
                policy_version="0f" * 32,
                card_version="prior",
                policies=Adopted(0, (Span(SINCE_EVER_MS, "0f" * 32),)),
                cards=Adopted(0, (Span(SINCE_EVER_MS, "prior"),)),
            ),
        ),
        "busy": (
            "a task amid its work, its chain of alerts at 17",
            Progress(
                task=7,
                partition_count=8,
                offsets=(12, 345_678, 9_012, 3, 41),
                merge_keys_ms=(1_750_000_000_001, 1_750_000_000_002, 1_750_000_000_003, 1_750_000_000_004),
                engine=EngineProgress(
                    (
                        1_749_996_400_001,
                        1_749_996_400_002,
                        1_749_996_400_003,
                        1_749_996_400_004,
                        1_749_996_400_004,
                    ),
                    (11, 345_677, 9_011, 2),
                    chain,
                ),
                policy_version="c0ffee" * 10,
                card_version="2025-06-15",
                policies=Adopted(
                    3, (Span(SINCE_EVER_MS, "bad" * 21), Span(1_749_000_000_000, "c0ffee" * 10))
                ),
                cards=Adopted(41, (Span(1_748_000_000_000, "prior"), Span(1_749_500_000_000, "2025-06-15"))),
            ),
        ),
        "midnight": (
            "a task amid the deadlines of a midnight",
            Progress(
                task=1,
                partition_count=2,
                offsets=(0, 0, 24, 0, 0),
                merge_keys_ms=(0, 0, 1_735_771_900_000, 0),
                engine=EngineProgress(
                    (-1, -1, 1_735_768_300_000, -1, 1_735_768_300_000),
                    (-1, -1, 24, -1),
                    chain,
                    Passing(2, 1_735_768_900_000, is_highest=True),
                ),
                policy_version="0f" * 32,
                card_version="prior",
                policies=Adopted(0, (Span(SINCE_EVER_MS, "0f" * 32),)),
                cards=Adopted(0, (Span(SINCE_EVER_MS, "prior"),)),
            ),
        ),
        "vast": (
            "the largest numbers there are",
            Progress(
                task=9_999,
                partition_count=10_000,
                offsets=(2**62,) * 5,
                merge_keys_ms=(2**63 - 1,) * 4,
                engine=EngineProgress((2**63 - 1,) * 5, (2**62,) * 4, ChainHead(2**53, "0" * 64)),
                policy_version="",
                card_version="版本",
                policies=Adopted(2**62, tuple(Span(2**63 - 1, "策略") for _ in range(16))),
                cards=Adopted(2**62, tuple(Span(2**63 - 1, "版本") for _ in range(64))),
            ),
        ),
    }


def keep_progress(root: Path = ROOT) -> Path:
    """Write the folder of the present version: the records, and beside each what it says, for people and for the test."""
    kept = {key: (holds, encode_progress(progress)) for key, (holds, progress) in positions().items()}
    folder = keep(root, PROGRESS_VERSION, shape_of(Progress), kept, "progress", {"topics": TOPICS})
    for key, (_, progress) in positions().items():
        said = {name: getattr(progress, name) for name in Progress.__struct_fields__}
        (folder / f"{key}.json").write_bytes(msgspec.json.encode(said) + b"\n")
    return folder


if __name__ == "__main__":
    print(keep_progress())
