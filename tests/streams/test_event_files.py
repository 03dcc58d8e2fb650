"""A folder of events is delivered as its events say, whatever the order, packing and quality of its lines."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.events import TOPICS, Topic
from streams.codec import Reject
from streams.event_files import (
    NO_PLACE_MS,
    EventFilesError,
    EventFolder,
    Line,
    file_of,
    read_outcomes,
    read_truth,
)

KNOWN_BY_MS = 2_000_000_000_000


def flow(event_id: str, time_ms: int, **more: Any) -> bytes:
    """A line of `fund-flows.jsonl`."""
    fields = {"type": "fund_flow", "event_id": event_id, "borrower_id": "b-1", "event_time_ms": time_ms}
    fields |= {"account_id": "a-1", "direction": "out", "amount_minor": 100, "currency": "CNY"}
    return json.dumps(fields | more).encode()


def query(event_id: str, time_ms: int, **more: Any) -> bytes:
    """A line of `credit-queries.jsonl`."""
    fields = {"type": "credit_query", "event_id": event_id, "borrower_id": "b-1", "event_time_ms": time_ms}
    fields |= {"institution_id": "i-1", "purpose": "loan_application"}
    return json.dumps(fields | more).encode()


def write(folder: Path, topic: Topic, *lines: bytes) -> None:
    """Write a topic's file."""
    (folder / file_of(topic)).write_bytes(b"".join(line + b"\n" for line in lines))


def delivered(folder: Path) -> list[Line]:
    """All lines of the folder in order."""
    return list(EventFolder(folder, KNOWN_BY_MS))


def raws(folder: Path) -> list[bytes]:
    """The bytes of all lines in order."""
    return [line.raw for line in delivered(folder)]


def test_lines_come_by_time_whatever_their_order(tmp_path: Path) -> None:
    """Delivery follows event time across topics."""
    write(tmp_path, "fund-flows", flow("f-3", 30), flow("f-1", 10))
    write(tmp_path, "credit-queries", query("q-2", 20))

    assert [flow("f-1", 10), query("q-2", 20), flow("f-3", 30)] == raws(tmp_path)


def test_a_late_event_comes_when_it_was_learnt(tmp_path: Path) -> None:
    """`ingested_at_ms`, where given, is the place of a line."""
    late = flow("f-1", 10, ingested_at_ms=25)
    write(tmp_path, "fund-flows", late, flow("f-2", 20), flow("f-3", 30))

    lines = delivered(tmp_path)

    assert [flow("f-2", 20), late, flow("f-3", 30)] == [line.raw for line in lines]
    assert [line.place_ms for line in lines] == [20, 25, 30]


def test_ties_are_broken_by_topic_time_type_and_id(tmp_path: Path) -> None:
    """At one place: credit queries before flows, then event time, then the type's rank, then the event id."""
    link = json.dumps(
        {
            "type": "account_linked",
            "event_id": "a",
            "borrower_id": "b-1",
            "event_time_ms": 10,
            "account_id": "a-1",
        }
    ).encode()
    older = flow("z", 5, ingested_at_ms=10)
    write(tmp_path, "fund-flows", link, flow("y", 10), flow("x", 10), older)
    write(tmp_path, "credit-queries", query("zz", 10))

    assert [query("zz", 10), older, flow("x", 10), flow("y", 10), link] == raws(tmp_path)


def test_a_line_knows_file_number_topic_and_event(tmp_path: Path) -> None:
    """Blank lines are skipped but counted, as an editor counts; the line end is no part of the bytes."""
    (tmp_path / "fund-flows.jsonl").write_bytes(b"\n  \r\n" + flow("f-1", 10) + b"\n\n" + flow("f-2", 20))

    lines = delivered(tmp_path)

    assert [(line.file, line.number) for line in lines] == [("fund-flows.jsonl", 3), ("fund-flows.jsonl", 5)]
    assert [TOPICS.index("fund-flows")] * 2 == [line.topic_index for line in lines]
    assert [line.content.event_time_ms for line in lines] == [10, 20]
    assert flow("f-2", 20) == lines[1].raw


def test_a_packed_folder_is_the_same_folder(tmp_path: Path) -> None:
    """`.jsonl.gz` gives the lines that `.jsonl` gives."""
    (tmp_path / "fund-flows.jsonl.gz").write_bytes(
        gzip.compress(flow("f-2", 20) + b"\n" + flow("f-1", 10) + b"\n")
    )

    assert [flow("f-1", 10), flow("f-2", 20)] == raws(tmp_path)
    assert delivered(tmp_path)[0].file == "fund-flows.jsonl.gz"


