"""The policy: every threshold of the engine, validated, versioned by its content.

A policy file (TOML) overrides the packaged default key by key. A key or value that does not fit is a
`PolicyError` that names file, key and what is allowed.
"""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from models.calendars import zone_names
from models.events import TOPICS

PositiveDays = Annotated[int, Meta(ge=1, le=3660)]
Fraction = Annotated[float, Meta(gt=0, le=1)]
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


class SignalsPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """One section a signal."""

    missed_payment: MissedPaymentPolicy
    income_drop: IncomeDropPolicy
    multi_platform_borrowing: MultiPlatformBorrowingPolicy


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


class ContactPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """When and how often a borrower may be contacted."""

    earliest_hour: Hour
    latest_hour: Hour
    attempts_per_day: Annotated[int, Meta(ge=0, le=100)]


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """Every threshold of the engine."""

    time_zone: str
    own_institutions: tuple[str, ...]
    institution_aliases: dict[str, str]
    feeds: dict[str, FeedPolicy]
    signals: SignalsPolicy
    risk: RiskPolicy
    contact: ContactPolicy

    @property
    def version(self) -> str:
        """Hash of the content: equal policies have equal versions, wherever they were written."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]

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


_OPEN_TABLES: Final = {("institution_aliases",)}
"""Tables whose keys are data of the lender's."""


def _overlay(
    base: dict[str, Any], override: dict[str, Any], path: tuple[str, ...], name: str
) -> dict[str, Any]:
    merged = dict(base)
    for key, value in override.items():
        here = (*path, key)
        if path in _OPEN_TABLES:
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
            if isinstance(value, dict) and here not in _OPEN_TABLES and isinstance(base[key], dict)
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
    return policy


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
        "risk.tiers": policy.risk.tiers,
    }
    for key, ladder in ladders.items():
        steps = msgspec.structs.astuple(ladder)
        if list(steps) != sorted(set(steps)):
            fields = " < ".join(ladder.__struct_fields__)
            msg = f"{name}: {key}: must rise: {fields}, not {', '.join(map(str, steps))}"
            raise PolicyError(msg)
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
