"""Files that people write: mappings, policies, keys, passwords. Small ones; what is large is the wrong file, and is not read whole."""

from __future__ import annotations

import errno
from pathlib import Path


def read_small(file: Path, bytes_max: int) -> bytes:
    """Read a file whole.

    Args:
        file: a regular file, or what yields bytes and ends.
        bytes_max: what its kind never comes to; one byte more is read at most.

    Raises:
        OSError: it cannot be read; with `EFBIG`, it is larger. `strerror` and `filename` say so, and nothing quotes the file.
    """
    with file.open("rb") as stream:
        content = stream.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise OSError(errno.EFBIG, f"larger than {bytes_max} bytes", str(file))
    return content
