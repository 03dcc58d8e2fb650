"""What the model learns from: an observation, pending in a borrower's picture until it matures into an example.

**Frozen** are the features as of a midnight, on what was known when the watermark of `repayments` passed it: that is what a
score could go by. What is learnt later, late or by a void, changes no observation. **The label** is asked for when the watermark
passes the end of the horizon, on everything known by then: a payment that bounced since, a correction and a void count.
So both are functions of the picture and of two instants, and which feed is ahead, batches, duplicates and restarts change
nothing; what comes later than the watermark allows is known later, here as in alerts (`models/decisions/0001-judged-as-of.md`).
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal

import msgspec
from msgspec import Struct

from models.borrower import Borrower
from models.ledger import Loan
from models.risk.features import Features
from models.risk.labels import (
    Outcome,
    OutcomeReason,
    contacts_between,
    decided_by,
    earliest,
    has_something_to_foretell,
    is_any_at_target,
    is_below_all_targets,
    label,
    matures_ms,
)
from models.risk.observation import observe
from models.risk.pending import Observation, packed
from models.risk.scorecard import Scorecard
from models.rules import Rules

EXAMPLE_SCHEMA: Final = "forewarn.training-example.v1"


class Example(Struct, frozen=True, kw_only=True):
    """A matured observation, as it stands on `training-examples`; what is censored is told, and not learnt from."""

    schema: Literal["forewarn.training-example.v1"] = EXAMPLE_SCHEMA
    borrower: str
    """A hash: the model need not know whom it learns from."""
    observed_ms: int
    matured_ms: int
    features: dict[str, float]
    outcome: Outcome
    reason: OutcomeReason
    decided_ms: int
    contacts: int
    """Attempts at the borrower between observation and maturity: beside the features, never among them."""
    segment: str | None
    probability: float
    """By the card in use at the observation."""
    card_version: str

    def values(self, names: tuple[str, ...]) -> tuple[float, ...]:
        """The features in a card's order; one that this example's release did not know has its default.

        A name that no release knows is a `KeyError`.
        """
        nothing: dict[str, float] = Features()._asdict()
        return tuple(self.features[name] if name in self.features else nothing[name] for name in names)


def make_observation(borrower: Borrower, at_ms: int, rules: Rules, card: Scorecard) -> Observation | None:
    """Observe a borrower at the midnight `at_ms`; None where there is nothing to foretell."""
    loans = borrower.loans
    if not has_something_to_foretell(loans, borrower.servicing, at_ms):
        return None
    features = observe(borrower, at_ms, rules, deadline=True)
    if not is_below_all_targets(features.days_past_due, rules) and is_any_at_target(loans, at_ms, rules):
        return None
    return Observation(
        observed_ms=at_ms,
        matures_ms=matures_ms(loans, at_ms, rules),
        packed=packed(features),
        probability=card.score(card.pick(features)),
        card_version=card.version,
        segment=_segment(borrower, at_ms),
    )


def mature(borrower_id: str, borrower: Borrower, observation: Observation, rules: Rules) -> Example:
    """What became of it; to be asked once the watermark of `repayments` has passed `matures_ms`."""
    observed_ms, matured_ms = observation.observed_ms, observation.matures_ms
    found = label(borrower.loans, borrower.servicing, observed_ms, matured_ms, rules)
    if observation.decided is not None:
        found = earliest([found, observation.decided])
    return Example(
        borrower=hashlib.sha256(borrower_id.encode()).hexdigest()[:16],
        observed_ms=observed_ms,
        matured_ms=matured_ms,
        features=dict(zip(Features._fields, observation.values, strict=False)),
        outcome=found.outcome,
        reason=found.reason,
        decided_ms=found.decided_ms,
        contacts=contacts_between(borrower.servicing, observed_ms, matured_ms),
        segment=observation.segment,
        probability=observation.probability,
        card_version=observation.card_version,
    )


def order_of(example: Example) -> tuple[int, str, int]:
    """The place of an example among those of all engines, however many there are: by it they are merged."""
    return example.matured_ms, example.borrower, example.observed_ms


def remember_decided(borrower: Borrower, loan: Loan, rules: Rules) -> None:
    """Note what a loan that is about to be forgotten has decided for the observations that are pending."""
    for place, observation in enumerate(borrower.observations):
        found = decided_by(loan, observation.observed_ms, observation.matures_ms, rules)
        if observation.decided is not None:
            found.append(observation.decided)
        if found:
            borrower.observations[place] = msgspec.structs.replace(observation, decided=earliest(found))


def _segment(borrower: Borrower, at_ms: int) -> str | None:
    """The segment, else the product, of the newest loan open at that midnight."""
    newest = max(
        (
            (loan.opened_ms, loan.segment or loan.product or "")
            for loan in borrower.loans.values()
            if loan.opened_ms < at_ms and (loan.closed_ms is None or loan.closed_ms >= at_ms)
        ),
        default=(0, ""),
    )
    return newest[1] or None
