"""A worker process: `forewarn worker`, or `python -m streams.worker`."""

from __future__ import annotations

import logging
import os
import sys
from typing import Final

from streams.credentials import uses_sasl
from streams.log_repeats import tell_repeats_once
from streams.settings import Settings, SettingsError, load_settings

EXIT_USAGE: Final = 2

_ASKED_WHY_SECONDS: Final = 3.0
"""A broker that is there refuses in some tenths of a second; the process ends anyway."""

_TALKATIVE: Final = ("aiokafka", "faust", "mode", "kafka")
"""Libraries that say on level INFO what nobody needs every day."""
_REPEATING: Final = (
    "aiokafka",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.sender",
)
"""Loggers that say the same as often as they try."""


def run(settings: Settings, *, log_level: str = "INFO") -> int:
    """Run a worker until it is stopped; return the exit status.

    SIGTERM and SIGINT finish the batch, commit and leave the group: status 0. Any failure of a task, and anything wrong at
    the start, is told on stderr: status 1.
    """
    # Faust and its drivers take a second to import: not for those who only ask for `--help`.
    from streams.app import EXIT_FAILURE, create_app, preflight
    from streams.kafka.reaching import kafkas_word, refusal_now
    from streams.pipeline import PipelineError
    from streams.ports import PortError
    from streams.webhooks.endpoints import WebhooksError, load_endpoints

    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    tell_repeats_once(_REPEATING)
    try:
        if settings.webhooks_file:
            load_endpoints(settings.webhooks_file)
        preflight(settings)
    except (PortError, PipelineError, WebhooksError) as error:
        print(f"forewarn worker: {error}", file=sys.stderr)
        return EXIT_FAILURE
    app = create_app(settings)
    worker = app.Worker(loglevel=log_level, redirect_stdouts=False)
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else EXIT_FAILURE
        refused = kafkas_word(end)
    failure = app.pipeline.failure or app.delivery.failure or refused
    if failure is not None:
        print(f"forewarn worker: {failure}", file=sys.stderr)
        # The clients say of a password that was changed meanwhile only that a broker is away.
        if uses_sasl(settings) and (refusal := refusal_now(settings, _ASKED_WHY_SECONDS)) is not None:
            print(f"forewarn worker: {refusal}", file=sys.stderr)
        return EXIT_FAILURE
    return status


def main() -> None:
    """Run with settings from the environment and `name=value` arguments."""
    try:
        settings = load_settings(os.environ, dict(argument.split("=", 1) for argument in sys.argv[1:]))
    except (SettingsError, ValueError) as error:
        print(f"forewarn worker: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    sys.exit(run(settings))


if __name__ == "__main__":
    main()
