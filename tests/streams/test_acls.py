"""Who may do what: one table, written out for Kafka's own tool and for Strimzi."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner

import streams.commands.topics
from streams.acls import ROLES, Operation, commands, grants, strimzi
from streams.cli import main
from streams.settings import Settings, load_settings
from streams.topics import TopicNames, topic_specs

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = load_settings({}, {"topic_prefix": "lender.", "group_id": "night"})


def test_no_grant_reaches_beyond_the_installation() -> None:
    """Every name begins with the installation's prefix or its group, but for the groups that subscribers choose."""
    for grant in grants(SETTINGS):
        if grant.role != "subscriber" or grant.resource != "group":
            assert all(name.startswith(("lender.", "night")) for name in grant.names), grant


def test_nobody_but_the_administrator_makes_or_changes_topics() -> None:
    """A worker makes one topic only, Faust's own."""
    for grant in grants(SETTINGS):
        if grant.role != "administrator":
            assert "AlterConfigs" not in grant.operations
            if "Create" in grant.operations:
                assert grant.names == ("lender.night-faust-__assignor-__leader",)


def test_every_topic_is_written_and_read_by_somebody() -> None:
    """A topic that nobody may read or write would have been forgotten in the table."""
    names = TopicNames(SETTINGS.topic_prefix)
    for operation in ("Read", "Write"):
        allowed = {
            name for grant in grants(SETTINGS) if operation in grant.operations for name in grant.names
        }
        assert {spec.name for spec in topic_specs(SETTINGS)} <= allowed
    worker = {name for grant in grants(SETTINGS, ["worker"]) for name in grant.names}
    assert set(names.consumed) <= worker


def test_the_transactional_id_of_every_task_is_covered_and_nobody_elses() -> None:
    """The prefix that is granted is the beginning of each task's id."""
    (prefix,) = [
        name
        for grant in grants(SETTINGS, ["worker"])
        if grant.resource == "transactional-id" and grant.pattern == "prefixed"
        for name in grant.names
    ]

    assert [SETTINGS.transactional_id(task) for task in (0, 10)] == [f"{prefix}0", f"{prefix}10"]


def test_each_grant_is_one_call_of_kafkas_own_tool() -> None:
    """Principal, operations, resources and pattern, as `kafka-acls.sh` takes them."""
    (written,) = commands(grants(SETTINGS, ["producer"]), "User:core-banking")

    assert written == (
        "kafka-acls.sh --add --allow-principal 'User:core-banking' --operation Write --topic 'lender.credit-queries' "
        "--topic 'lender.fund-flows' --topic 'lender.repayments' --topic 'lender.servicing' "
        "--resource-pattern-type literal"
    )


def test_webhooks_and_the_lenders_own_topics_change_the_table() -> None:
    """Delivering needs groups and producers of its own; nobody may make or change a topic that is the lender's."""
    given = {"topic_prefix": "lender.", "webhooks_file": "hooks.toml", "repayments_topic": "core.payments"}
    table = grants(load_settings({}, given))

    assert {grant.resource for grant in table if "lender.webhook-" in grant.names} == {
        "group",
        "transactional-id",
    }
    lenders = {
        (grant.role, operation)
        for grant in table
        if "core.payments" in grant.names
        for operation in grant.operations
    }
    assert ("worker", "Read") in lenders
    assert {operation for role, operation in lenders if role == "administrator"} == {
        "Describe",
        "DescribeConfigs",
    }


def test_strimzi_is_told_the_same() -> None:
    """One entry for each name, with Strimzi's own words for kinds and patterns."""
    entries = list(strimzi(grants(SETTINGS, ["worker"])))

    assert len(entries) == sum(len(grant.names) for grant in grants(SETTINGS, ["worker"]))
    assert {
        "resource": {"type": "transactionalId", "name": "lender.night-", "patternType": "prefix"},
        "operations": ["Write"],
    } in entries


def test_the_command_prints_the_table() -> None:
    """For all roles or one, for people or as JSON, with another principal where one role is asked for."""
    asked = ["topics", "acls", "--prefix", "lender.", "--group", "night"]
    everything = CliRunner().invoke(main, asked).stdout
    one = CliRunner().invoke(main, [*asked, "--role", "worker", "--principal", "User:CN=w"]).stdout
    told = json.loads(CliRunner().invoke(main, [*asked, "--json"]).stdout)

    assert len(everything.splitlines()) == len(grants(SETTINGS))
    assert one.splitlines() == list(commands(grants(SETTINGS, ["worker"]), "User:CN=w"))
    assert told == {role: list(strimzi(grants(SETTINGS, [role]))) for role in ROLES}
    assert CliRunner().invoke(main, [*asked, "--principal", "User:x"]).exit_code == 2


def test_the_commands_roles_are_the_tables() -> None:
    """The command has them written out, so that `--help` is quick."""
    assert streams.commands.topics._ROLES == ROLES
    assert {operation for grant in grants(SETTINGS) for operation in grant.operations} <= set(
        get_args(Operation)
    )


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_read_mes_show_the_table_as_it_is(name: str) -> None:
    """A line for each grant, with the default names and every operation."""
    cells = [
        line.split(" | ")
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
        if line.startswith("| `") and line.count(" | ") == 3
    ]
    shown = [
        (re.findall(r"`([^`]+)`", f"{role} {resource}"), re.findall(r"\w+", operations))
        for role, resource, operations, _ in cells
    ]
    for grant in grants(Settings()):
        assert ([grant.role, *grant.names], list(grant.operations)) in shown


def test_webhooks_are_granted_where_they_are_used() -> None:
    """Groups and producers of every endpoint, and their dead letters; nothing of it without `webhooks_file`."""
    plain = grants(SETTINGS)
    more = grants(load_settings({}, {"topic_prefix": "lender.", "group_id": "night", "webhooks_file": "w"}))
    added = [
        (grant.resource, grant.names, grant.operations, grant.pattern)
        for grant in more
        if grant not in plain and grant.role == "worker"
    ]

    assert added == [
        ("topic", ("lender.alerts",), ("Read",), "literal"),
        ("topic", ("lender.webhook-dead-letters",), ("Write",), "literal"),
        ("group", ("lender.webhook-",), ("Read",), "prefixed"),
        ("transactional-id", ("lender.webhook-",), ("Write",), "prefixed"),
    ]
