"""Which policy is in force."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from models.policy import Policy, PolicyError, default_policy, parse_policy
from streams.memory.virtual_time import run_virtual
from streams.reference import (
    CURRENT_KEY,
    ReferenceError,  # noqa: A004 - ours
    content_records,
    policy_in_force,
)
from tests.support.house import House

STRICTER = parse_policy("[signals.missed_payment]\ngrace_days = 3\n", "stricter.toml")


def policy(records: Sequence[tuple[bytes, bytes | None]], policy_file: str | None = None) -> Policy:
    """The policy in force when the topic holds these records."""

    async def main() -> Policy:
        house = House(policy_file=policy_file)
        for key, value in records:
            house.broker.produce(house.names.policies, 0, key, value)
        return await policy_in_force(house.ports.logs(), house.settings)

    return run_virtual(main())


def test_without_anything_the_packaged_policy_holds() -> None:
    """An empty topic names none."""
    assert policy([]) == default_policy()


def test_the_file_holds_until_the_topic_names_one(tmp_path: Path) -> None:
    """A published policy wins over the worker's file."""
    path = tmp_path / "own.toml"
    path.write_text("[signals.missed_payment]\ngrace_days = 7\n")

    assert policy([], str(path)).signals.missed_payment.grace_days == 7
    assert policy(content_records(STRICTER), str(path)) == STRICTER


def test_an_invalid_file_is_refused(tmp_path: Path) -> None:
    """With file and key, as everywhere."""
    path = tmp_path / "own.toml"
    path.write_text("grace = 7\n")

    with pytest.raises(PolicyError, match=r"own\.toml: unknown key grace"):
        policy([], str(path))


def test_the_last_pointer_counts() -> None:
    """Of several published the one named last is in force."""
    records = [*content_records(STRICTER), *content_records(default_policy())]

    assert policy(records) == default_policy()
    assert policy([*records, content_records(STRICTER)[-1]]) == STRICTER


def test_a_withdrawn_pointer_names_none() -> None:
    """A tombstone on `current` goes back to the default."""
    assert policy([*content_records(STRICTER), (CURRENT_KEY, None)]) == default_policy()


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([(CURRENT_KEY, b'{"version":"abc"}')], "no such version"),
        ([(CURRENT_KEY, b"abc")], "not readable"),
        ([(b"abc", b"{}"), (CURRENT_KEY, b'{"version":"abc"}')], "not readable"),
        (
            [(b"abc", content_records(STRICTER)[0][1]), (CURRENT_KEY, b'{"version":"abc"}')],
            "is named abc|named abc is",
        ),
    ],
)
def test_what_does_not_fit_is_refused(records: list[tuple[bytes, bytes]], said: str) -> None:
    """A pointer to nothing, unreadable bytes, a content under another's name."""
    with pytest.raises(ReferenceError, match=said):
        policy(records)
