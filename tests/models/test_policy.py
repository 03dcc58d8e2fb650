"""The policy: overrides key by key, errors that name the key, a version that is the content."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.events import TOPICS
from models.policy import ModelPolicy, Policy, PolicyError, default_policy, default_policy_text, parse_policy
from models.rules import Rules


def leaves(table: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Return every value of a document with its path; the alias table is one value."""
    found: list[tuple[tuple[str, ...], Any]] = []
    for key, value in table.items():
        here = (*path, key)
        if isinstance(value, dict) and value:
            found += leaves(value, here)
        else:
            found.append((here, value))
    return found


def toml(path: tuple[str, ...], value: str) -> str:
    """Write one key as a policy file of its own."""
    return f"{'.'.join(path)} = {value}"


DEFAULTS = leaves(tomllib.loads(default_policy_text()))
NUMBERS = [
    (path, value)
    for path, value in DEFAULTS
    if isinstance(value, int | float) and value is not False and value is not True
]


_UNITS = (
    r"(local )?days\b|local hour\b|minutes of event time\b|minor units\b|fraction\b|probability\b|pairs\b|spells past due\b|"
    r"promises to pay\b|missed payments\b|(failed )?contact attempts\b|distinct new institutions\b|severities\b"
)
"""What the numbers of a policy count."""
_SOURCES = (
    r"house practice|blueprint, section|the lender|state council|civil code|basel|ifrs 9|cbirc|nfra|yinbaojianbanfa|yinjianfa|"
    r"gb/t \d|cfr \d|cfpb|ecb|iso 4217"
)
"""Who stands for a default: a rule, a publication, the design, or ourselves."""


# ---- the packaged default ----------------------------------------------------------------------------------------


def test_the_default_says_what_the_blueprint_says() -> None:
    """The thresholds of the contract, one by one."""
    policy = default_policy()
    assert policy.time_zone == "Asia/Shanghai"
    assert (policy.own_institutions, policy.institution_aliases) == ((), {})
    assert {topic: policy.lateness_ms(topic) for topic in TOPICS} == dict.fromkeys(TOPICS, 3_600_000)
    missed = policy.signals.missed_payment
    assert (missed.grace_days, missed.tolerance_minor) == (0, 100)
    assert msgspec.structs.astuple(missed.severity) == (1, 7, 30, 90)
    income = policy.signals.income_drop
    assert (income.history_days_min, income.settled_days) == (90, 180)
    assert msgspec.structs.astuple(income.severity) == (0.30, 0.50, 0.80)
    borrowing = policy.signals.multi_platform_borrowing
    assert (borrowing.window_days, borrowing.memory_days, borrowing.flow_history_days_min) == (30, 180, 90)
    assert msgspec.structs.astuple(borrowing.severity) == (3, 5, 8)
    assert (policy.risk.target_days_late, policy.risk.horizon_days) == (30, 60)
    assert (policy.contact.earliest_hour, policy.contact.latest_hour) == (8, 22)


def documented() -> dict[tuple[str, ...], tuple[str, str]]:
    """What the packaged file says of each key it sets: behind it, and with it in the lines above and below that belong to it."""
    said: dict[tuple[str, ...], tuple[str, str]] = {}
    section: tuple[str, ...] = ()
    above: list[str] = []
    for line in default_policy_text().splitlines():
        key = re.match(r"([a-z0-9_]+) = ", line)
        if key:
            behind = line.partition(" #")[2].strip()
            said[*section, key[1]] = behind, " ".join([*above, behind])
        elif re.match(r" +#", line):
            last = next(reversed(said))
            said[last] = said[last][0], said[last][1] + line
        if header := re.match(r"\[(.+)\]", line):
            section = tuple(header[1].split("."))
        above = [*above, line] if line.startswith("#") else []
    return said


DOCUMENTED = documented()


def test_the_default_sets_every_key_on_a_line_of_its_own() -> None:
    """So that each has its words; the steps of a severity share theirs."""
    assert {path if path in DOCUMENTED else path[:-1] for path, _ in DEFAULTS} == DOCUMENTED.keys()


@pytest.mark.parametrize("path", DOCUMENTED, ids=".".join)
def test_every_key_of_the_default_says_unit_and_source(path: tuple[str, ...]) -> None:
    """A number begins with its unit, anything else says what it means; and somebody stands for the default."""
    behind, all_said = DOCUMENTED[path]
    is_number = any(path == known[: len(path)] for known, _ in NUMBERS)

    if is_number:
        assert re.match(_UNITS, behind), behind
    assert len(behind.split()) >= 3, behind
    assert re.search(_SOURCES, all_said, re.IGNORECASE), all_said


def test_the_default_holds_every_key_of_the_policy() -> None:
    """Nothing has a hidden default in code: the packaged file decodes on its own."""
    assert parse_policy(default_policy_text(), "copy.toml") == default_policy()
    assert parse_policy("", "empty.toml") == default_policy()


