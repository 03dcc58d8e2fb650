"""Who takes part: how each is installed, and how it is started."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from streams.compiled import CHOICE, COMPLETE, Form, build_folder
from streams.kafka.local.errors import BrokerUnavailableError
from streams.kafka.local.java import find_java
from streams.settings import Settings
from tests.bench.contest.job import Guarantee
from tests.bench.contest.log import JOB_FEEDS

ROOT: Final = Path(__file__).resolve().parents[3]
PEERS: Final = ROOT / "tests" / "bench" / "peers"
INSTALL_SECONDS: Final = 600.0
COMMIT_MS: Final = Settings().backlog_commit_interval_ms
"""All commit as often: it is what our worker does by default while it has a backlog of minutes."""
HEAP: Final = "-Xmx1g"
"""More than Kafka Streams needs for these logs; without it the JVM would take a quarter of the machine."""


class AbsentError(Exception):
    """A system that cannot take part: the message says why."""


class Command(Struct, frozen=True):
    """How to start a system."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]


class Scene(Struct, frozen=True):
    """Where a run takes place."""

    settings: Settings
    """The broker and the names of the input topics; the group is the run's own."""
    inputs: tuple[str, ...]
    output: str
    folder: Path
    """The run's own, for state; removed behind it."""
    records: int
    """Of the job's topics."""


class System(Struct, frozen=True):
    """One contestant."""

    name: str
    guarantee: Literal["exactly-once", "at-least-once", "none"]
    told_by: Literal["outputs", "alerts", "positions", "itself"]
    """How it is known how far it is: by what it puts out (into a topic of its own, or into ours for alerts), by the positions that
    its group commits, or by its own word."""
    prepare: Callable[[], object]
    """Installs what is missing. Raises `AbsentError`."""
    command: Callable[[Scene], Command]

    repeats: bool = True
    """Whether it puts out as much in every round: not where it learns, for a card weighs from when it was taken up."""

    @property
    def checked_as(self) -> Guarantee:
        """What its outputs must keep."""
        assert self.guarantee != "none"
        return self.guarantee


# ---- ours --------------------------------------------------------------------------------------------------------------


def ours(form: Form, name: str = "", root: Path = ROOT, *, learns: bool = True) -> System:
    """Our worker as it is: all signals, score, audit chain, in transactions. `root` holds the sources.

    `learns`: from what matures, as a worker does by default, with a new card a week of event time and everybody's score judged
    once more for it; else the score is the expert prior's, as in the demo.
    """
    choice = {"compiled": "must", "pure": "no"}[form]

    def command(scene: Scene) -> Command:
        return Command(
            (sys.executable, "-m", "streams.cli", "worker", "--log-level", "WARNING"),
            {
                **_settings_of(scene),
                "PYTHONPATH": str(root),
                CHOICE: choice,
                "FOREWARN_LEARNING": str(learns).lower(),
            },
        )

    prepare = _compile if form == "compiled" else lambda: None
    name = name or f"forewarn (everything{'' if learns else ' but learning'}), {form}"
    return System(name, "exactly-once", "positions", prepare, command, repeats=not learns)


def form_at_hand() -> Form:
    """Which form of `models` a worker runs that is started from here as users start it."""
    is_there = (build_folder(ROOT) / COMPLETE).is_file()
    return "compiled" if is_there and os.environ.get(CHOICE, "") != "no" else "pure"


