"""Every bound on what is accepted and remembered, with its unit and its reason."""

from __future__ import annotations

from typing import Final

INT64_MAX: Final = 2**63 - 1
"""Largest integer of the event contract: what Java, Avro and Postgres readers can hold."""

PAYLOAD_BYTES_MAX: Final = 1024 * 1024
"""Largest event payload: Kafka's default record limit is about one mebibyte as well."""

OUTPUT_HEADROOM_BYTES: Final = 64 * 1024
"""What a dead letter may add to a rejected payload: its headers and the record around them."""

NESTING_DEPTH_MAX: Final = 200
"""Deepest JSON nesting accepted: far beyond any honest event, far below the decoder's recursion limit."""

IDENTIFIER_CHARACTERS_MAX: Final = 256
"""Longest identifier (borrower, loan, event, institution): longer ones are mistakes or attacks."""

INSTALMENTS_MAX: Final = 600
"""Instalments in one schedule: fifty years of monthly payments."""

LOANS_MAX: Final = 64
"""Loans remembered for one borrower: the oldest closed one makes room, an open one never does."""

PAYMENTS_PER_LOAN_MAX: Final = 400
"""Payments kept one by one for a loan: the oldest are folded into the instalments they paid."""

WAITING_EVENTS_MAX: Final = 32
"""Loan events held for one borrower until their loan is known: more is a broken feed, and is rejected."""

AWAITED_VOIDS_MAX: Final = 16
"""Voids of one borrower that wait for the event they take back: it comes before its void, but for a feed out of order."""

INCOMPLETE_RECORDS_MAX: Final = 16
"""Rejected records remembered by name for one borrower: beyond it the borrower stays on hold."""

PENDING_JUDGEMENTS_MAX: Final = 256
"""Judgements of one borrower waiting for a deadline to pass: bounded by what arrives within the lateness."""

CLOSED_EPISODES_MAX: Final = 24
"""Closed episodes kept for one borrower, for cooldown, relapse and retraction: the oldest goes first."""

CLOSED_REMEMBERED_DAYS: Final = 5 * 365
"""Days for which a loan or an episode is remembered after its end: without it a picture grows for decades. Five years are
how long a credit bureau in China may keep bad information (State Council Decree 631 of 2013, article 16)."""

CONTACTS_MAX: Final = 100
"""Contact attempts remembered for one borrower, the newest: no rule of a policy may count further."""

COMBINATIONS_MAX: Final = 32
"""Combination rules in one policy: each is asked at every judgement of its signal."""

SEGMENTS_MAX: Final = 64
"""Segments in one policy: each is held against a loan in turn when it is judged."""

POLICIES_REMEMBERED_MAX: Final = 16
"""Policies whose times a task remembers, the present one included: what older ones judged is judged again by the oldest."""

POLICIES_AT_HAND_MAX: Final = 64
"""Policies (each segment is one) of which what is derived from them alone is kept: some tens of bytes each."""

CARDS_REMEMBERED_MAX: Final = 64
"""Scorecards whose times a task remembers, a year of weekly ones: what older ones judged is judged again by the oldest. Each costs
27 bytes of every progress record."""

REVIEWED_AT_ONCE_MAX: Final = 1_000
"""Borrowers judged once more because of a policy in one step, or those of one minute: some tenths of a second, so that a
worker whose feed leaps by a day (a nightly delivery) keeps its place in the group."""

REMEMBERED_IDS_PER_GENERATION: Final = {
    "repayments": 24,
    "fund-flows": 32,
    "credit-queries": 12,
    "servicing": 12,
}
"""Event ids remembered for one borrower and topic, twice this number at most (two generations)."""

PICTURES_MAX: Final = 4_000
"""Borrowers of one engine kept decoded, unless it is told otherwise. After a year a picture takes some 27 KB beside its record of two:
so these are 120 MB, and a million borrowers who are all touched would be 27 GB. To touch one that is not kept costs about twice as
much."""

FUTURE_TOLERANCE_MS: Final = 24 * 3600 * 1000
"""How far an event may lie ahead of the instant it was learnt: a day covers clocks and time zones set wrong."""
