"""The policy: every threshold of the engine, validated, versioned by its content.

A policy file (TOML) overrides the packaged default key by key. A key or value that does not fit is a
`PolicyError` that names file, key and what is allowed.
"""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from models.alerts import SeverityName, SignalName
from models.business_days import BusinessCalendarName
from models.calendars import zone_names
from models.events import TOPICS
from models.limits import CLOSED_EPISODES_MAX, COMBINATIONS_MAX, CONTACTS_MAX, SEGMENTS_MAX

PositiveDays = Annotated[int, Meta(ge=1, le=3660)]
Fraction = Annotated[float, Meta(gt=0, le=1)]
Ratio = Annotated[float, Meta(gt=0, le=100)]
Hour = Annotated[int, Meta(ge=0, le=24)]

DEFAULT_NAME: Final = "default.toml"


class PolicyError(ValueError):
    """A policy that is not valid: the message names file, key and what is allowed."""


class FeedPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """One feed: how late its events may come, in minutes of event time."""

    lateness_minutes: Annotated[int, Meta(ge=0, le=60 * 24 * 60)]


class DaysPastDueSeverity(Struct, frozen=True, forbid_unknown_fields=True):
    """Days past due at which each severity begins."""

    watch: PositiveDays
    warning: PositiveDays
    serious: PositiveDays
    critical: PositiveDays


class FractionSeverity(Struct, frozen=True, forbid_unknown_fields=True):
    """Fraction lost at which each severity begins."""

    watch: Fraction
    warning: Fraction
    serious: Fraction


class CountSeverity(Struct, frozen=True, forbid_unknown_fields=True):
    """Count at which each severity begins."""

    watch: Annotated[int, Meta(ge=1, le=1000)]
    warning: Annotated[int, Meta(ge=1, le=1000)]
    serious: Annotated[int, Meta(ge=1, le=1000)]


class MissedPaymentPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Signal `missed_payment`."""

    grace_days: Annotated[int, Meta(ge=0, le=90)]
    grace_counts_from: Literal["due_date", "grace_end"]
    tolerance_minor: Annotated[int, Meta(ge=0, le=10**9)]
    severity: DaysPastDueSeverity


class IncomeDropPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Signal `income_drop`."""

    history_days_min: PositiveDays
    severity: FractionSeverity
    ease_margin: Annotated[float, Meta(ge=0, lt=1)]
    late_days: Annotated[int, Meta(ge=0, le=90)]
    job_change_days: Annotated[int, Meta(ge=0, le=120)]
    spring_festival_days: Annotated[int, Meta(ge=0, le=60)]
    settled_days: PositiveDays
    cooldown_days: Annotated[int, Meta(ge=0, le=3660)]


class MultiPlatformBorrowingPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Signal `multi_platform_borrowing`."""

    window_days: Annotated[int, Meta(ge=1, le=366)]
    memory_days: Annotated[int, Meta(ge=1, le=732)]
    flow_history_days_min: Annotated[int, Meta(ge=0, le=732)]
    severity: CountSeverity
    cooldown_days: Annotated[int, Meta(ge=0, le=3660)]


class UnreachablePolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Signal `unreachable`: `severity` counts failed attempts in a row, `broken_promises` promises not kept."""

    severity: CountSeverity
    distinct_days_min: Annotated[int, Meta(ge=1, le=CONTACTS_MAX)]
    broken_promises: CountSeverity
    promise_window_days: Annotated[int, Meta(ge=1, le=366)]
    promise_grace_days: Annotated[int, Meta(ge=0, le=30)]
    promise_kept_share: Fraction
    cooldown_days: Annotated[int, Meta(ge=0, le=3660)]


class CoverageSeverity(Struct, frozen=True, forbid_unknown_fields=True):
    """Fraction covered below which each severity holds: they fall."""

    watch: Fraction
    warning: Fraction
    serious: Fraction


class PaymentAtRiskPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Signal `payment_at_risk`."""

    ahead_days: Annotated[int, Meta(ge=1, le=28)]
    fresh_days: Annotated[int, Meta(ge=1, le=30)]
    severity: CoverageSeverity
    serious_days: Annotated[int, Meta(ge=0, le=28)]
    ease_margin: Annotated[float, Meta(ge=0, lt=1)]
    cooldown_days: Annotated[int, Meta(ge=0, le=3660)]


class RelapseCounts(Struct, frozen=True, forbid_unknown_fields=True):
    """Spells past due, the present one included, at which each severity begins."""

    watch: Annotated[int, Meta(ge=1, le=100)]
    warning: Annotated[int, Meta(ge=1, le=100)]
    serious: Annotated[int, Meta(ge=1, le=100)]


class RelapseWorst(Struct, frozen=True, forbid_unknown_fields=True):
    """Worst days past due of an earlier spell at which each severity begins, whatever the count."""

    warning: PositiveDays
    serious: PositiveDays


class RelapsePolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Signal `relapse`."""

    memory_days: Annotated[int, Meta(ge=1, le=365)]
    repaired_days_min: PositiveDays
    severity: RelapseCounts
    worst_days_past_due: RelapseWorst


class BorrowingToRepayPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Signal `borrowing_to_repay`: `severity` counts pairs of a disbursement and repayments elsewhere."""

    pair_days: Annotated[int, Meta(ge=1, le=31)]
    pair_fraction: Fraction
    amount_minor_min: Annotated[int, Meta(ge=1, le=10**15)]
    window_days: Annotated[int, Meta(ge=1, le=366)]
    agreed_purposes: tuple[str, ...]
    severity: CountSeverity
    cooldown_days: Annotated[int, Meta(ge=0, le=3660)]


class RatioSeverity(Struct, frozen=True, forbid_unknown_fields=True):
    """Ratio at which each severity begins."""

    watch: Ratio
    warning: Ratio
    serious: Ratio


class OverIndebtednessPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Signal `over_indebtedness`."""

    history_days_min: PositiveDays
    severity: RatioSeverity
    ease_margin: Annotated[float, Meta(ge=0, lt=1)]
    summary_days: Annotated[int, Meta(ge=1, le=366)]
    cooldown_days: Annotated[int, Meta(ge=0, le=3660)]


UseCategory = Literal["securities", "property", "gambling"]


class FundMisusePolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Signal `fund_misuse`: `severity` is a fraction of the principal."""

    watch_days: Annotated[int, Meta(ge=1, le=62)]
    own_money_days: Annotated[int, Meta(ge=1, le=62)]
    remember_days: Annotated[int, Meta(ge=1, le=366)]
    forbidden: tuple[UseCategory, ...]
    forbidden_by_purpose: dict[str, tuple[UseCategory, ...]]
    amount_minor_min: Annotated[int, Meta(ge=1, le=10**15)]
    severity: FractionSeverity
    ease_margin: Annotated[float, Meta(ge=0, lt=1)]
    cooldown_days: Annotated[int, Meta(ge=0, le=3660)]


class AssetFlightPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Signal `asset_flight`."""

    days_past_due_min: PositiveDays
    window_days: Annotated[int, Meta(ge=1, le=30)]
    memory_days: Annotated[int, Meta(ge=1, le=366)]
    flow_history_days_min: Annotated[int, Meta(ge=0, le=732)]
    transfer_minor: Annotated[int, Meta(ge=1, le=10**15)]
    amount_minor_min: Annotated[int, Meta(ge=1, le=10**15)]
    severity: FractionSeverity
    drained_severity: FractionSeverity
    ease_margin: Annotated[float, Meta(ge=0, lt=1)]
    cooldown_days: Annotated[int, Meta(ge=0, le=3660)]


RelationThreshold = SeverityName | Literal["off"]


class LinkedThresholds(Struct, frozen=True, forbid_unknown_fields=True):
    """The level of somebody linked from which on it counts, by relation."""

    guarantor: RelationThreshold
    owner: RelationThreshold
    co_borrower: RelationThreshold
    spouse: RelationThreshold
    employer: RelationThreshold
    other: RelationThreshold


class LinkedDistressPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Signal `linked_distress`: `counted` and `settle_days` make a borrower's level, the rest says what a level does to others."""

    threshold: LinkedThresholds
    steps_milder: Annotated[int, Meta(ge=0, le=3)]
    counted: tuple[SignalName, ...]
    settle_days: Annotated[int, Meta(ge=0, le=366)]


