"""The house is tidy, and the read-mes say what is there: every command, setting, reason and file by its real name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, get_args

import click
import msgspec
import pytest
from click.testing import CliRunner

import streams.settings
from models.alerts import Alert, ChainHead, Resolution, SignalName, Stage, Status, link
from models.events import TOPICS, TYPES_BY_TOPIC, Event, Topic
from models.policy import default_policy, parse_policy
from models.rejects import RejectReason
from streams.cli import main
from streams.codec import Decoder, Reject, tag_of
from streams.mapping.parsing import parse_mapping
from streams.settings import Settings
from streams.webhooks.endpoints import parse_endpoints

ROOT: Final = Path(__file__).resolve().parents[1]
READMES: Final = (ROOT / "README.md", ROOT / "README.zh-CN.md")
FOLDERS: Final = (".ci", ".github", "deploy", "models", "streams", "tests")
"""With the files of the root itself, this is the whole tree; what tools leave in the root is not ours."""
_KNOWN_BY_MS: Final = 1_767_225_600_000
"""The end of 2025: later than every example."""
_LEFT_BY_TOOLS: Final = frozenset({"__pycache__", "target"})
_LEFT_OVER: Final = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|HA" + r"CK)\b")
_MACHINE_PATH: Final = re.compile(r"(?<![\w.~])/(?:work|root|home|Users|opt/wheels)/\w|\b[A-Z]:\\\w")
_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING: Final = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK: Final = re.compile(r"\]\((?!https?:)([^)#]+)(?:#([^)]+))?\)")
_FILE: Final = re.compile(r"`((?:models|streams|tests|deploy|\.github)/[\w./*-]*[\w*/])`")
_VARIABLE: Final = re.compile(r"\bFOREWARN_[A-Z_]+\b")
_ENDPOINTS: Final = "[[endpoints]]"
_CLIENT: Final = "security_protocol = "
_REASON_CODE: Final = re.compile(r'"([A-Z]+(?:-[A-Z]+)+)"')


class Block(NamedTuple):
    """A fenced block: its language and its lines."""

    language: str
    text: str


def files_of_the_tree() -> list[Path]:
    """Every text file that belongs to the project."""
    found = [path for path in ROOT.iterdir() if path.is_file() and not path.name.endswith(".lock")]
    for folder in FOLDERS:
        found += [
            path
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and not _LEFT_BY_TOOLS & set(path.relative_to(ROOT).parts)
        ]
    return sorted(found)


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    """Where a pattern occurs in the tree, as an editor wants it."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files_of_the_tree()
        for number, line in enumerate(
            path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1
        )
        if pattern.search(line)
    ]


def blocks_of(text: str) -> list[Block]:
    """The fenced blocks of a document, in order."""
    return [Block(*match.groups()) for match in _FENCE.finditer(text)]


def policies_of(text: str) -> list[str]:
    """The policy files that a document shows."""
    return [
        block.text
        for block in blocks_of(text)
        if block.language == "toml"
        and not block.text.startswith((_ENDPOINTS, _CLIENT))
        and not _is_mapping(block)
    ]


def _is_mapping(block: Block) -> bool:
    return block.language == "toml" and ".events]]" in block.text


def headings_of(text: str) -> list[tuple[int, str]]:
    """Level and words of each heading outside the blocks."""
    return [(len(marks), words) for marks, words in _HEADING.findall(_FENCE.sub("", text))]


def anchor_of(heading: str) -> str:
    """The anchor under which a heading can be linked to."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def commands(group: click.Group, path: str) -> Iterator[str]:
    """Every command that does something, as it is typed."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


def decode(topic: Topic, line: str) -> Event | Reject:
    """Decode a line of a read-me as a file's."""
    return Decoder(topic, keyed=False).decode(line.encode(), None, _KNOWN_BY_MS)


@pytest.fixture(params=READMES, ids=lambda path: path.name)
def readme(request: pytest.FixtureRequest) -> str:
    """Each read-me."""
    path: Path = request.param
    return path.read_text(encoding="utf-8")


# ---- the tree ----------------------------------------------------------------------------------------------------


def test_nothing_is_left_over() -> None:
    """What is still to be done stands in an issue, not in the code."""
    assert lines_with(_LEFT_OVER) == []


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    """A path that exists on one machine only helps nobody else."""
    assert lines_with(_MACHINE_PATH) == []


