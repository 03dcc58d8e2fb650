"""The example subscribers as processes; the Java one is built once for its sources, and kept in the cache folder."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from streams.kafka.local.jars import cache_folder
from streams.kafka.local.java import find_java

PLACE: Final = Path(__file__).resolve().parents[2] / "deploy" / "subscribers"
README: Final = PLACE.parents[1] / "README.md"
_SCHEMA: Final = PLACE.parent / "schemas" / "forewarn.alert.v1.schema.json"
_BUILD_SECONDS: Final = 900
"""Twenty seconds where Maven has everything; it fetches 40 MB where it has nothing."""


def python_subscriber(*arguments: str | Path) -> list[str]:
    """The command line of the one in Python."""
    return [sys.executable, str(PLACE / "python" / "subscriber.py"), *map(str, arguments)]


def java_subscriber(*arguments: str | Path) -> list[str]:
    """The command line of the one in Java."""
    built = _built()
    classpath = f"{built / 'classes'}{os.pathsep}{built / 'dependency'}/*"
    light = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
    java = str(find_java().executable)
    return [java, *light, "-cp", classpath, "forewarn.subscriber.Subscriber", *map(str, arguments)]


def shown_client_files(folder: Path) -> tuple[Path, Path]:
    """How to come in, for the one in Python and the one in Java, as the read-me shows it, with secrets in a folder instead."""
    text = README.read_text(encoding="utf-8")
    files = []
    for language, begin in (("toml", "security_protocol ="), ("properties", "security.protocol=")):
        (shown,) = re.findall(
            rf"^```{language}\n({re.escape(begin)}.*?)^```$", text, re.MULTILINE | re.DOTALL
        )
        file = folder / f"client.{language}"
        file.write_text(shown.replace("/run/secrets", str(folder)), encoding="utf-8")
        files.append(file)
    return files[0], files[1]


def _built() -> Path:
    """The folder with classes and jars: under another name until it is whole."""
    project = PLACE / "java"
    sources = sorted([project / "pom.xml", *project.glob("src/**/*.java"), _SCHEMA])
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()[:12]
    folder = cache_folder() / f"subscriber-{digest}"
    if not folder.is_dir():
        making = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
        try:
            _build(project, making)
            if not folder.is_dir():
                making.rename(folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return folder


def _build(project: Path, folder: Path) -> None:
    maven = shutil.which("mvn")
    assert maven is not None, (
        "Apache Maven (mvn) builds the example subscriber in Java; install it (Debian, Ubuntu: apt-get install maven)"
    )
    done = subprocess.run(
        [maven, "--batch-mode", "--quiet", "-f", project / "pom.xml", f"-Dbuild.folder={folder}", "package"],
        env=os.environ | {"JAVA_HOME": str(find_java().home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"the example subscriber does not build:\n{done.stdout}"