class TierSeverity(Struct, frozen=True, forbid_unknown_fields=True):
    """Tier of `[risk]` at which each severity begins."""

    watch: Literal["medium", "high", "severe"]
    warning: Literal["medium", "high", "severe"]


class RiskScorePolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Signal `risk_score`."""

    severity: TierSeverity
    background_min: Annotated[float, Meta(ge=0, lt=1)]
    rise: Fraction
    rise_days: Annotated[int, Meta(ge=1, le=60)]
    ease_ratio: Fraction
    cooldown_days: Annotated[int, Meta(ge=0, le=3660)]


class SignalsPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """One section a signal."""

    missed_payment: MissedPaymentPolicy
    income_drop: IncomeDropPolicy
    multi_platform_borrowing: MultiPlatformBorrowingPolicy
    payment_at_risk: PaymentAtRiskPolicy
    borrowing_to_repay: BorrowingToRepayPolicy
    over_indebtedness: OverIndebtednessPolicy
    fund_misuse: FundMisusePolicy
    asset_flight: AssetFlightPolicy
    relapse: RelapsePolicy
    unreachable: UnreachablePolicy
    linked_distress: LinkedDistressPolicy
    risk_score: RiskScorePolicy


class LedgerPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """How the ledger reads due dates and snapshots."""

    due_on_business_days: bool
    business_calendar: BusinessCalendarName
    reconcile_tolerance_minor: Annotated[int, Meta(ge=0, le=10**12)]
    reconcile_tolerance_days: Annotated[int, Meta(ge=0, le=366)]
    take_on_currency: Annotated[str, Meta(min_length=1, max_length=16)]


class ClassificationPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Which classification is shown beside days past due."""

    pack: Literal["cn-2023", "ifrs9", "none"]


class TierPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Probability at which each tier begins; below `medium` the tier is low."""

    medium: Fraction
    high: Fraction
    severe: Fraction


class RiskPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """What the probability is of, and how it is put to use."""

    target_days_late: PositiveDays
    horizon_days: PositiveDays
    tiers: TierPolicy
    priority_exposure_minor: Annotated[int, Meta(ge=1, le=10**15)]


class ModelPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """What is done so that the model can learn. The defaults stand for what policies say that are older than this table."""

    observes: bool = True
    observes_every_days: Annotated[int, Meta(ge=10, le=366)] = 30


class ContactPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """When and how often a borrower may be contacted."""

    earliest_hour: Hour
    latest_hour: Hour
    attempts_per_day: Annotated[int, Meta(ge=0, le=CONTACTS_MAX)]
    attempts_per_7_days: Annotated[int, Meta(ge=0, le=CONTACTS_MAX)]
    days_after_conversation: Annotated[int, Meta(ge=0, le=30)]


class RecommendationPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """What moves the next step, beside severity."""

    small_overdue_minor: Annotated[int, Meta(ge=0, le=10**15)]
    repeat_episodes: Annotated[int, Meta(ge=1, le=CLOSED_EPISODES_MAX)]
    promise_days_max: Annotated[int, Meta(ge=0, le=366)]


class CombinationPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """`signal`, up to `severity_max`, is one step worse while `confirmed_by` is at `confirmed_severity_min` or above."""

    signal: SignalName
    severity_max: SeverityName
    confirmed_by: SignalName
    confirmed_severity_min: SeverityName


Names = str | tuple[str, ...]
"""One name, or several of which any will do."""


class SegmentMatch(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which loans belong to a segment: those that every key given here fits, as `loan_opened` said."""

    product: Names | None = None
    segment: Names | None = None
    borrower_kind: Names | None = None
    platform: Names | None = None


class SegmentPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """A group of loans with thresholds of its own: `signals` holds those keys alone that differ."""

    match: SegmentMatch
    signals: dict[str, dict[str, Any]]


