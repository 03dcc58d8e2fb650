"""The command line where no broker is needed: what it prints, what it complains of, and its exit status."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from models.policy import default_policy
from streams.cli import main

NOBODY = "127.0.0.1:1"
"""A port on which nothing listens."""


def forewarn(*arguments: str | Path, **environment: str) -> Result:
    """Run a command in this process."""
    return CliRunner(env=environment).invoke(main, [str(argument) for argument in arguments])


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command with its words."""
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name, command in group.commands.items():
        words = (*path, name)
        found.append((words, command))
        if isinstance(command, click.Group):
            found += commands(command, words)
    return found


def test_the_commands_of_the_blueprint_are_there() -> None:
    """Every command that the README promises exists under its name."""
    known = {" ".join(words) for words, _ in commands(main)}

    assert known >= {
        "demo",
        "worker",
        "simulate",
        "replay",
        "backtest",
        "convert uci-default",
        "topics apply",
        "topics check",
        "policy check",
        "policy show",
        "model show",
        "alerts tail",
        "dead-letters list",
        "borrower show",
        "audit verify",
        "audit export",
        "lag",
    }


@pytest.mark.parametrize(
    ("words", "command"),
    commands(main),
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_every_command_explains_itself(words: tuple[str, ...], command: click.Command) -> None:
    """`--help` works everywhere, and every option has a text."""
    result = forewarn(*words, "--help")

    assert result.exit_code == 0
    assert command.help
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_a_valid_policy_is_told_with_its_version(tmp_path: Path) -> None:
    """`policy check` prints the version that alerts will carry."""
    file = tmp_path / "policy.toml"
    file.write_text("[signals.missed_payment]\ngrace_days = 3\n")

    result = forewarn("policy", "check", file, "--json")

    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["valid"] is True
    assert document["version"] != default_policy().version


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[signals.mised_payment]\n", "did you mean signals.missed_payment?"),
        (
            "[signals.missed_payment]\ngrace_days = -1\n",
            "signals.missed_payment.grace_days: expected `int` >= 0",
        ),
        ('time_zone = "Mars/Olympus"\n', "time_zone: 'Mars/Olympus' is no IANA time zone"),
        ("this is no toml", "not valid TOML"),
    ],
)
def test_an_invalid_policy_is_refused_with_file_key_and_what_is_allowed(
    tmp_path: Path, text: str, said: str
) -> None:
    """Exit status 1, one line on standard error, no traceback; a backtest refuses it as well."""
    file = tmp_path / "policy.toml"
    file.write_text(text)

    for result in (
        forewarn("policy", "check", file),
        forewarn("backtest", tmp_path, "--policy", file),
        forewarn("policy", "show", FOREWARN_POLICY_FILE=str(file)),
    ):
        assert result.exit_code == 1
        assert isinstance(result.exception, SystemExit)
        assert str(file) in result.stderr
        assert said in result.stderr
        assert result.stdout == ""


