"""All that is remembered of one borrower, and its bytes: explicit, versioned, checked.

A record is sealed (`models/sealed.py`): version, checksum, then the next deadline of each clock, that of the next
observation, and a msgpack body, compressed (`models/packing.py`). The deadlines can be read, and the bytes be checked, without
unpacking the body, so that a million borrowers come back in seconds.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import msgspec
from msgspec import Struct

from models.balances import BalanceEvidence
from models.calendars import DAY_MS
from models.deadlines import NEVER
from models.debts import DebtEvidence
from models.episodes import Episode
from models.events import REPAYMENTS, TOPICS, Origin, RepaymentsEvent
from models.fund_use import FundUseEvidence
from models.income import IncomeEvidence
from models.institutions import InstitutionEvidence
from models.ledger import Loan
from models.links import LinkEvidence
from models.outflows import OutflowEvidence
from models.packing import Packing, PackingError
from models.recent_flows import RecentFlows
from models.recent_ids import RecentIds
from models.risk.pending import Observation
from models.rollovers import RolloverEvidence
from models.sealed import HEAD_BYTES, Format, UntrustedRecordError, Upgrade
from models.servicing import ServicingEvidence

CLOCKS: Final = len(TOPICS) + 1
"""One clock a feed (its watermark), and the task's highest watermark, which windows and cooldowns follow."""
HIGHEST: Final = len(TOPICS)
OBSERVING: Final = CLOCKS
"""Behind the clocks stands what is no clock: when a borrower is observed next. It passes with the watermark of `repayments`."""


class PendingJudgement(Struct, array_like=True):
    """A judgement that waits for a deadline before it: what to judge, as of when, and what caused it."""

    signal: int
    loan_id: str | None
    at_ms: int
    event_time_ms: int
    origin: Origin


class WaitingEvent(Struct, array_like=True):
    """An event that waits for its loan (or a reversal that waits for its payment), with its origin."""

    event: RepaymentsEvent
    origin: Origin


class AwaitedVoid(Struct, array_like=True, gc=False):
    """A void whose target has not come: the target will count as never sent."""

    topic: int
    fingerprint: bytes
    time_ms: int


class Borrower(Struct, array_like=True, dict=True):
    """One borrower's picture, by kind of evidence, and the life of its alerts.

    `dict`: what follows from its loans is kept beside it until they change (`models.evidence`), and never in the state.
    """

    deadlines_ms: list[int]
    """The next unjudged deadline by clock; `NEVER` where there is none."""
    judged_ms: list[int]
    """The latest instant judged by clock."""
    seen: list[RecentIds]
    """Recent event ids by topic."""
    loans: dict[str, Loan]
    income: IncomeEvidence
    institutions: InstitutionEvidence
    episodes: list[Episode]
    pending: list[PendingJudgement]
    waiting: list[WaitingEvent]
    incomplete: dict[str, int]
    """Rejected records missing from this picture: name to event time; bounded, then `INCOMPLETE_MORE`."""
    first_event_ms: int
    balances: BalanceEvidence = msgspec.field(default_factory=BalanceEvidence)
    servicing: ServicingEvidence = msgspec.field(default_factory=ServicingEvidence)
    debts: DebtEvidence = msgspec.field(default_factory=DebtEvidence)
    outflows: OutflowEvidence = msgspec.field(default_factory=OutflowEvidence)
    voids: list[AwaitedVoid] = []
    """Voids whose target has not come; the newest."""
    rollovers: RolloverEvidence = msgspec.field(default_factory=RolloverEvidence)
    fund_use: FundUseEvidence = msgspec.field(default_factory=FundUseEvidence)
    links: LinkEvidence | None = None
    """Few borrowers have any."""
    recent_flows: RecentFlows = msgspec.field(default_factory=RecentFlows)
    signal_deadlines_ms: list[int] = []
    """The same as `deadlines_ms` by signal, so that only what is due is judged; too short where it was never asked.

    Remembered, though it could be found anew: a restart amid a change of policy would judge what was not due yet.
    """
    observations: list[Observation] = []
    """Those that have not matured yet (`models/observing.py`)."""
    observation_due_ms: int = NEVER
    """When to observe next, or one of them matures; no deadline of a signal, for nothing that is judged waits for it."""

    def own_platforms(self, at_ms: int) -> frozenset[str]:
        """The platforms of the own loans opened up to an instant: never counted as elsewhere."""
        return frozenset(
            loan.platform_id for loan in self.loans.values() if loan.opened_ms <= at_ms and not loan.is_voided
        )


