"""One bound for each kind of file that people write, and one way of saying that it was passed."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from streams.commands.common import policy_from
from streams.mapping.errors import MappingError
from streams.mapping.loading import read_mapping
from streams.mapping.registry import SchemaFiles
from streams.pseudonym import PseudonymError, read_pseudonyms
from streams.settings import SettingsError, load_settings
from streams.small_files import read_small
from streams.webhooks.endpoints import WebhooksError, load_endpoints

SECRET = b"whsec_never-to-be-shown "


def test_what_has_as_many_bytes_as_it_may_is_read_whole(tmp_path: Path) -> None:
    """The bound itself is allowed."""
    file = tmp_path / "file"
    file.write_bytes(b"12345")

    assert read_small(file, 5) == b"12345"


def test_what_is_larger_is_named_and_not_quoted(tmp_path: Path) -> None:
    """Somebody may have named the wrong file, and it may hold a secret."""
    file = tmp_path / "file"
    file.write_bytes(SECRET)

    with pytest.raises(OSError, match="larger than 5 bytes") as refused:
        read_small(file, 5)

    assert (refused.value.errno, refused.value.filename) == (errno.EFBIG, str(file))
    assert SECRET.decode().strip() not in str(refused.value)


def test_what_never_ends_is_left_behind_the_bound() -> None:
    """A device where a file should be."""
    with pytest.raises(OSError, match="larger than 5 bytes"):
        read_small(Path("/dev/zero"), 5)


def _sasl(file: Path) -> object:
    return load_settings(
        {},
        {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": "worker",
            "sasl_password_file": str(file),
        },
    )


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (_sasl, SettingsError),
        (read_pseudonyms, PseudonymError),
        (read_mapping, MappingError),
        (lambda file: SchemaFiles({1: str(file)}, None), MappingError),
        (lambda file: load_endpoints(str(file)), WebhooksError),
        (policy_from, click.ClickException),
    ],
    ids=["password", "pseudonyms", "mapping", "schema", "endpoints", "policy"],
)
def test_every_kind_says_so_in_its_own_error(
    tmp_path: Path, read: Callable[[Path], Any], error: type[Exception]
) -> None:
    """With the file's name and what is allowed, and nothing of what it holds."""
    file = tmp_path / "far-too-large"
    file.touch(mode=0o600)
    file.write_bytes(SECRET * 200_000)

    with pytest.raises(error, match=r"far-too-large.*larger than \d+ bytes") as refused:
        read(file)

    assert SECRET.decode().strip() not in str(refused.value)