class Policy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every threshold of the engine."""

    time_zone: str
    own_institutions: tuple[str, ...]
    institution_aliases: dict[str, str]
    feeds: dict[str, FeedPolicy]
    signals: SignalsPolicy
    ledger: LedgerPolicy
    classification: ClassificationPolicy
    risk: RiskPolicy
    model: ModelPolicy = ModelPolicy()
    contact: ContactPolicy
    recommendation: RecommendationPolicy
    combinations: Annotated[tuple[CombinationPolicy, ...], Meta(max_length=COMBINATIONS_MAX)]
    segments: Annotated[dict[str, SegmentPolicy], Meta(max_length=SEGMENTS_MAX)]
    """By name; the first one by name that a loan fits is the loan's."""

    @property
    def version(self) -> str:
        """Hash of the content: equal policies have equal versions, wherever and whenever they were written."""
        content = msgspec.to_builtins(self)
        if self.model == ModelPolicy():
            del content["model"]  # those that were published before there was this table keep their versions
        return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]

    def lateness_ms(self, topic: str) -> int:
        """Allowed lateness of a feed."""
        return self.feeds[topic].lateness_minutes * 60_000


@lru_cache(maxsize=1)
def default_policy() -> Policy:
    """The packaged default."""
    return _validate(tomllib.loads(default_policy_text()), DEFAULT_NAME)


@lru_cache(maxsize=1)
def default_policy_text() -> str:
    """The packaged default as written, with its comments. Package data, read once, never an outside file."""
    return files("models").joinpath("policies", DEFAULT_NAME).read_text(encoding="utf-8")


def parse_policy(text: str, name: str) -> Policy:
    """Lay the policy file `text` over the default.

    Args:
        text: TOML; may be empty.
        name: what errors call the file.

    Raises:
        PolicyError: with file, key and what is allowed.
    """
    try:
        override = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{name}: not valid TOML: {error}"
        raise PolicyError(msg) from error
    return _validate(_overlay(tomllib.loads(default_policy_text()), override, (), name), name)


def check_policy(policy: Policy, name: str) -> None:
    """Make sure of a policy that was read in its own form: types say whether it decodes, not whether it makes sense.

    Raises:
        PolicyError: as `parse_policy`.
    """
    _validate(msgspec.to_builtins(policy), name)


def policy_of_segment(policy: Policy, segment: str, name: str = "policy") -> Policy:
    """The policy with the thresholds of one of its segments in the place of its own.

    Raises:
        PolicyError: the segment's keys or values do not fit.
    """
    where = f"{name}: segments.{segment}"
    path = ("segments", segment, "signals")
    signals = _overlay(msgspec.to_builtins(policy.signals), policy.segments[segment].signals, path, name)
    try:
        own = msgspec.convert(signals, SignalsPolicy)
    except msgspec.ValidationError as error:
        what, _, key = str(error).partition(" - at `$.")
        msg = f"{where}.signals.{key.rstrip('`')}: {what[0].lower()}{what[1:]}"
        raise PolicyError(msg) from error
    if own.missed_payment.tolerance_minor != policy.signals.missed_payment.tolerance_minor:
        msg = (
            f"{where}.signals.missed_payment.tolerance_minor: the ledger counts every loan by the same tolerance; "
            f"set it for all"
        )
        raise PolicyError(msg)
    overridden = msgspec.structs.replace(policy, signals=own, segments={})
    _check_order(overridden, where)
    _check_unreachable(overridden, where)
    _check_linked(overridden, where)
    return overridden


_OPEN_TABLES: Final = {
    ("institution_aliases",),
    ("segments",),
    ("signals", "fund_misuse", "forbidden_by_purpose"),
}
"""Tables whose keys are data of the lender's; what the default holds stays, as everywhere."""


def _is_open_table(path: tuple[str, ...]) -> bool:
    return path in _OPEN_TABLES or (path[0] == "segments" and path[2:] in _OPEN_TABLES)


def _overlay(
    base: dict[str, Any], override: dict[str, Any], path: tuple[str, ...], name: str
) -> dict[str, Any]:
    merged = dict(base)
    for key, value in override.items():
        here = (*path, key)
        if path and _is_open_table(path):
            merged[key] = value
            continue
        if key not in base:
            raise PolicyError(_unknown_key_message(here, sorted(base), name))
        if isinstance(base[key], dict) and not isinstance(value, dict):
            keys = ", ".join(sorted(base[key])) or "data of your own"
            msg = f"{name}: {'.'.join(here)} is a table, not {value!r}; its keys: {keys}"
            raise PolicyError(msg)
        merged[key] = (
            _overlay(base[key], value, here, name)
            if isinstance(value, dict) and isinstance(base[key], dict)
            else value
        )
    return merged