INCOMPLETE_MORE: Final = "…"
"""Stands for rejected records beyond those remembered by name."""


def nameless(topic: str, offset: int) -> str:
    """The name of a refused record whose `event_id` could not be read: where it stood."""
    return f"{topic}@{offset}"


def new_borrower(first_event_ms: int) -> Borrower:
    """A borrower of whom nothing is known yet."""
    return Borrower(
        deadlines_ms=[NEVER] * CLOCKS,
        judged_ms=[-1] * CLOCKS,
        seen=[RecentIds() for _ in TOPICS],
        loans={},
        income=IncomeEvidence(),
        institutions=InstitutionEvidence(),
        episodes=[],
        pending=[],
        waiting=[],
        incomplete={},
        first_event_ms=first_event_ms,
    )


class CorruptStateError(Exception):
    """A state record that cannot be trusted: the message names the borrower and what is wrong."""


_EPISODES_OF_1, _PRESENTATION_OF_1 = 6, 10
"""Where a body of version 1 keeps its episodes, and an episode what of it was shown."""
_HEAVY_STAGES_OF_1: Final = frozenset({"assign_agency", "legal_notice", "field_visit"})


def _to_2(body: list[Any]) -> list[Any]:
    """Evidence for further signals: fields at the end of `Borrower`, empty by their defaults.

    What an alert shows holds two more things: attempts were never used up, and a heavy step was always for a person.
    """
    for episode in body[_EPISODES_OF_1]:
        stage, *shown = episode[_PRESENTATION_OF_1]
        episode[_PRESENTATION_OF_1] = [stage, *shown, False, stage in _HEAVY_STAGES_OF_1]
    return body


_JUDGED_OF_2, _LOANS_OF_2, _FIRST_EVENT_OF_2 = 1, 3, 10
_LATER_FIELDS_OF_2: Final[tuple[int, tuple[list[Any] | None, ...]]] = (
    11,
    ([], [], [], [], [], [], [], None, [], []),
)
"""Fields that a body of version 1 ended before, at which place, and how they are written while they hold nothing."""
_MONTH_MS: Final = 30 * DAY_MS


def _to_3(body: list[Any]) -> list[Any]:
    """What is observed: nothing yet. Who has a loan is looked at within thirty days, all over the month."""
    place, empty = _LATER_FIELDS_OF_2
    body = [*body, *empty[len(body) - place :]]
    due_ms = NEVER
    if body[_LOANS_OF_2]:
        due_ms = max(body[_JUDGED_OF_2][REPAYMENTS], 0) + body[_FIRST_EVENT_OF_2] % _MONTH_MS
    return [*body, [], due_ms]


_RECENT_FLOWS_OF_4, _OBSERVATIONS_OF_4 = 19, 21
_HASH_BYTES_OF_4, _HASH_BYTES_OF_5 = 8, 6
_FLOW_OF_4: Final = struct.Struct(">q8s23s")
"""A recent flow: when, its fingerprint, and what stays as it is."""
_FLOW_OF_5: Final = struct.Struct(">q6s23s")


def _to_5(body: list[Any]) -> list[Any]:
    """Fingerprints of 48 bits: the first of the 64. All bytes are fingerprints, one or a row, but in recent flows and observations."""
    shorter: list[Any] = _with_shorter_hashes(body)
    shorter[_OBSERVATIONS_OF_4] = body[_OBSERVATIONS_OF_4]
    shorter[_RECENT_FLOWS_OF_4] = body[_RECENT_FLOWS_OF_4]
    if body[_RECENT_FLOWS_OF_4]:
        packed, *more = body[_RECENT_FLOWS_OF_4]
        flows = (
            _FLOW_OF_5.pack(at_ms, hashed[:_HASH_BYTES_OF_5], rest)
            for at_ms, hashed, rest in _FLOW_OF_4.iter_unpack(packed)
        )
        shorter[_RECENT_FLOWS_OF_4] = [b"".join(flows), *more]
    return shorter


def _with_shorter_hashes(said: Any) -> Any:
    if isinstance(said, bytes):
        begins = range(0, len(said), _HASH_BYTES_OF_4)
        return b"".join(said[begin : begin + _HASH_BYTES_OF_5] for begin in begins)
    if isinstance(said, list):
        return [_with_shorter_hashes(one) for one in said]
    if isinstance(said, dict):
        return {name: _with_shorter_hashes(one) for name, one in said.items()}
    return said


