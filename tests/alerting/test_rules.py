"""The alerting rules: each fires when it should and is quiet when it should, and leads to its section of the runbook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml

from streams.cli import main
from tests.alerting.cases import CASES, Case, Series
from tests.alerting.rules import ALERTS, RULES, alerts_of
from tests.dashboards.panels import asked
from tests.support.prometheus import promtool

RUNBOOK: Final = Path(__file__).resolve().parents[2] / "deploy" / "RUNBOOK.md"
_LABEL: Final = re.compile(r"\{\{ \$labels\.(\w+) \}\}")


def expected(rule: dict[str, Any], case: Case) -> dict[str, Any]:
    """The alert as promtool wants it."""
    return {
        "exp_labels": {**rule["labels"], **case.labels},
        "exp_annotations": {
            name: _LABEL.sub(lambda found: case.labels[found[1]], text)
            for name, text in rule["annotations"].items()
        },
    }


def course(case: Case, series: Series, alerts: list[dict[str, Any]]) -> dict[str, Any]:
    """One test as promtool reads it."""
    return {
        "interval": case.step,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": case.at, "alertname": case.rule, "exp_alerts": alerts}],
    }


@pytest.mark.parametrize(
    ("file", "step"), sorted({(file, case.step) for file, cases in CASES.items() for case in cases})
)
def test_every_rule_fires_when_it_should_and_else_is_quiet(file: str, step: str, tmp_path: Path) -> None:
    """`promtool test rules`: for each rule one course of figures that fires, and one like it that does not."""
    rules = alerts_of(file)
    tests = [
        test
        for case in CASES[file]
        if case.step == step
        for test in (
            course(case, case.fires, [expected(rules[case.rule], case)]),
            course(case, case.quiet, []),
        )
    ]
    document = {"rule_files": [str(RULES / file)], "evaluation_interval": step, "tests": tests}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")

    done = promtool("test", "rules", tmp_path / "test.yaml")

    assert done.returncode == 0, done.stdout


def test_every_rule_has_its_case() -> None:
    """None is shipped untried."""
    assert {case.rule for cases in CASES.values() for case in cases} == set(ALERTS)


def test_rules_and_configuration_are_what_prometheus_reads() -> None:
    """`promtool check` finds nothing wrong with either."""
    for what, files in (
        ("rules", sorted(RULES.glob("*.yaml"))),
        ("config", [RULES.parent / "prometheus.yaml"]),
    ):
        done = promtool("check", what, *files)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_every_rule_leads_to_its_section_of_the_runbook(name: str) -> None:
    """The annotation is the anchor of a heading in `deploy/RUNBOOK.md`, and it says what to do."""
    runbook = RUNBOOK.read_text(encoding="utf-8")
    section = re.search(rf"^### {name}\n\n(.+?)(?=^##|\Z)", runbook, re.MULTILINE | re.DOTALL)

    assert ALERTS[name]["annotations"]["runbook"] == f"deploy/RUNBOOK.md#{name.lower()}"
    assert ALERTS[name]["labels"]["severity"] in {"critical", "warning"}
    assert section is not None
    assert "\n- " in section[1]


def test_the_runbook_knows_no_rule_that_is_gone() -> None:
    """Every section named like a rule has one."""
    headings = re.findall(r"^### (Forewarn\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)

    assert sorted(headings) == sorted(ALERTS)


def test_the_runbook_names_panels_and_commands_that_exist() -> None:
    """What is written in italics is found on a dashboard, and what begins with `forewarn` can be typed."""
    chapter = RUNBOOK.read_text(encoding="utf-8").partition("\n## When an alert fires\n")[2]
    titles = [title.lower() for one in asked() for title in (one.panel, one.dashboard)]
    panels = set(re.findall(r"(?<![*\w])\*([^*\n]+)\*(?!\*)", chapter))
    typed = [words.split() for words in re.findall(r"`forewarn ([^`]+)`", chapter)]

    assert len(panels) > 15
    assert {name for name in panels if not any(name.lower() in title for title in titles)} == set()
    assert {" ".join(words) for words in typed if not is_command(words)} == set()


def is_command(words: list[str]) -> bool:
    """Whether this leads to a command."""
    command: click.Command = main
    for word in words:
        if not isinstance(command, click.Group):
            break
        if word not in command.commands:
            return False
        command = command.commands[word]
    return not isinstance(command, click.Group)