def test_a_reject_keeps_its_place_in_time(tmp_path: Path) -> None:
    """A refused line whose event time can be read is delivered at that time, its bytes unchanged."""
    bad = flow("f-2", 20, direction="sideways")
    write(tmp_path, "fund-flows", flow("f-3", 30), bad, flow("f-1", 10))

    lines = delivered(tmp_path)

    assert [flow("f-1", 10), bad, flow("f-3", 30)] == [line.raw for line in lines]
    assert isinstance(lines[1].content, Reject)
    assert lines[1].content.reason == "unknown-direction"


@pytest.mark.parametrize(
    "garbage",
    [
        b"{",
        b"\xff\xfe",
        b"null",
        b"[1]",
        b"[" * 100_000,
        b'{"type":"fund_flow"}',
        b'{"event_time_ms":-1}',
        b'{"event_time_ms":1e400}',
        b'{"event_time_ms":99999999999999999999}',
    ],
)
def test_a_line_without_a_time_comes_first(tmp_path: Path, garbage: bytes) -> None:
    """What has no readable event time is delivered before everything else."""
    write(tmp_path, "fund-flows", flow("f-1", 0), garbage)

    first = delivered(tmp_path)[0]

    assert garbage == first.raw
    assert first.place_ms == NO_PLACE_MS
    assert isinstance(first.content, Reject)


def test_an_ill_typed_ingestion_time_leaves_the_event_time(tmp_path: Path) -> None:
    """A reject whose `ingested_at_ms` cannot be read is delivered at its event time."""
    bad = flow("f-2", 20, ingested_at_ms="noon")
    write(tmp_path, "fund-flows", bad, flow("f-1", 10))

    assert [flow("f-1", 10), bad] == raws(tmp_path)


def test_a_field_given_twice_is_read_as_the_codec_reads_it(tmp_path: Path) -> None:
    """A line that only the codec's slow path accepts is placed by what that path reads."""
    twice = flow("f-1", 10, category="lottery").replace(
        b'"event_time_ms": 10', b'"event_time_ms": "x", "event_time_ms": 10'
    )
    write(tmp_path, "fund-flows", flow("f-0", 5), twice, flow("f-2", 20))

    assert [flow("f-0", 5), twice, flow("f-2", 20)] == raws(tmp_path)


def test_future_dates_are_refused_by_the_time_of_the_run(tmp_path: Path) -> None:
    """An event more than a day ahead of the run is a reject, delivered at the end."""
    day_ms = 86_400_000
    write(tmp_path, "fund-flows", flow("f-2", KNOWN_BY_MS + day_ms + 1), flow("f-1", KNOWN_BY_MS + day_ms))

    first, second = delivered(tmp_path)

    assert not isinstance(first.content, Reject)
    assert isinstance(second.content, Reject)
    assert second.content.reason == "future-dated"


def test_a_folder_is_iterated_as_often_as_needed(tmp_path: Path) -> None:
    """Two passes give the same lines, and `len` tells how many."""
    write(tmp_path, "fund-flows", flow("f-2", 20), flow("f-1", 10), b"{")
    folder = EventFolder(tmp_path, KNOWN_BY_MS)

    assert list(folder) == list(folder)
    assert len(folder) == 3
    assert folder.topics == ("fund-flows",)


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    """A topic's file may be empty, packed or not."""
    write(tmp_path, "fund-flows")
    (tmp_path / "repayments.jsonl.gz").write_bytes(gzip.compress(b""))

    assert delivered(tmp_path) == []


def test_progress_counts_the_bytes(tmp_path: Path) -> None:
    """Reading reports how many bytes are done, up to all of them."""
    write(tmp_path, "fund-flows", flow("f-1", 10), flow("f-2", 20))
    write(tmp_path, "credit-queries", query("q-1", 10))
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    reports: list[tuple[int, int]] = []

    EventFolder(tmp_path, KNOWN_BY_MS, lambda done, total: reports.append((done, total)))

    assert (size, size) == reports[-1]
    assert reports == sorted(reports)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """No such folder: an error that says which."""
    with pytest.raises(EventFilesError, match=r"nowhere: no such folder"):
        EventFolder(tmp_path / "nowhere", KNOWN_BY_MS)


