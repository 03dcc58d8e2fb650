"""Borrowers fall where every Java producer puts them."""

from __future__ import annotations

from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from streams.partitioner import murmur2, partition_of


@given(st.binary(max_size=64))
def test_the_hash_is_the_clients_own(data: bytes) -> None:
    """Any bytes hash as the Kafka client hashes them."""
    assert murmur2(data) == reference(data) & 0xFFFFFFFF


def test_known_values() -> None:
    """The values of Kafka's own `UtilsTest.testMurmur2`."""
    known = {
        b"21": -973932308,
        b"foobar": -790332482,
        b"a-little-bit-long-string": -985981536,
        b"a-little-bit-longer-string": -1486304829,
        b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
        b"abc": 479470107,
    }

    assert {data: murmur2(data) for data in known} == {
        data: value & 0xFFFFFFFF for data, value in known.items()
    }


@given(st.binary(min_size=1), st.integers(1, 10_000))
def test_a_partition_is_one_of_those_there_are(key: bytes, count: int) -> None:
    """Never negative, never beyond."""
    assert 0 <= partition_of(key, count) < count
