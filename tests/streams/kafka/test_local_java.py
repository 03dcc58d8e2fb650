"""Which Java is taken, and what is said when none will do."""

import re
import socket
from pathlib import Path

import pytest

from streams.kafka.local.errors import JavaNotFoundError
from streams.kafka.local.java import find_java
from streams.kafka.local.ports import free_ports

OPENJDK_17 = 'openjdk version "17.0.15" 2025-04-15'
OPENJDK_11 = 'openjdk version "11.0.2" 2019-01-15'


def java_home(folder: Path, says: str, *, exit_code: int = 0) -> Path:
    """Make a Java home whose launcher prints what a real one prints (on standard error) and nothing else."""
    launcher = folder / "bin" / "java"
    launcher.parent.mkdir(parents=True)
    launcher.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {exit_code}\n")
    launcher.chmod(0o755)
    return folder


def test_the_named_java_wins(tmp_path: Path) -> None:
    """`FOREWARN_JAVA`, a home or a launcher, is taken before `JAVA_HOME` and `PATH`."""
    named = java_home(tmp_path / "named", 'openjdk version "25.0.2" 2026-01-20 LTS')
    other = java_home(tmp_path / "other", OPENJDK_17)
    around = {"JAVA_HOME": str(other), "PATH": str(other / "bin")}

    for spelling in (named, named / "bin" / "java"):
        java = find_java({"FOREWARN_JAVA": str(spelling), **around})

        assert (java.home, java.major, java.version) == (named, 25, "25.0.2")


def test_an_old_java_is_passed_over(tmp_path: Path) -> None:
    """A `JAVA_HOME` left over from another project does not hide the newer Java in `PATH`."""
    old = java_home(tmp_path / "old", OPENJDK_11)
    new = java_home(tmp_path / "new", OPENJDK_17)
    java = find_java({"JAVA_HOME": str(old), "PATH": str(new / "bin")})

    assert java.executable == new / "bin" / "java"


def test_a_named_java_that_is_too_old_is_an_error(tmp_path: Path) -> None:
    """Who names a Java wants that one: the error says which it is, and nothing else is tried."""
    old = java_home(tmp_path / "old", OPENJDK_11)
    new = java_home(tmp_path / "new", OPENJDK_17)

    with pytest.raises(JavaNotFoundError, match=re.escape("is Java 11.0.2")):
        find_java({"FOREWARN_JAVA": str(old), "JAVA_HOME": str(new)})


def test_a_java_that_does_not_run_is_named(tmp_path: Path) -> None:
    """A broken launcher, or something else that is called java, is told from one that is too old."""
    broken = java_home(tmp_path / "broken", OPENJDK_17, exit_code=1)
    for home in (broken, tmp_path / "absent"):
        with pytest.raises(JavaNotFoundError, match=re.escape(f"{home}/bin/java does not run")):
            find_java({"FOREWARN_JAVA": str(home) if home.is_dir() else f"{home}/bin/java"})


def test_ports_are_free_and_all_different() -> None:
    """Each port can be bound, all of them at once."""
    ports = free_ports("127.0.0.1", 20)
    sockets = [socket.create_server(("127.0.0.1", port)) for port in ports]
    for listening in sockets:
        listening.close()

    assert len(set(ports)) == 20