# ---- overrides ---------------------------------------------------------------------------------------------------


@given(st.sampled_from(NUMBERS))
def test_an_override_changes_one_key(setting: tuple[tuple[str, ...], int | float]) -> None:
    """A file with one key gives the default with that key changed, and another version."""
    path, value = setting
    changed_value = value + 1 if isinstance(value, int) else value + 0.01
    try:
        changed = parse_policy(toml(path, repr(changed_value)), "one.toml")
    except PolicyError:
        changed_value = value - 1 if isinstance(value, int) else value - 0.01
        changed = parse_policy(toml(path, repr(changed_value)), "one.toml")
    before = dict(leaves(msgspec.to_builtins(default_policy())))
    after = dict(leaves(msgspec.to_builtins(changed)))
    assert {key for key in after if after[key] != before[key]} == {path}
    assert after[path] == changed_value
    assert changed.version != default_policy().version


def test_tables_merge_key_by_key_also_inline() -> None:
    """One severity of a ladder may be set without the others, as a table or in line."""
    as_table = parse_policy("[signals.missed_payment.severity]\nwarning = 5", "p.toml")
    in_line = parse_policy("[signals.missed_payment]\nseverity = { warning = 5 }", "p.toml")
    assert as_table == in_line
    assert msgspec.structs.astuple(as_table.signals.missed_payment.severity) == (1, 5, 30, 90)


def test_the_alias_table_takes_any_key() -> None:
    """Its keys are the lender's data, dots and all, and feed the look-up."""
    policy = parse_policy(
        'own_institutions = ["bank.cn"]\n[institution_aliases]\n"b.1" = "bank.cn"', "p.toml"
    )
    rules = Rules(policy)
    assert rules.institution("b.1") == "bank.cn"
    assert rules.institution("other") == "other"
    assert rules.own_institutions == {"bank.cn"}


def test_own_institutions_go_through_the_alias_table() -> None:
    """The lender may name itself by any name it is reported under."""
    rules = Rules(
        parse_policy('own_institutions = ["us-1"]\ninstitution_aliases = { us-1 = "us" }', "p.toml")
    )
    assert rules.own_institutions == {"us"}


# ---- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[signals.missed_paymnt]\ngrace_days = 1", ["signals.missed_paymnt", "signals.missed_payment?"]),
        (
            "[signals.missed_payment]\ngrace_dayz = 1",
            ["signals.missed_payment.grace_days?", "tolerance_minor"],
        ),
        ("grace_days = 1", ["unknown key grace_days", "signals.missed_payment.grace_days?"]),
        ("[feeds.repaymnts]\nlateness_minutes = 1", ["feeds.repayments?", "credit-queries"]),
        ("timezone = 'UTC'", ["unknown key timezone", "did you mean time_zone?"]),
        ("[risk.tiers]\nlow = 0.1", ["risk.tiers.low", "allowed: high, medium, severe"]),
        (
            "[signals.missed_payment.severity]\nworst = 9",
            ["severity.worst", "critical, serious, warning, watch"],
        ),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(text: str, parts: list[str]) -> None:
    """The error names file, key, the nearest known key and all that are allowed there."""
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, "house.toml")
    for part in ["house.toml: ", "unknown key", "did you mean", *parts]:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("time_zone = 'Asia/Shangai'", ["time_zone", "Asia/Shanghai"]),
        ("time_zone = '../../etc/localtime'", ["time_zone", "no IANA time zone"]),
        ("time_zone = ''", ["time_zone", "no IANA time zone"]),
        ("time_zone = 8", ["time_zone", "expected `str`", "`int`"]),
        ("own_institutions = 'us'", ["own_institutions", "`array`"]),
        ("institution_aliases = 'us'", ["institution_aliases is a table"]),
        ("institution_aliases = { a = 1 }", ["institution_aliases", "`str`"]),
        ("institution_aliases = { a = 'b', b = 'c' }", ["institution_aliases.a", "'c'"]),
        ("signals = 3", ["signals is a table", "missed_payment"]),
        ("[feeds.repayments]\nlateness_minutes = -1", ["feeds", "lateness_minutes", ">= 0"]),
        ("[feeds.repayments]\nlateness_minutes = 86401", ["lateness_minutes", "<= 86400"]),
        ("[signals.missed_payment]\ngrace_days = true", ["signals.missed_payment.grace_days", "`int`"]),
        ("[signals.missed_payment]\ngrace_days = 1.5", ["signals.missed_payment.grace_days", "`int`"]),
        ("[signals.missed_payment]\ngrace_days = 91", ["signals.missed_payment.grace_days", "<= 90"]),
        ("[signals.income_drop.severity]\nwatch = 0.0", ["signals.income_drop.severity.watch", "> 0"]),
        ("[signals.income_drop.severity]\nserious = 1.01", ["signals.income_drop.severity.serious", "<= 1"]),
        ("[signals.income_drop.severity]\nwatch = nan", ["signals.income_drop.severity.watch"]),
        ("[signals.missed_payment.severity]\nwarning = 30", ["severity: must rise", "1, 30, 30, 90"]),
        ("[signals.multi_platform_borrowing.severity]\nwatch = 6", ["must rise", "6, 5, 8"]),
        ("[risk.tiers]\nmedium = 0.5", ["risk.tiers: must rise", "medium < high < severe"]),
        (
            "[signals.multi_platform_borrowing]\nmemory_days = 29",
            ["memory_days", "window_days (30)", "not 29"],
        ),
        ("[contact]\nearliest_hour = 22", ["contact.earliest_hour", "latest_hour (22)"]),
        ("[contact]\nlatest_hour = 25", ["contact.latest_hour", "<= 24"]),
        ("a = ", ["not valid TOML"]),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(text: str, parts: list[str]) -> None:
    """The error names file and key and says what is allowed."""
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, "house.toml")
    for part in ["house.toml: ", *parts]:
        assert part in str(caught.value)


