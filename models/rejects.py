"""Why a record is refused: the closed list of reasons, each a value and never an exception."""

from __future__ import annotations

from typing import Literal

PayloadReason = Literal[
    "empty",
    "too-large",
    "invalid-utf8",
    "not-json",
    "too-deep",
    "not-an-object",
    "unknown-type",
    "wrong-topic",
    "unknown-direction",
    "missing-field",
    "wrong-type",
    "negative-amount",
    "negative-number",
    "negative-time",
    "integer-overflow",
    "impossible-date",
    "invalid-identifier",
    "too-many-instalments",
    "key-mismatch",
    "future-dated",
]
"""What can be told from the record alone."""

StateReason = Literal[
    "wrong-partition",
    "too-late",
    "too-many-waiting",
    "too-many-loans",
    "loan-already-open",
    "cannot-be-voided",
    "too-many-holds",
]
"""What needs the borrower's state."""

RejectReason = PayloadReason | StateReason
