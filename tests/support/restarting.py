"""An engine that goes on where another stopped, from what that one wrote alone."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from models.engine import RiskEngine


def go_on(former: RiskEngine, changelog: Mapping[str, bytes | None], anew: RiskEngine) -> RiskEngine:
    """`anew`, with every borrower of a changelog and the progress of `former`, which goes through its bytes."""
    progress = former.progress()
    anew.resume(msgspec.msgpack.decode(msgspec.msgpack.encode(progress), type=type(progress)))
    for borrower_id, record in changelog.items():
        if record is not None:
            anew.restore(borrower_id, record)
    return anew