def test_an_alias_may_name_itself() -> None:
    """A table that lists the counted name too is no chain."""
    policy = parse_policy("institution_aliases = { a = 'b', b = 'b' }", "p.toml")
    assert Rules(policy).institution("a") == "b"


# ---- the version -------------------------------------------------------------------------------------------------

OVERRIDES = st.fixed_dictionaries(
    {},
    optional={
        "contact.attempts_per_day": st.integers(0, 9),
        "signals.missed_payment.grace_days": st.integers(0, 9),
        "signals.missed_payment.tolerance_minor": st.integers(0, 9),
        "signals.income_drop.severity.warning": st.sampled_from([0.4, 0.5, 0.6]),
        "feeds.repayments.lateness_minutes": st.integers(0, 9),
        "risk.horizon_days": st.integers(1, 9),
    },
)


def written(overrides: dict[str, int | float], order: list[str], blank: str) -> Policy:
    """Parse overrides written in an order, with `blank` between the lines."""
    return parse_policy(blank.join(f"{key} = {overrides[key]}" for key in order) + "\n", "p.toml")


@given(
    OVERRIDES.flatmap(lambda chosen: st.tuples(st.just(chosen), st.permutations(sorted(chosen)))),
    st.sampled_from(["\n", "\n\n", "   # why\n", "\n# a comment\n\n"]),
)
def test_the_version_does_not_depend_on_layout_order_or_comments(
    drawn: tuple[dict[str, int | float], list[str]], blank: str
) -> None:
    """The same content in another order, with other blanks and comments, is the same version."""
    overrides, order = drawn
    plain = written(overrides, sorted(overrides), "\n")
    other = written(overrides, order, blank)
    assert other == plain
    assert other.version == plain.version


@given(OVERRIDES, OVERRIDES)
def test_the_version_tells_policies_apart(one: dict[str, int | float], other: dict[str, int | float]) -> None:
    """Two policies have the same version exactly when they are equal."""
    policies = [written(overrides, sorted(overrides), "\n") for overrides in (one, other)]
    assert (policies[0] == policies[1]) == (policies[0].version == policies[1].version)


def test_the_order_of_aliases_does_not_matter_to_the_version() -> None:
    """A table is a table in whatever order it was written."""
    texts = ["institution_aliases = { a = 'x', b = 'y' }", "institution_aliases = { b = 'y', a = 'x' }"]
    versions = {parse_policy(text, "p.toml").version for text in texts}
    assert len(versions) == 1


def test_a_fraction_written_otherwise_is_the_same_version() -> None:
    """1 and 1.0, 0.5 and 0.50 are the same numbers."""
    for one, other in pairwise(["severity.serious = 1", "severity.serious = 1.0", "severity.serious = 1.00"]):
        policies = [parse_policy(f"[signals.income_drop]\n{text}", "p.toml") for text in (one, other)]
        assert policies[0].version == policies[1].version


@pytest.mark.parametrize("text", ["", "risk.horizon_days = 45"])
def test_a_policy_that_is_older_than_the_table_of_the_model_is_read_as_what_it_was(text: str) -> None:
    """Published before there was `[model]`, it is the policy that the defaults of today make of it, version and all."""
    policy = parse_policy(text, "p.toml")
    content = msgspec.to_builtins(policy)
    assert msgspec.convert(content.pop("model"), ModelPolicy) == ModelPolicy()
    older = msgspec.json.decode(msgspec.json.encode(content), type=Policy)
    assert older == policy
    assert older.version == policy.version


def test_who_is_observed_tells_policies_apart() -> None:
    """A policy that observes otherwise than the default is another one."""
    versions = {parse_policy(text, "p.toml").version for text in ("", "[model]\nobserves = false")}
    assert len(versions) == 2
