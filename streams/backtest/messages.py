"""What the leader of a backtest and its shards say to each other."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from models.alerts import Unchained
from models.judging import JudgedAlert
from models.links import LinkMessage
from models.policy import Policy
from models.risk.examples import Example
from models.risk.scorecard import Scorecard

Place = tuple[int, int, int, int, str, str]
"""Where in the run something was said: row, stage, and what orders within the stage. Shards never share a place."""

HEARING: Final = 0
"""Stage before a row: what linked borrowers tell is heard, in the order of its numbers."""
PASSING: Final = 1
"""Stage: deadlines are passed (`models.engine.Passed`)."""
TAKING: Final = 2
"""Stage: the row itself."""


class Setting(Struct, array_like=True, frozen=True):
    """What all shards know from the beginning."""

    folder: str
    shelf: str
    """Where the index of the folder lies."""
    now_ms: int
    policies: list[tuple[int, Policy]]
    """Policies, each with the instant from which it judges; the first judges what is before as well."""
    scores: bool
    learns: bool
    """Whether anybody learns from what matures."""
    shards: int
    shard: int


class Ahead(Struct, array_like=True, frozen=True):
    """Of the rows that were decoded ahead of their turn: those that are no events, and so move no watermark."""

    rejected: list[int]
    nameless: list[int]
    """Those among them that name no borrower."""


class Emitted(Struct, array_like=True, frozen=True):
    """One revision of an alert, all but chained."""

    place: Place
    alert: Unchained
    judged: JudgedAlert


class Told(Struct, array_like=True, frozen=True):
    """A message for a linked borrower, who may be in another shard."""

    place: Place
    receiver: str
    message: LinkMessage


class Output(Struct, array_like=True, frozen=True):
    """What came of a request."""

    alerts: list[Emitted]
    told: list[Told]
    rejected: list[tuple[int, str, bytes]]
    """Row, reason and line of `rejected.jsonl`."""
    scores: list[tuple[int, bytes]]
    """Row and line of `scores.jsonl`."""
    ahead: Ahead
    examples: list[Example]
    """What has matured; of all shards it is put in order by `models.risk.examples.order_of`."""
    card_from_ms: int | None = None
    """Since when a card that was to be taken up scores."""


class Totals(Struct, array_like=True, frozen=True):
    """What a shard counted in all."""

    events: int
    duplicates: int
    borrowers: int
    noticed: dict[str, int]
    first_event: tuple[int, int] | None
    """Row and time of the first event accepted."""
    model_version: str
    horizon_days: int
    """Of those counts."""
    score_counts: dict[int, int]
    """Of `models.score_judging.ScoreCounter`."""


class Look(Struct, array_like=True, frozen=True, tag="look"):
    """Decode the rows up to `end`, the first ones."""

    end: int


class Step(Struct, array_like=True, frozen=True, tag="step"):
    """Take the rows that were looked at, of one day, then look at those up to `next_end`."""

    ahead: Ahead
    """Of all shards, for the rows to take."""
    next_end: int


class Hear(Struct, array_like=True, frozen=True, tag="hear"):
    """At the turn before a row: what linked borrowers tell, each with its number."""

    row: int
    messages: list[tuple[int, str, LinkMessage]]


class TakeUp(Struct, array_like=True, frozen=True, tag="take-up"):
    """At the turn of a day: let a scorecard score what is as of an instant and later, and was not judged yet."""

    number: int
    card: Scorecard
    effective_from_ms: int


class Advance(Struct, array_like=True, frozen=True, tag="advance"):
    """After the last row: every feed is complete up to an instant."""

    watermark_ms: int


class Finish(Struct, array_like=True, frozen=True, tag="finish"):
    """Nothing more will come: tell the totals."""


Request = Look | Step | Hear | TakeUp | Advance | Finish

encode: Final = msgspec.msgpack.Encoder().encode
decode_setting: Final = msgspec.msgpack.Decoder(Setting).decode
decode_request: Final[msgspec.msgpack.Decoder[Request]] = msgspec.msgpack.Decoder(Request)
decode_output: Final = msgspec.msgpack.Decoder(Output).decode
decode_totals: Final = msgspec.msgpack.Decoder(Totals).decode
