"""A mapping file that cannot be used is refused with its place, and with what is known that comes nearest."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.events import TYPES_BY_TOPIC
from streams.codec import KeptRecord, Reject, tag_of
from streams.mapping.decoder import MappedDecoder
from streams.mapping.errors import MappingError
from streams.mapping.loading import decoders_from, read_mapping
from streams.mapping.parsing import parse_mapping
from streams.settings import SettingsError, load_settings
from tests.support.lender import MAPPING
from tests.support.lender_of_everything import mapping_text

FLOW = """
[[fund-flows.events]]
type = "fund_flow"
event_id = "id"
borrower_id = "who"
event_time_ms = "at"
account_id = "account"
direction = "direction"
amount_minor = "amount"
currency = "ccy"
"""


def test_a_mapping_of_every_type_and_field_is_valid_and_has_a_fast_way() -> None:
    """Nothing of the contract is out of reach."""
    mapping = parse_mapping(mapping_text(), "every.toml")
    for topic, feed in mapping.feeds.items():
        assert [rule.tag for rule in feed.rules] == [tag_of(kind) for kind in TYPES_BY_TOPIC[topic]]
        assert MappedDecoder(feed).slow_because is None


@pytest.mark.parametrize(
    ("found", "instead", "said"),
    [
        ('type = "fund_flow"', 'type = "fund_flows"', "unknown type 'fund_flows'; did you mean fund_flow?"),
        ('type = "fund_flow"', "", "type is missing"),
        ('type = "fund_flow"', 'type = "repayment"', "unknown type 'repayment'"),
        ('account_id = "account"', "", "required and not mapped: account_id"),
        ('currency = "ccy"', 'curency = "ccy"', "unknown field 'curency'; did you mean currency?"),
        ('currency = "ccy"', 'currency = { form = "ccy" }', "unknown option 'form'; did you mean from?"),
        ('currency = "ccy"', "currency = {}", "must have one of from and constant"),
        (
            'currency = "ccy"',
            'currency = { from = "a", constant = "b" }',
            "must have one of from and constant",
        ),
        (
            'currency = "ccy"',
            'currency = { constant = "b", given_as = "text" }',
            "a constant takes no other option",
        ),
        ('currency = "ccy"', "currency = { constant = 7 }", "Expected `str`, got `int`"),
        ('currency = "ccy"', "currency = 7", "expected a path or a table"),
        ('currency = "ccy"', 'currency = "a..b"', "is no path"),
        ('currency = "ccy"', 'currency = { from = "a", given_as = "words" }', "unknown form 'words'"),
        ('amount_minor = "amount"', 'amount_minor = { from = "a", unit = "yaun" }', "did you mean yuan?"),
        ('amount_minor = "amount"', 'amount_minor = { from = "a", time = "iso" }', "unknown option 'time'"),
        (
            'amount_minor = "amount"',
            'amount_minor = { from = "a", rounding = "up" }',
            "unknown rounding 'up'",
        ),
        ('amount_minor = "amount"', 'amount_minor = { from = "a", absolute = 1 }', "expected true or false"),
        ('amount_minor = "amount"', "amount_minor = { constant = -1 }", ">= 0"),
        ('amount_minor = "amount"', 'amount_minor = ["a", "b"]', "expected a path"),
        (
            'event_time_ms = "at"',
            'event_time_ms = { from = "a", time = "epoch_m" }',
            "did you mean epoch_ms?",
        ),
        ('event_time_ms = "at"', 'event_time_ms = { from = "a", time = "%Q" }', "is no pattern"),
        ('direction = "direction"', 'direction = { from = "d", words = { C = "inn" } }', "did you mean in?"),
        (
            'direction = "direction"',
            'direction = { from = "d", sign = { negative = "out" } }',
            "stands alone",
        ),
        ('direction = "direction"', 'direction = { constant = "up" }', "Invalid enum value"),
        (
            'type = "fund_flow"',
            'type = "fund_flow"\nwhen = { a.b = "c" }',
            "a path with dots is put in quotes",
        ),
        ('type = "fund_flow"', 'type = "fund_flow"\nwhen = { a = 1.5 }', "expected words"),
        ('type = "fund_flow"', 'type = "fund_flow"\nwhen = { a = [] }', "expected words"),
        (
            "[[fund-flows.events]]",
            "[[fund-flow.events]]",
            "unknown key 'fund-flow'; did you mean fund-flows?",
        ),
        ("[[fund-flows.events]]", "[[fund-flows.event]]", "unknown key 'event'; did you mean events?"),
        (
            "[[fund-flows.events]]",
            'time_zone = "Asia/Shanhai"\n[[fund-flows.events]]',
            "did you mean Asia/Shanghai?",
        ),
        ("[[fund-flows.events]]", '[schemas]\nx = "y"\n[[fund-flows.events]]', "expected ids and files"),
        (
            "[[fund-flows.events]]",
            '[fund-flows]\nformat = "xml"\n[[fund-flows.events]]',
            "unknown format 'xml'",
        ),
        ("[[fund-flows.events]]", "[fund-flows.events]", "expected at most 100 tables"),
        (
            "[[fund-flows.events]]",
            "[[fund-flows.ignored]]\n[[fund-flows.events]]",
            "every record would be ignored",
        ),
        ("[[fund-flows.events]]", "[[fund-flows.examples]]\n[[fund-flows.events]]", "payload must be"),
        ('currency = "ccy"', 'currency = "ccy"' + FLOW, "nothing comes to the rules behind it"),
        ('currency = "ccy"', 'currency = "', "house.toml: "),
        (FLOW, "", "maps nothing"),
    ],
)
def test_what_is_wrong_is_told_with_what_is_nearest(found: str, instead: str, said: str) -> None:
    """File, place, and the word that was meant."""
    assert found in FLOW
    with pytest.raises(MappingError) as error:
        parse_mapping(FLOW.replace(found, instead), "house.toml")

    assert str(error.value).startswith("house.toml: ")
    assert said in str(error.value)


_EXAMPLE = """
[[fund-flows.examples]]
payload = '{"id": "e", "who": "b", "at": 5, "account": "a", "direction": "in", "amount": 7, "ccy": "CNY"}'
"""
_BECOMES = 'event = { type = "fund_flow", event_id = "e", borrower_id = "b", event_time_ms = 5, account_id = "a", direction = "in", amount_minor = 7, currency = "CNY" }'


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (_BECOMES, None),
        (_BECOMES.replace("7", "8"), "fund-flows.examples[0]: expected"),
        (_BECOMES.replace('"in"', '"up"'), "no event: unknown-direction"),
        ("ignored = true", "expected ignored, but it becomes"),
        ('rejected = "missing-field"', "expected rejected, missing-field, but it becomes"),
        ('rejected = "missing"', "unknown reason 'missing'"),
        ('ignored = true\nrejected = "missing-field"', "must say one of"),
    ],
)
def test_examples_are_held_against_the_rules(tmp_path: Path, said: str, wrong: str | None) -> None:
    """A mapping that does another thing than it says is used by nobody."""
    file = tmp_path / "house.toml"
    file.write_text(FLOW + _EXAMPLE + said, encoding="utf-8")
    settings = load_settings({}, {"mapping_file": str(file)})
    if wrong is None:
        assert len(decoders_from(settings)) == 4
        return
    with pytest.raises(MappingError) as error:
        decoders_from(settings)

    assert wrong in str(error.value)


def test_the_mapping_of_the_tests_holds_its_own_examples(tmp_path: Path) -> None:
    """Events, an ignored one and a rejected one."""
    file = tmp_path / "lender.toml"
    file.write_text(MAPPING, encoding="utf-8")

    assert set(read_mapping(file).feeds) == {"repayments", "fund-flows"}


@pytest.mark.parametrize("content", [None, b"\xff", b"#" * (1024 * 1024 + 1)])
def test_a_file_that_is_none_is_told_by_its_name(tmp_path: Path, content: bytes | None) -> None:
    """Not there, no text, or far too large."""
    file = tmp_path / "house.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(MappingError, match=r"house\.toml"):
        read_mapping(file)


def test_a_topic_serves_one_feed_only() -> None:
    """Two feeds of one topic would have no watermark of their own."""
    with pytest.raises(SettingsError, match="core is credit_queries_topic already"):
        load_settings({}, {"credit_queries_topic": "core", "servicing_topic": "core"})


def test_a_path_read_in_two_ways_is_read_the_slow_way_and_says_so() -> None:
    """As a value and as an object: right all the same."""
    text = FLOW.replace('currency = "ccy"', 'currency = "account.ccy"')
    decoder = MappedDecoder(parse_mapping(text, "house.toml").feeds["fund-flows"])
    payload = (
        b'{"id": "e", "who": "b", "at": 5, "account": "a", "direction": "in", "amount": 7, "ccy": "CNY"}'
    )
    (found,) = decoder.decode_all([KeptRecord(payload, b"b", 10**6)])

    assert decoder.slow_because == "account is read as a value and as an object"
    assert isinstance(found, Reject)
    assert found.detail == "account.ccy (currency) is missing"
