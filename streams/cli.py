"""The command line: `forewarn`. Only wiring; each command is a module of `streams.commands`."""

from __future__ import annotations

import click

from streams.commands.alerts import alerts
from streams.commands.audit import audit
from streams.commands.backtest import backtest
from streams.commands.borrower import borrower
from streams.commands.convert import convert
from streams.commands.dead_letters import dead_letters
from streams.commands.demo import demo
from streams.commands.lag import lag
from streams.commands.mapping import mapping
from streams.commands.model import model
from streams.commands.policy import policy
from streams.commands.replay import replay
from streams.commands.schema import schema
from streams.commands.simulate import simulate
from streams.commands.topics import topics
from streams.commands.webhooks import webhooks
from streams.commands.worker import worker
from streams.compiled import form

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=_SETTINGS)
@click.version_option(package_name="forewarn", message=f"%(prog)s, version %(version)s, models {form()}")
def main() -> None:
    """Tell a lender which borrower is slipping, and why, while there is still time to help.

    Settings come from options, else from the environment (FOREWARN_BROKER, FOREWARN_TOPIC_PREFIX, ...), else from
    their defaults. Exit status: 0 all well, 1 the world or the input is wrong, 2 wrong usage.
    """


for _command in (
    demo,
    worker,
    simulate,
    replay,
    backtest,
    convert,
    topics,
    mapping,
    policy,
    model,
    alerts,
    dead_letters,
    borrower,
    audit,
    lag,
    schema,
    webhooks,
):
    main.add_command(_command)

if __name__ == "__main__":
    main()