def test_a_folder_without_event_files_says_what_is_expected(tmp_path: Path) -> None:
    """A folder of other things: an error that names the four files."""
    (tmp_path / "notes.txt").write_text("hello")

    with pytest.raises(EventFilesError, match=r"expected any of credit-queries\.jsonl, .*servicing\.jsonl"):
        EventFolder(tmp_path, KNOWN_BY_MS)


def test_a_topic_in_two_files_is_refused(tmp_path: Path) -> None:
    """Plain and packed file of one topic: nobody can tell which is meant."""
    write(tmp_path, "fund-flows", flow("f-1", 10))
    (tmp_path / "fund-flows.jsonl.gz").write_bytes(gzip.compress(b""))

    with pytest.raises(EventFilesError, match=r"both fund-flows\.jsonl and fund-flows\.jsonl\.gz"):
        EventFolder(tmp_path, KNOWN_BY_MS)


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(flow("f-1", 10) * 100)[:-12]])
def test_a_damaged_archive_is_named(tmp_path: Path, content: bytes) -> None:
    """What is no gzip file, or ends early, is an error and not a shorter folder."""
    (tmp_path / "fund-flows.jsonl.gz").write_bytes(content)

    with pytest.raises(EventFilesError, match=r"fund-flows\.jsonl\.gz: damaged gzip file"):
        EventFolder(tmp_path, KNOWN_BY_MS)


lines_of_flows = st.lists(
    st.one_of(
        st.builds(
            flow,
            st.sampled_from(["x", "y", "z"]),
            st.integers(0, 4),
            ingested_at_ms=st.none() | st.integers(0, 6),
            borrower_id=st.sampled_from(["b-1", "b-2"]),
        ),
        st.sampled_from([b"{", b"null", b'{"event_time_ms":3}']),
    ),
    max_size=12,
)


@given(
    flows=lines_of_flows,
    queries=st.lists(st.builds(query, st.text("ab", min_size=1), st.integers(0, 4))),
    seed=st.integers(),
)
def test_the_order_of_lines_does_not_matter(flows: list[bytes], queries: list[bytes], seed: int) -> None:
    """Shuffling the lines of every file changes nothing of what is delivered, ties and garbage included."""
    shuffled_flows, shuffled_queries = list(flows), list(queries)
    random.Random(seed).shuffle(shuffled_flows)
    random.Random(seed).shuffle(shuffled_queries)
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        write(Path(one), "fund-flows", *flows)
        write(Path(one), "credit-queries", *queries)
        write(Path(other), "fund-flows", *shuffled_flows)
        write(Path(other), "credit-queries", *shuffled_queries)

        assert raws(Path(one)) == raws(Path(other))
        assert sorted(flows + queries) == sorted(raws(Path(one)))


def test_outcomes_and_truth_are_read_beside_the_events(tmp_path: Path) -> None:
    """The files to be judged by are typed; a folder without them gives None."""
    assert read_outcomes(tmp_path) is None
    assert read_truth(tmp_path) is None
    (tmp_path / "outcomes.jsonl").write_text('{"borrower_id":"b-1","outcome":"bad","time_ms":5}\n\n')
    (tmp_path / "truth.jsonl.gz").write_bytes(
        gzip.compress(
            b'{"borrower_id":"b-1","signal":"income_drop","from_ms":1,"until_ms":2,"cause":"job_loss"}'
        )
    )

    outcomes, truth = read_outcomes(tmp_path), read_truth(tmp_path)

    assert outcomes is not None
    assert truth is not None
    assert [(o.borrower_id, o.loan_id, o.outcome, o.time_ms) for o in outcomes] == [("b-1", None, "bad", 5)]
    assert [(t.signal, t.from_ms, t.until_ms, t.cause) for t in truth] == [("income_drop", 1, 2, "job_loss")]


def test_a_wrong_outcome_is_named_by_its_line(tmp_path: Path) -> None:
    """The truth to be judged by must be whole: a bad line stops, with file and line."""
    (tmp_path / "outcomes.jsonl").write_text('\n{"borrower_id":"b-1","outcome":"ugly","time_ms":5}\n')

    with pytest.raises(EventFilesError, match=r"outcomes\.jsonl:2: Invalid enum value 'ugly'"):
        read_outcomes(tmp_path)