def _compile() -> None:
    """Our `models`, unless it is done. Takes two minutes."""
    print("compiling models, unless it is done", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "deploy.compiling"],
        cwd=ROOT,
        env={**os.environ, CHOICE: "no"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AbsentError(done.stderr.strip())


def _ours_with_the_job() -> System:
    def command(scene: Scene) -> Command:
        return Command(
            (sys.executable, str(PEERS / "ours_job.py")), {**_settings_of(scene), "PYTHONPATH": str(ROOT)}
        )

    return System("forewarn's pipeline, common job", "exactly-once", "alerts", lambda: None, command)


def _settings_of(scene: Scene) -> dict[str, str]:
    return {
        f"FOREWARN_{field.upper()}": str(getattr(scene.settings, field))
        for field in (
            "broker", "topic_prefix", "group_id", "transactional_id_prefix", "clock", "session_timeout_ms",
        )
    }  # fmt: skip


# ---- peers in Python -----------------------------------------------------------------------------------------------------


def _said(error: subprocess.CalledProcessError | subprocess.TimeoutExpired | OSError) -> str:
    output = getattr(error, "stdout", None)
    lines = output.decode(errors="replace").strip().splitlines() if isinstance(output, bytes) else []
    return lines[-1] if lines else str(error)


@cache
def _environment(name: str) -> Path:
    """A virtual environment of the peer's own inside the checkout, made anew when its requirements change."""
    requirements = PEERS / f"requirements-{name}.txt"
    environment = ROOT / ".venv-bench" / name
    stamp = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    stamped = environment / "stamp"
    if stamped.is_file() and stamped.read_text(encoding="ascii") == stamp:
        return environment
    shutil.rmtree(environment, ignore_errors=True)
    print(f"installing {requirements.name}", file=sys.stderr, flush=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r", str(requirements)]
    try:
        for step in ([sys.executable, "-m", "venv", str(environment)], pip):
            subprocess.run(
                step, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=INSTALL_SECONDS
            )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired, OSError) as error:
        raise AbsentError(f"{requirements.name} could not be installed: {_said(error)}") from error
    stamped.write_text(stamp, encoding="ascii")
    return environment


def _told(scene: Scene, guarantee: str = "") -> dict[str, str]:
    """What every peer is told, in its environment."""
    return {
        "BENCH_BROKER": scene.settings.broker,
        "BENCH_GROUP": scene.settings.group_id,
        "BENCH_INPUTS": ",".join(scene.inputs),
        "BENCH_OUTPUT": scene.output,
        "BENCH_PARTITIONS": str(scene.settings.partitions),
        "BENCH_FOLDER": str(scene.folder / "state"),
        "BENCH_COMMIT_MS": str(COMMIT_MS),
        "BENCH_RECORDS": str(scene.records),
        "BENCH_GUARANTEE": guarantee,
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "0",
    }


def _floor() -> System:
    def command(scene: Scene) -> Command:
        return Command((sys.executable, str(PEERS / "floor.py")), _told(scene))

    return System("floor (decode only)", "none", "itself", lambda: None, command)


def _python_peer(name: str, guarantee: Guarantee, requirements: str, script: str, *arguments: str) -> System:
    def command(scene: Scene) -> Command:
        python = _environment(requirements) / "bin" / "python"
        return Command((str(python), str(PEERS / script), *arguments), _told(scene, guarantee))

    return System(name, guarantee, "outputs", lambda: _environment(requirements), command)


# ---- Kafka Streams ---------------------------------------------------------------------------------------------------------


@cache
def _kafka_streams() -> tuple[str, str]:
    """The launcher of Java, and the class path of the peer, built by Maven where its sources are newer."""
    project = PEERS / "kafka-streams"
    try:
        java = find_java()
    except BrokerUnavailableError as error:
        raise AbsentError(str(error)) from error
    maven = shutil.which("mvn")
    if maven is None:
        raise AbsentError("Apache Maven (mvn) is missing")
    sources = sorted([project / "pom.xml", *project.glob("src/**/*.java")])
    stamp = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    stamped = project / "target" / "stamp"
    if not stamped.is_file() or stamped.read_text(encoding="ascii") != stamp:
        print("building tests/bench/peers/kafka-streams with Maven", file=sys.stderr, flush=True)
        command = [maven, "--batch-mode", "--quiet", "-Dstyle.color=never", "-f", str(project / "pom.xml")]
        command += ["package", "dependency:copy-dependencies", "-DincludeScope=runtime"]
        command += [f"-DoutputDirectory={project / 'target' / 'jars'}"]
        try:
            subprocess.run(
                command,
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=INSTALL_SECONDS,
                env={**os.environ, "JAVA_HOME": str(java.home)},
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired, OSError) as error:
            raise AbsentError(f"Maven could not build Kafka Streams' part: {_said(error)}") from error
        stamped.write_text(stamp, encoding="ascii")
    return str(java.executable), f"{project / 'target' / 'classes'}:{project / 'target' / 'jars'}/*"


def _streams_peer(guarantee: Guarantee, threads: int) -> System:
    word = "exactly_once_v2" if guarantee == "exactly-once" else "at_least_once"

    def command(scene: Scene) -> Command:
        java, classpath = _kafka_streams()
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return Command(
            (java, HEAP, quiet, "-cp", classpath, "bench.Job"),
            {**_told(scene, word), "BENCH_THREADS": str(threads)},
        )

    name = f"kafka-streams {word} {threads} thread{'s' if threads > 1 else ''}"
    return System(name, guarantee, "outputs", _kafka_streams, command)


def all_systems() -> dict[str, System]:
    """Everybody, by the short name of `--systems`."""
    return {
        "ours": ours("compiled"),
        "ours-unlearnt": ours("compiled", learns=False),
        "ours-pure": ours("pure", learns=False),
        "ours-job": _ours_with_the_job(),
        "floor": _floor(),
        "kstreams-alo-1": _streams_peer("at-least-once", 1),
        "kstreams-alo-2": _streams_peer("at-least-once", 2),
        "kstreams-eos-1": _streams_peer("exactly-once", 1),
        "kstreams-eos-2": _streams_peer("exactly-once", 2),
        "faust": _python_peer("faust agent with a Table", "at-least-once", "faust", "faust_agent.py"),
        "quix-alo": _python_peer("quix streams", "at-least-once", "quix", "quix_dataframe.py"),
        "quix-eos": _python_peer("quix streams exactly-once", "exactly-once", "quix", "quix_dataframe.py"),
        "bytewax": _python_peer("bytewax with recovery", "at-least-once", "bytewax", "bytewax_flow.py"),
    }


assert len(JOB_FEEDS) == 3, "the peers are told three topics"
