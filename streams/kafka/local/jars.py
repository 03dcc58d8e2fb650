"""Kafka's official server on this machine: fetched once by Maven, kept in a cache folder, shared by all processes."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.kafka.local.errors import BrokerStartError, JarsUnavailableError
from streams.kafka.local.java import Java

POM: Final = Path(__file__).resolve().parents[3] / "deploy" / "kafka" / "pom.xml"
LOGGING: Final = POM.with_name("log4j2.properties")

MAVEN_TIMEOUT_SECONDS: Final = 900.0
"""60 MB: 10 s on a good line; fifteen minutes allow for 70 kB/s, and then somebody should look."""

FORMAT_TIMEOUT_SECONDS: Final = 60.0
"""Formatting takes 0.8 s; a minute allows for a machine that is busy with everything else."""

CLUSTER_ID: Final = "Rm9yZXdhcm5Mb2NhbEthZg"
"""Every local cluster has the same id: nothing outlives one, so nothing can be mistaken for another's."""

_LIGHT_JVM: Final = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


@dataclass(frozen=True, slots=True)
class KafkaServer:
    """What is needed to start a broker: jars, and the first record of a freshly formatted metadata log."""

    folder: Path

    @property
    def classpath(self) -> str:
        """All jars, in a fixed order: a class archive is only valid for the very same class path."""
        return os.pathsep.join(str(jar) for jar in sorted((self.folder / "jars").glob("*.jar")))

    @property
    def bootstrap_checkpoint(self) -> Path:
        """The feature levels which Kafka's own formatter wrote; the same file for every node (KIP-584, KIP-778)."""
        return self.folder / "formatted" / "bootstrap.checkpoint"

    def class_archive(self, java: Java) -> Path:
        """Where the classes loaded at start are kept, parsed and verified, for this very Java (JEP 350)."""
        key = hashlib.sha256(f"{java.executable.resolve()} {java.version}".encode()).hexdigest()[:12]
        return self.folder / f"classes-{key}.jsa"


def cache_folder() -> Path:
    """Return a writable folder that outlives the process: XDG cache, else `~/.cache`, else a temporary one."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    folder = base / "forewarn"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        # A name of our own, so that nobody else's jars are run: /tmp belongs to everybody.
        folder = Path(tempfile.gettempdir()) / f"forewarn-cache-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            message = f"{folder} belongs to somebody else; set XDG_CACHE_HOME to a folder you can write to"
            raise JarsUnavailableError(message)
    return folder


def kafka_server(java: Java) -> KafkaServer:
    """Return Kafka's server from the cache, fetching it with Maven first where it is missing.

    Raises:
        JarsUnavailableError: no Maven, or Maven could not fetch the jars (its own words follow).
    """
    if not POM.is_file():
        message = f"a local Kafka can be started from a checkout only ({POM} is missing); set FOREWARN_BROKER"
        raise JarsUnavailableError(message)
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    folder = cache_folder() / f"kafka-{digest}"
    if not folder.is_dir():
        with _only_one(folder.with_suffix(".lock")):
            if not folder.is_dir():
                _prepare(java, folder)
    return KafkaServer(folder)


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Let one process work and the others wait; the kernel frees the lock of a process that dies."""
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another process is fetching Apache Kafka; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _prepare(java: Java, folder: Path) -> None:
    """Build the folder under another name and move it at the end: what exists is complete."""
    building = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    try:
        _fetch(java, building / "jars")
        _format(java, building)
        building.rename(folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _fetch(java: Java, jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        message = (
            "Apache Maven (mvn) is missing; it fetches Apache Kafka's server for the local broker. Install it "
            "(Debian, Ubuntu: apt-get install maven), or name a running broker in FOREWARN_BROKER"
        )
        raise JarsUnavailableError(message)
    _say(f"fetching Apache Kafka's server with Maven, once, into {jars.parent.parent} (60 MB)")
    command = [
        maven,
        "--batch-mode",
        "--quiet",
        "-Dstyle.color=never",
        "-f",
        str(POM),
        "dependency:copy-dependencies",
    ]
    command += [f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
    # First with the user's own local repository, which may already hold everything. Java takes that folder from the
    # password file, not from HOME, so it may not be writable; the second try has one inside the cache, and is at the
    # same time the one repetition that a torn download deserves.
    said = _run_maven(command, java)
    if said is not None:
        repository = jars.parent / "maven"
        said = _run_maven([*command, f"-Dmaven.repo.local={repository}"], java)
        shutil.rmtree(repository, ignore_errors=True)
    if said is not None:
        message = (
            f"Maven could not fetch Apache Kafka's server:\n{said}\nIs there a network, or FOREWARN_BROKER?"
        )
        raise JarsUnavailableError(message)


def _run_maven(command: list[str], java: Java) -> str | None:
    """Return `None` when it went well, else the end of what Maven said."""
    try:
        done = subprocess.run(  # noqa: S603 - Maven as found in PATH, with arguments of our own
            command,
            env={**os.environ, "JAVA_HOME": str(java.home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=MAVEN_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {MAVEN_TIMEOUT_SECONDS:.0f} s"
    return None if done.returncode == 0 else "\n".join(done.stdout.splitlines()[-20:])


def _format(java: Java, building: Path) -> None:
    """Let Kafka's own tool format one storage folder; its bootstrap checkpoint then serves every node.

    A broker needs this once a log folder, and a JVM for it costs 0.8 s each time: so it is done once a cache.
    """
    formatted = building / "formatted"
    properties = building / "format.properties"
    properties.write_text(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:1\n"
        "listeners=PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1\ncontroller.listener.names=CONTROLLER\n"
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
        f"log.dirs={formatted}\n"
    )
    classpath = KafkaServer(building).classpath
    tool = ["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config", str(properties)]
    done = subprocess.run(  # noqa: S603 - the Java found before
        [java.executable, *_LIGHT_JVM, f"-Dlog4j2.configurationFile={LOGGING}", "-cp", classpath, *tool],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=FORMAT_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0 or not (formatted / "bootstrap.checkpoint").is_file():
        raise BrokerStartError(f"Kafka's storage tool failed:\n{done.stdout[-4000:]}")


def _say(text: str) -> None:
    print(f"forewarn: {text}", file=sys.stderr, flush=True)
