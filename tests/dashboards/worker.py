"""A worker as `forewarn worker` starts it, but that its challengers tell their figures after some dozens of examples.

A worker tells them after thousands, which at the pace at which challengers may learn is hours.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Final

from models.risk.challengers import ChallengerLimits, Challengers
from streams.app import create_app, preflight
from streams.settings import load_settings
from streams.training import TrainingService

LIMITS: Final = ChallengerLimits(warm_up=20, told_from=20)
CHALLENGERS_TOLD_FROM: Final = LIMITS.warm_up + LIMITS.told_from


def main() -> None:
    """Run until it is stopped."""
    settings = load_settings(os.environ)
    preflight(settings)
    app = create_app(settings)
    app.training = TrainingService(settings, app.metrics, partial(Challengers, LIMITS))
    app.Worker(loglevel="WARNING", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
