"""Reads Strimzi's resources with Strimzi's own classes: `ReadManifests.java`, with the jars that Maven fetches once."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from streams.kafka.local.jars import cache_folder
from streams.kafka.local.java import find_java

HERE: Final = Path(__file__).parent
MAVEN_SECONDS: Final = 600
JAVA_SECONDS: Final = 120


def read_with_strimzi(resources: Iterable[dict[str, Any]]) -> list[str]:
    """What `ReadManifests` says of some resources, line by line."""
    lines = "".join(json.dumps(resource) + "\n" for resource in resources)
    done = subprocess.run(
        [find_java().executable, "-cp", f"{_jars()}/*", HERE / "ReadManifests.java"],
        input=lines,
        capture_output=True,
        text=True,
        timeout=JAVA_SECONDS,
        check=False,
    )
    said = done.stdout.splitlines()
    assert said, f"a JDK of Java 17 or newer is needed, with its compiler: {done.stderr}"
    return said


def _jars() -> Path:
    pom = HERE / "pom.xml"
    folder = cache_folder() / f"strimzi-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    if not folder.is_dir():
        fetched = folder.with_suffix(".part")
        shutil.rmtree(fetched, ignore_errors=True)
        maven = ["mvn", "--batch-mode", "--quiet", "-f", str(pom), "dependency:copy-dependencies"]
        subprocess.run([*maven, f"-DoutputDirectory={fetched}"], timeout=MAVEN_SECONDS, check=True)
        fetched.rename(folder)
    return folder
