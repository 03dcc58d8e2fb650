"""What an endpoint hears of. A filter must not leave anybody with an alert that is over, or that nobody may act on any more.

So `severity_min` and `actionable_only` choose what is heard of for the first time and what gets worse. What eases, resolves or
retracts an alert passes whatever its severity, for who was told of an alert has to hear its end; `actionable_only` passes every
`updated`, for a hold that was placed is one. Who does not know the alert ignores it. An erasure passes everything: what was kept
of the borrower has to go.
"""

from __future__ import annotations

import re
from typing import Final, get_args

import msgspec
from msgspec import Struct

from models.alerts import SeverityName
from streams.ports import RawRecord
from streams.webhooks.endpoints import Endpoint

_RANKS: Final[dict[str, int]] = {word: rank for rank, word in enumerate(get_args(SeverityName))}
_PASSES_ANY_SEVERITY: Final = frozenset({"eased", "resolved", "retracted"})
_PASSES_UNACTIONABLE: Final = _PASSES_ANY_SEVERITY | {"updated"}
_ERASED: Final = "ERASED"
_IDENTIFIER: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
"""What may stand in a header as it is."""


class _Advice(Struct, frozen=True):
    actionable: bool


class _Reason(Struct, frozen=True):
    code: str


class Notice(Struct, frozen=True):
    """What is looked at of an alert; words that are newer than this worker are no error."""

    alert_id: str
    revision: int
    borrower_id: str
    status: str
    signal: str
    severity: SeverityName
    recommendation: _Advice
    reasons: tuple[_Reason, ...]

    @property
    def message_id(self) -> str:
        """The same at each attempt, and after any restart: `alert_id.revision`, as `ce_id`."""
        return f"{self.alert_id}.{self.revision}"


_decode: Final = msgspec.json.Decoder(Notice).decode


def notice_of(record: RawRecord) -> Notice | None:
    """What a record says; None where it is no alert."""
    try:
        if record.value is None:
            return None
        record.value.decode()  # what is signed is text, in the fields too that are not looked at
        notice = _decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return notice if _IDENTIFIER.fullmatch(notice.alert_id) else None


def is_wanted(notice: Notice, endpoint: Endpoint) -> bool:
    """Whether an endpoint hears of a revision."""
    if any(reason.code == _ERASED for reason in notice.reasons):
        return True
    if endpoint.signals and notice.signal not in endpoint.signals:
        return False
    if endpoint.statuses and notice.status not in endpoint.statuses:
        return False
    is_severe = _RANKS[notice.severity] >= _RANKS[endpoint.severity_min]
    if not is_severe and notice.status not in _PASSES_ANY_SEVERITY:
        return False
    return (
        not endpoint.actionable_only
        or notice.recommendation.actionable
        or notice.status in _PASSES_UNACTIONABLE
    )