def test_a_policy_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, a folder, a missing file: a message each."""
    file = tmp_path / "policy.toml"
    file.write_bytes(b"\xff")

    assert "not UTF-8" in forewarn("policy", "check", file).stderr
    assert "No such file" in forewarn("policy", "check", tmp_path / "none.toml").stderr
    assert forewarn("policy", "check", tmp_path).exit_code == 2


def test_the_packaged_policy_is_shown_as_written() -> None:
    """With its units and sources, under its version."""
    result = forewarn("policy", "show")

    assert result.exit_code == 0
    assert default_policy().version in result.stdout
    assert "Basel Committee" in result.stdout


def test_a_shown_policy_is_a_policy(tmp_path: Path) -> None:
    """What `policy show FILE` prints can be used as a policy file and has the same version."""
    file, shown = tmp_path / "policy.toml", tmp_path / "shown.toml"
    file.write_text('own_institutions = ["bank a"]\n[institution_aliases]\n"x.y" = "bank a"\n')
    shown.write_text(forewarn("policy", "show", file).stdout)

    versions = [json.loads(forewarn("policy", "check", f, "--json").stdout)["version"] for f in (file, shown)]

    assert versions[0] == versions[1] != default_policy().version


def test_a_simulated_book_is_backtested(tmp_path: Path) -> None:
    """`simulate` writes a folder that `backtest` reads, and says in JSON what came of it."""
    simulated = forewarn("simulate", tmp_path / "book", "--borrowers", "30", "--months", "4", "--json")
    tested = forewarn("backtest", tmp_path / "book", "--out", tmp_path / "out", "--json")

    assert simulated.exit_code == tested.exit_code == 0, tested.output
    assert json.loads(simulated.stdout)["borrowers"] == 30
    assert json.loads(tested.stdout)["lines"] == json.loads(simulated.stdout)["events"]
    assert (tmp_path / "out" / "report.json").is_file()


def test_a_backtest_prints_what_its_alerts_were_worth(tmp_path: Path) -> None:
    """Tables of at most 100 columns: revisions, figures of all, of each signal, of the score, and of learning."""
    forewarn("simulate", tmp_path / "book", "--borrowers", "60", "--months", "16")
    result = forewarn("backtest", tmp_path / "book", "--out", tmp_path / "out", "--capacity", "7")
    lines = result.stdout.splitlines()

    assert result.exit_code == 0
    assert max(map(len, lines[:-1])) <= 100
    for words in (
        r"signal +opened +escalated +eased +updated +resolved +retracted",
        r"warned in time \(recall\) +\d+ \(",
        r"median lead time, days +",
        r"alerts per 1,000 borrower-months +[\d.]+",
        r"lift over the worst payers +",
        r"precision of 7 calls a day by priority +",
        r"score: bad within 60 days +\d+ of \d+\n  AUC, all and with nothing past due +",
        r"score: bad within 180 days +\d+ of \d+\n  AUC, all and with nothing past due +0",
        r"signal +alerts +retracted +per 1,000 +warned +hit +precision +recall +lead days",
        r"foretold +happened +observed +30 days from +observed +bad +AUC +KS +log-loss +bad in 180 +AUC",
        r"the last 12 of \d+; all in report.json",
        r"learnt from the stream's own labels +cards in force +expert prior\ncards published, of so many due +0 of \d+",
        r"  log-loss +([\d.]+) +\1\n",
        r"30 days from +observed +bad +AUC +prior +KS +prior +log-loss +prior",
        r"card +in force from +learnt from +bad +AUC +before +log-loss +before\n\w+ +too few examples +\d+",
        r"written to .*: alerts.jsonl, rejected.jsonl, report.json, scorecards.jsonl, report.html",
    ):
        assert re.search(words, result.stdout), words


def test_two_policies_are_compared(tmp_path: Path) -> None:
    """`--policy` twice: what differs is printed, or given as JSON, and each policy has a folder of its own."""
    a, b = tmp_path / "packaged.toml", tmp_path / "house.toml"
    a.write_text(forewarn("policy", "show").stdout)
    b.write_text("[signals.missed_payment]\ngrace_days = 3\n")
    forewarn("simulate", tmp_path / "book", "--borrowers", "30", "--months", "8")
    compare = ("backtest", tmp_path / "book", "--policy", a, "--policy", b, "--out")

    printed = forewarn(*compare, tmp_path / "printed")
    as_json = forewarn(*compare, tmp_path / "json", "--json")

    assert printed.exit_code == as_json.exit_code == 0, printed.output
    assert f"a: packaged.toml, version {default_policy().version}" in printed.stdout
    assert re.search(r"signals.missed_payment.grace_days +0 +3$", printed.stdout, re.MULTILINE)
    document = json.loads(as_json.stdout)
    assert document == json.loads((tmp_path / "json" / "comparison.json").read_bytes())
    assert document["signals"]["missed_payment"]["opened_first"]["a"] > 0
    for name in ("differences.jsonl", "report.html", "a/report.json", "b/alerts.jsonl"):
        assert (tmp_path / "json" / name).stat().st_size > 0


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--policy", "a.toml") * 3, 2, "--policy: 3 files; one judges, or two are compared"),
        (
            ("--policy", "a.toml", "--policy", "a.toml", "--then", "2025-06-01", "a.toml"),
            2,
            "--then: a later policy has no place where two are compared",
        ),
        (("--policy", "a.toml", "--policy", "none.toml"), 1, "none.toml: No such file"),
        (
            ("--policy", "a.toml", "--policy", "wrong.toml"),
            1,
            "wrong.toml: unknown key signals.missed_payment.grace_dys",
        ),
        (("--policy", "a.toml", "--policy", "."), 2, "is a directory"),
        (("--policy", "a.toml", "--policy", "a.toml", "--out", "a.toml"), 1, "a.toml: File exists"),
    ],
    ids=["three", "then", "missing", "wrong", "folder", "out"],
)
def test_what_cannot_be_compared_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], status: int, said: str
) -> None:
    """One message on standard error, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    Path("a.toml").write_text("")
    Path("wrong.toml").write_text("[signals.missed_payment]\ngrace_dys = 3\n")
    forewarn("simulate", "book", "--borrowers", "2", "--months", "2")

    result = forewarn("backtest", "book", *options)

    assert result.exit_code == status
    assert isinstance(result.exception, SystemExit)
    assert said in result.stderr
    assert result.stdout == ""
    assert {path.name for path in tmp_path.iterdir()} == {"a.toml", "wrong.toml", "book"}