def _unknown_key_message(path: tuple[str, ...], known: list[str], name: str) -> str:
    allowed = f"allowed: {', '.join(known)}"
    return f"{name}: unknown key {'.'.join(path)}; did you mean {_nearest_key(path, known)}? {allowed}"


def _nearest_key(path: tuple[str, ...], siblings: list[str]) -> str:
    """A key of the same table that reads alike; else of any table, for a key in the wrong one; else any sibling."""
    table, key = path[:-1], path[-1]
    near = difflib.get_close_matches(key, siblings, n=1)
    if not near:
        by_name = {
            dotted.rpartition(".")[2]: dotted for dotted in _dotted_keys(tomllib.loads(default_policy_text()))
        }
        elsewhere = difflib.get_close_matches(key, sorted(by_name), n=1)
        if elsewhere:
            return by_name[elsewhere[0]]
        near = difflib.get_close_matches(key, siblings, n=1, cutoff=0)
    return ".".join((*table, near[0]))


def _dotted_keys(table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _dotted_keys(value, f"{prefix}{key}.")


def _validate(document: dict[str, Any], name: str) -> Policy:
    _check_segment_keys(document.get("segments"), name)
    try:
        policy = msgspec.convert(document, Policy)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        key = where.rstrip("`") or "(top level)"
        msg = f"{name}: {key}: {what[0].lower()}{what[1:]}"
        raise PolicyError(msg) from error
    _check_time_zone(policy, name)
    _check_aliases(policy, name)
    _check_feeds(policy, name)
    _check_order(policy, name)
    _check_unreachable(policy, name)
    _check_linked(policy, name)
    _check_combinations(policy, name)
    for segment in policy.segments:
        policy_of_segment(policy, segment, name)
    return policy


def _check_segment_keys(segments: object, name: str) -> None:
    """Name the nearest known key, which a decoder does not; what is no table at all is left to it."""
    for segment, table in segments.items() if isinstance(segments, dict) else ():
        path = ("segments", segment)
        if not isinstance(table, dict):
            raise PolicyError(
                f"{name}: segments.{segment} is a table, not {table!r}; its keys: match, signals"
            )
        _check_keys(table, (*path,), ("match", "signals"), name)
        match = table.get("match")
        if not isinstance(match, dict) or not match:
            fields = ", ".join(SegmentMatch.__struct_fields__)
            raise PolicyError(
                f"{name}: segments.{segment}.match: says which loans, by one of {fields} or more"
            )
        _check_keys(match, (*path, "match"), SegmentMatch.__struct_fields__, name)
        table.setdefault("signals", {})


def _check_keys(table: dict[str, Any], path: tuple[str, ...], known: Sequence[str], name: str) -> None:
    for key in table:
        if key not in known:
            raise PolicyError(_unknown_key_message((*path, key), list(known), name))


def _check_time_zone(policy: Policy, name: str) -> None:
    if policy.time_zone not in zone_names():
        nearest = difflib.get_close_matches(policy.time_zone, sorted(zone_names()), n=1, cutoff=0)
        msg = f"{name}: time_zone: {policy.time_zone!r} is no IANA time zone; did you mean {nearest[0]}?"
        raise PolicyError(msg)


def _check_aliases(policy: Policy, name: str) -> None:
    aliases = policy.institution_aliases
    for reported, counted in aliases.items():
        further = aliases.get(counted, counted)
        if further != counted:
            msg = (
                f"{name}: institution_aliases.{reported}: {counted!r} is itself counted as {further!r}; "
                f"name the last one"
            )
            raise PolicyError(msg)


def _check_feeds(policy: Policy, name: str) -> None:
    for topic in policy.feeds:
        if topic not in TOPICS:
            raise PolicyError(_unknown_key_message(("feeds", topic), list(TOPICS), name))


def _check_order(policy: Policy, name: str) -> None:
    signals = policy.signals
    ladders: dict[str, Struct] = {
        "signals.missed_payment.severity": signals.missed_payment.severity,
        "signals.income_drop.severity": signals.income_drop.severity,
        "signals.multi_platform_borrowing.severity": signals.multi_platform_borrowing.severity,
        "signals.unreachable.severity": signals.unreachable.severity,
        "signals.unreachable.broken_promises": signals.unreachable.broken_promises,
        "signals.relapse.severity": signals.relapse.severity,
        "signals.relapse.worst_days_past_due": signals.relapse.worst_days_past_due,
        "signals.over_indebtedness.severity": signals.over_indebtedness.severity,
        "signals.borrowing_to_repay.severity": signals.borrowing_to_repay.severity,
        "signals.fund_misuse.severity": signals.fund_misuse.severity,
        "signals.asset_flight.severity": signals.asset_flight.severity,
        "signals.asset_flight.drained_severity": signals.asset_flight.drained_severity,
        "risk.tiers": policy.risk.tiers,
    }
    for key, ladder in ladders.items():
        steps = msgspec.structs.astuple(ladder)
        if list(steps) != sorted(set(steps)):
            fields = " < ".join(ladder.__struct_fields__)
            msg = f"{name}: {key}: must rise: {fields}, not {', '.join(map(str, steps))}"
            raise PolicyError(msg)
    _check_coverage(signals.payment_at_risk.severity, name)
    _check_tiers(signals.risk_score.severity, name)
    multi_platform = signals.multi_platform_borrowing
    if multi_platform.memory_days < multi_platform.window_days:
        msg = (
            f"{name}: signals.multi_platform_borrowing.memory_days: must be at least window_days "
            f"({multi_platform.window_days}), not {multi_platform.memory_days}"
        )
        raise PolicyError(msg)
    if policy.contact.earliest_hour >= policy.contact.latest_hour:
        msg = (
            f"{name}: contact.earliest_hour: must be before latest_hour ({policy.contact.latest_hour}), "
            f"not {policy.contact.earliest_hour}"
        )
        raise PolicyError(msg)


def _check_unreachable(policy: Policy, name: str) -> None:
    unreachable = policy.signals.unreachable
    if unreachable.severity.serious > CONTACTS_MAX:
        msg = (
            f"{name}: signals.unreachable.severity.serious: must be at most {CONTACTS_MAX}, the attempts that are "
            f"remembered, not {unreachable.severity.serious}"
        )
        raise PolicyError(msg)
    if unreachable.distinct_days_min > unreachable.severity.watch:
        msg = (
            f"{name}: signals.unreachable.distinct_days_min: must be at most severity.watch "
            f"({unreachable.severity.watch}), for an attempt is on one day, not {unreachable.distinct_days_min}"
        )
        raise PolicyError(msg)


def _check_combinations(policy: Policy, name: str) -> None:
    for place, combination in enumerate(policy.combinations):
        if combination.signal == combination.confirmed_by:
            msg = f"{name}: combinations.{place}.confirmed_by: a signal cannot confirm itself ({combination.signal})"
            raise PolicyError(msg)
        if combination.confirmed_by == "linked_distress":
            msg = f"{name}: combinations.{place}.confirmed_by: linked_distress comes when others tell, and makes no own alert worse"
            raise PolicyError(msg)


def _check_linked(policy: Policy, name: str) -> None:
    """What is told of one borrower must not tell of a third."""
    if "linked_distress" in policy.signals.linked_distress.counted:
        raise PolicyError(
            f"{name}: signals.linked_distress.counted: linked_distress does not count for itself: trouble goes one hop"
        )


def _check_tiers(severity: TierSeverity, name: str) -> None:
    tiers = TierPolicy.__struct_fields__
    if tiers.index(severity.watch) >= tiers.index(severity.warning):
        msg = (
            f"{name}: signals.risk_score.severity: must rise: watch < warning among {' < '.join(tiers)}, "
            f"not {severity.watch}, {severity.warning}"
        )
        raise PolicyError(msg)


def _check_coverage(severity: CoverageSeverity, name: str) -> None:
    if not severity.watch > severity.warning > severity.serious:
        steps = ", ".join(map(str, msgspec.structs.astuple(severity)))
        msg = f"{name}: signals.payment_at_risk.severity: must fall: watch > warning > serious, not {steps}"
        raise PolicyError(msg)
