"""A local Kafka by hand: `python -m streams.kafka.local [--brokers 3]`, until Ctrl-C.

`--find-java` only prints the Java that would be used, and fails where there is none: the run scripts ask this way
whether one has to be installed.
"""

import contextlib
import signal
import sys

import click

from streams.kafka.local.cluster import LocalKafka
from streams.kafka.local.errors import BrokerUnavailableError
from streams.kafka.local.java import find_java


@click.command()
@click.option(
    "--brokers", type=click.Choice(["1", "3"]), default="1", show_default=True, help="How many to start."
)
@click.option("--find-java", "only_java", is_flag=True, help="Print the Java that would be used, and end.")
def main(brokers: str, *, only_java: bool) -> None:
    """Start a local Kafka, print where it is, and keep it until Ctrl-C."""
    try:
        if only_java:
            print(find_java().executable)
            return
        with LocalKafka(int(brokers)) as kafka:
            print(kafka.bootstrap_servers, flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
    except BrokerUnavailableError as error:
        print(f"forewarn: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