def test_every_setting_says_what_it_is_for() -> None:
    """Each field of the settings is followed by its sentence."""
    source = Path(streams.settings.__file__).read_text(encoding="utf-8")
    (body,) = [
        node.body
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef) and node.name == "Settings"
    ]
    described = {
        field.target.id
        for field, behind in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(behind, ast.Expr)
        and isinstance(behind.value, ast.Constant)
        and isinstance(behind.value.value, str)
    }

    assert set(Settings.__struct_fields__) == described


# ---- the read-mes ------------------------------------------------------------------------------------------------


def test_both_read_mes_have_the_same_headings() -> None:
    """Section by section, level by level."""
    levels = [[level for level, _ in headings_of(path.read_text(encoding="utf-8"))] for path in READMES]

    assert levels[0] == levels[1]


def test_both_read_mes_show_the_same_code_and_output() -> None:
    """Block by block; only the picture speaks each reader's language."""
    english, chinese = (blocks_of(path.read_text(encoding="utf-8")) for path in READMES)

    assert [block.language for block in english] == [block.language for block in chinese]
    for one, other in zip(english, chinese, strict=True):
        if one.language != "mermaid":
            assert one.text == other.text


def test_the_read_mes_lead_to_each_other_and_nowhere_else_in_vain(readme: str) -> None:
    """Every link within the project has a target, and both read-mes are linked."""
    anchors = {anchor_of(words) for _, words in headings_of(readme)}
    links = _LINK.findall(readme) + [("", anchor) for anchor in re.findall(r"\]\(#([^)]+)\)", readme)]

    assert {target for target, _ in links} & {path.name for path in READMES}
    for target, anchor in links:
        assert (ROOT / target).exists(), target
        assert target or anchor in anchors, anchor


def test_every_file_that_is_named_exists(readme: str) -> None:
    """A file that was renamed is renamed here too."""
    named = set(_FILE.findall(readme))

    assert named
    assert [name for name in sorted(named) if not list(ROOT.glob(name))] == []


def test_every_command_is_named(readme: str) -> None:
    """No command is known to those only who read the code."""
    assert [command for command in commands(main, "forewarn") if f"`{command}" not in readme] == []


def test_every_word_of_the_contract_is_named(readme: str) -> None:
    """Event types, reasons for a reject, and what an alert can say."""
    types = {tag_of(kind) for topic in TOPICS for kind in TYPES_BY_TOPIC[topic]}
    words = {*types, *TOPICS, *map(str, get_args(SignalName))}
    for vocabulary in (Status, Resolution, Stage, *get_args(RejectReason)):
        words |= set(get_args(vocabulary) or [vocabulary])

    assert [word for word in sorted(words) if f"`{word}`" not in readme] == []


def test_every_example_event_is_accepted(readme: str) -> None:
    """What can be copied from a read-me can be sent; each topic has one."""
    lines = [
        line
        for block in blocks_of(readme)
        if block.language == "json"
        for line in block.text.splitlines()
        if line.startswith('{"type"')
    ]
    accepted = {
        topic: [line for line in lines if not isinstance(decode(topic, line), Reject)] for topic in TOPICS
    }

    assert all(any("borrower_id" in line for line in accepted[topic]) for topic in TOPICS)
    assert {line for topic in TOPICS for line in accepted[topic]} == set(lines)


def test_the_example_alert_proves_itself(readme: str) -> None:
    """It is one that was published, to the last digit: its hash is that of its content."""
    (text,) = [block.text for block in blocks_of(readme) if '"forewarn.alert.v1"' in block.text]
    alert = msgspec.json.decode(text, type=Alert)
    again, _ = link(alert, ChainHead(alert.chain.sequence - 1, alert.chain.previous))

    assert alert == again


def test_every_variable_that_is_named_means_something(readme: str) -> None:
    """It is a setting, or some other file knows it."""
    settings = {
        f"{streams.settings.ENVIRONMENT_PREFIX}{field.upper()}" for field in Settings.__struct_fields__
    }
    rest = "\n".join(
        path.read_text(encoding="utf-8", errors="replace")
        for path in files_of_the_tree()
        if path not in {*READMES, Path(__file__)}
    )

    assert [name for name in sorted(set(_VARIABLE.findall(readme)) - settings) if name not in rest] == []


