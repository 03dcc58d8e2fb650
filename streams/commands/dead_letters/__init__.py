"""`forewarn dead-letters`: what came in and could not be used, and what is done about it."""

from __future__ import annotations

import click

from streams.commands.dead_letters.looking import list_, show
from streams.commands.dead_letters.releasing import release
from streams.commands.dead_letters.retrying import retry


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at what was rejected, and put it right.

    A PLACE is PARTITION/OFFSET of a dead letter, or TOPIC:PARTITION/OFFSET of the record that was refused; `list` prints
    both.
    """


for _command in (list_, show, retry, release):
    dead_letters.add_command(_command)