def test_an_empty_folder_is_an_error_and_no_result(tmp_path: Path) -> None:
    """`backtest` on nothing says what it expected, and writes nothing."""
    result = forewarn("backtest", tmp_path, "--out", tmp_path / "out")

    assert result.exit_code == 1
    assert "no event file; expected any of" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_conversion_of_nothing_is_an_error(tmp_path: Path) -> None:
    """`convert uci-default` of a missing or foreign file names it."""
    foreign = tmp_path / "foreign.csv"
    foreign.write_text("a,b\n1,2\n")

    assert forewarn("convert", "uci-default", tmp_path / "none.csv", tmp_path / "out").exit_code == 1
    result = forewarn("convert", "uci-default", foreign, tmp_path / "out")
    assert result.exit_code == 1
    assert "foreign.csv" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("backtest",),
        ("backtest", "x", "--until", "2025-02-30"),
        ("replay", "x", "--speed", "0"),
        ("simulate",),
        ("simulate", "x", "--to-kafka"),
        ("demo", "--workers", "0"),
        ("alerts", "tail", "--severity", "dreadful"),
        ("no-such-command",),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    """What the command line itself can tell to be wrong is wrong usage."""
    result = forewarn(*arguments)

    assert result.exit_code == 2
    assert "Error:" in result.stderr


def test_settings_that_cannot_be_simulated_are_named(tmp_path: Path) -> None:
    """The simulator's own limits are said as they are."""
    result = forewarn("simulate", tmp_path / "book", "--months", "1000")

    assert result.exit_code == 1
    assert "months must lie between 1 and 120, not 1000" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("lag",),
        ("alerts", "tail"),
        ("dead-letters", "list"),
        ("borrower", "show", "b-1"),
        ("audit", "verify"),
        ("topics", "apply"),
        ("topics", "check"),
        ("simulate", "--to-kafka"),
        ("replay", "."),
        ("worker",),
    ],
    ids=" ".join,
)
def test_a_missing_broker_is_said(arguments: tuple[str, ...]) -> None:
    """No broker: its address, on standard error, exit status 1. The limit is 12 s; here it is set lower."""
    result = forewarn(*arguments, "--bootstrap", NOBODY, FOREWARN_START_TIMEOUT_MS="300")

    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert NOBODY in result.stderr
    assert "answer" in result.stderr
    assert result.stdout == ""


def test_a_broker_that_was_named_is_not_replaced() -> None:
    """`demo` on a broker that does not answer starts no other one, and says so."""
    result = forewarn("demo", FOREWARN_BROKER=NOBODY, FOREWARN_START_TIMEOUT_MS="300")

    assert result.exit_code == 1
    assert "no broker answers at 127.0.0.1:1" in result.stderr


def test_a_demo_of_no_events_fails_before_anything_is_started(tmp_path: Path) -> None:
    """The folder is looked at first."""
    result = forewarn("demo", "--events", tmp_path)

    assert result.exit_code == 1
    assert "no event file" in result.stderr


def test_a_setting_that_does_not_fit_is_named() -> None:
    """A wrong value in the environment is told by the setting's name."""
    result = forewarn("lag", FOREWARN_START_TIMEOUT_MS="soon")

    assert result.exit_code == 1
    assert "start_timeout_ms" in result.stderr