def _row_of(readme: str, signal: str) -> str:
    """Of the table of signals, which comes first; the other says how good they are."""
    line, judged = [line for line in readme.splitlines() if line.startswith(f"| `{signal}` |")]
    assert "%" in judged
    return line


def test_the_thresholds_that_are_told_are_those_of_the_policy(readme: str) -> None:
    """The line of a signal in the table holds its severities, or else its thresholds, as the packaged policy has them."""
    signals = default_policy().signals
    for signal in get_args(SignalName):
        line = _row_of(readme, signal)
        policy = getattr(signals, signal)
        ladder = policy.severity if hasattr(policy, "severity") else policy.threshold
        for threshold in msgspec.structs.astuple(ladder):
            told = f"{threshold:.0%}" if isinstance(threshold, float) else str(threshold)
            assert re.search(rf"(?<!\d){re.escape(told)}(?!\d)", line.replace(" %", "%")), (signal, told)


def test_every_signal_has_a_page_and_names_its_reasons(readme: str) -> None:
    """A page of its own, and in its row of the table each code that its module gives."""
    pages = {words.partition("`")[2].partition("`")[0] for level, words in headings_of(readme) if level == 3}
    for signal in get_args(SignalName):
        source = (ROOT / "models" / "signals" / f"{signal}.py").read_text(encoding="utf-8")
        line = _row_of(readme, signal)

        assert signal in pages
        assert [code for code in _REASON_CODE.findall(source) if f"`{code}`" not in line] == []


def test_every_policy_that_is_shown_is_valid(readme: str) -> None:
    """Each block of TOML is a policy file as it stands, but for mappings, the one of endpoints and the one of a client."""
    shown = policies_of(readme)

    assert shown
    for text in shown:
        parse_policy(text, "shown.toml")


def test_the_file_of_endpoints_that_is_shown_is_valid(readme: str) -> None:
    """It is taken as it stands, but for the secret."""
    (shown,) = [block.text for block in blocks_of(readme) if block.text.startswith(_ENDPOINTS)]

    assert parse_endpoints(shown.encode(), "shown.toml")


def test_the_schema_that_is_shown_begins_so(readme: str) -> None:
    """What the command is shown to print is what it prints."""
    (shown,) = [block.text for block in blocks_of(readme) if block.text.startswith("$ forewarn schema")]
    command, _, printed = shown.partition("\n")

    assert CliRunner().invoke(main, command.partition(" |")[0].split()[2:]).output.startswith(printed)


def test_every_mapping_that_is_shown_is_valid_and_does_what_is_shown(
    readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each as it stands; the first with the sample behind it, and with the slip of the pen that is told of."""
    blocks = blocks_of(readme)
    mappings = [block.text for block in blocks if _is_mapping(block)]
    for text in mappings:
        parse_mapping(text, "shown.toml")
    monkeypatch.chdir(tmp_path)
    Path("lender.toml").write_text(mappings[0], encoding="utf-8")
    Path("typo.toml").write_text(mappings[0].replace('"yuan"', '"yaun"'), encoding="utf-8")
    (sample,) = [block.text for block in blocks if block.text.startswith('{"header"')]
    Path("sample.jsonl").write_text(sample, encoding="utf-8")
    (shown,) = [block.text for block in blocks if block.text.startswith("$ forewarn mapping check")]
    printed = ""
    for command in re.findall(r"^\$ forewarn (.*)$", shown, re.MULTILINE):
        printed += f"$ forewarn {command}\n{CliRunner().invoke(main, command.split()).output}"

    assert printed == shown


def test_what_policy_check_is_shown_to_print_is_what_it_prints(
    readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the first policy that is shown, and with the slip of the pen that is told of."""
    blocks = blocks_of(readme)
    monkeypatch.chdir(tmp_path)
    Path("house.toml").write_text(policies_of(readme)[0], encoding="utf-8")
    Path("typo.toml").write_text("[signals.missed_payment]\ngrace_dayz = 3\n", encoding="utf-8")
    shown = [block.text for block in blocks if block.text.startswith("$ forewarn policy check")]

    assert len(shown) == 2
    for text in shown:
        command, _, printed = text.partition("\n")
        assert CliRunner().invoke(main, command.split()[2:]).output == printed