_UPGRADES: Final[tuple[Upgrade | None, ...]] = (_to_2, _to_3, None, _to_5)
"""Each from the body of one version to that of the next, as plain lists; version 4 says the same as 3, compressed. Whoever
changes the shape of `Borrower`, or what a field means, adds a step here and keeps bytes of the new version:
`python -m tests.models.keep_states`."""
_DEADLINES_BY_VERSION: Final = {1: 5, 2: 5, 3: 6, 4: 6, 5: 6}
"""Those in the header: by clock, and since version 3 that of the next observation."""
_FIRST_WITH_THESE_DEADLINES: Final = 3
"""Those that a record of it or of a later version begins with, stand; an older one is decoded to tell them."""
_PACKING_BY_VERSION: Final = {
    4: Packing("state-4.zdict", "48998df6589201d810c86f5bc0a2a95a5b209a47229d105c372561c4446a18f0"),
    5: Packing("state-5.zdict", "ad381537321e4c15272190b02c7bcf1c865012e71a1992666235e761139ab2bb"),
}
"""The dictionaries: another one (`python -m tests.models.keep_dictionary`) is another version. Bodies of older versions than
these are not compressed."""

_FORMAT: Final = Format(_UPGRADES)
STATE_VERSION: Final = _FORMAT.version
PACKING: Final = _PACKING_BY_VERSION[STATE_VERSION]
"""Of the bodies that are written."""
_DEADLINES: Final = struct.Struct(f">{CLOCKS + 1}q")
_BODY_BEGINS: Final = {
    version: struct.calcsize(f">{count}q") for version, count in _DEADLINES_BY_VERSION.items()
}
_encode_body = msgspec.msgpack.Encoder().encode
_decode_body = msgspec.msgpack.Decoder(Borrower).decode
assert _DEADLINES_BY_VERSION[STATE_VERSION] == CLOCKS + 1, "another number of deadlines is another version"


def encode_borrower(borrower: Borrower) -> bytes:
    """The state record of a borrower."""
    return _FORMAT.seal(_DEADLINES.pack(*deadlines_of(borrower)) + PACKING.pack(_encode_body(borrower)))


def deadlines_of(borrower: Borrower) -> tuple[int, ...]:
    """The next deadline by clock, and behind them that of the next observation: as the record begins."""
    return (*borrower.deadlines_ms, borrower.observation_due_ms)


def decode_borrower(borrower_id: str, record: bytes) -> Borrower:
    """The borrower of a state record of this version or an older one.

    Raises:
        CorruptStateError: the bytes are damaged, or of a version that this program does not know.
    """
    version, content = _unsealed(borrower_id, record)
    body: memoryview | bytes = content[_BODY_BEGINS[version] :]
    try:
        if version in _PACKING_BY_VERSION:
            body = _PACKING_BY_VERSION[version].unpack(body)
        if version < _FORMAT.first_of_present_shape:
            body = _encode_body(_FORMAT.upgrade(msgspec.msgpack.decode(body), version))
        return _decode_body(body)
    except (PackingError, msgspec.MsgspecError) as error:
        msg = f"state of borrower {borrower_id!r}: its checksum fits, its content does not: {error}"
        raise CorruptStateError(msg) from error


def copy_of(borrower: Borrower) -> Borrower:
    """Another one that remembers the same, and shares nothing with it that may change."""
    return _decode_body(_encode_body(borrower))


def check_record(borrower_id: str, record: bytes) -> tuple[int, ...]:
    """Make sure of a record's bytes, and return its deadlines as `deadlines_of`. Its body is decoded only if they may have moved since.

    Raises:
        CorruptStateError: as `decode_borrower`.
    """
    version, content = _unsealed(borrower_id, record)
    if version < _FIRST_WITH_THESE_DEADLINES:
        return deadlines_of(decode_borrower(borrower_id, record))
    if len(content) <= _DEADLINES.size:
        msg = f"state of borrower {borrower_id!r}: its checksum fits, but it holds nothing"
        raise CorruptStateError(msg)
    return _DEADLINES.unpack_from(content)


def deadlines_in(borrower_id: str, record: bytes) -> tuple[int, ...]:
    """The same of a record that was made sure of before, or written here."""
    if record[0] < _FIRST_WITH_THESE_DEADLINES:
        return deadlines_of(decode_borrower(borrower_id, record))
    return _DEADLINES.unpack_from(record, HEAD_BYTES)


def _unsealed(borrower_id: str, record: bytes) -> tuple[int, memoryview]:
    try:
        return _FORMAT.unseal(record)
    except UntrustedRecordError as error:
        msg = f"state of borrower {borrower_id!r}: {error}"
        raise CorruptStateError(msg) from error
