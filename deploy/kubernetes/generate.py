"""Write what is told elsewhere already: Strimzi's topics and users from the tables of the code, the rules from Prometheus' files.

python deploy/kubernetes/generate.py [--prefix TEXT] [--partitions N] [--into FOLDER]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from streams.acls import ROLES, grants, strimzi
from streams.settings import Settings
from streams.topics import topic_specs

API_VERSION: Final = "kafka.strimzi.io/v1"
CLUSTER: Final = "forewarn-kafka"
REPLICAS: Final = 3
"""With `min.insync.replicas` 2 one broker may be away, and nothing that was acknowledged is lost with it."""
RULES: Final = Path(__file__).parents[1] / "prometheus" / "rules"
_HEAD: Final = "# Written by deploy/kubernetes/generate.py: change {source} and run that again.\n"


def topics(settings: Settings) -> Iterator[dict[str, Any]]:
    """Return every topic as a KafkaTopic."""
    for spec in topic_specs(settings):
        config = {**spec.required, **spec.advised, "min.insync.replicas": str(REPLICAS - 1)}
        yield _resource(
            "KafkaTopic",
            spec.name,
            {"partitions": spec.partitions, "replicas": REPLICAS, "config": dict(sorted(config.items()))},
        )


def users(settings: Settings) -> Iterator[dict[str, Any]]:
    """Return every role of the table of access as a KafkaUser with a certificate of its own."""
    for role in ROLES:
        acls = [{**acl, "host": "*"} for acl in strimzi(grants(settings, [role]))]
        yield _resource(
            "KafkaUser",
            f"{settings.topic_prefix}forewarn-{role}",
            {"authentication": {"type": "tls"}, "authorization": {"type": "simple", "acls": acls}},
        )


def rules() -> dict[str, Any]:
    """Return the alerting rules as a PrometheusRule."""
    groups = [
        group for file in sorted(RULES.glob("*.yaml")) for group in yaml.safe_load(file.read_text())["groups"]
    ]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "forewarn"},
        "spec": {"groups": groups},
    }


def _resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "labels": {"strimzi.io/cluster": CLUSTER}}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _write(file: Path, source: str, resources: Iterable[dict[str, Any]]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(_HEAD.format(source=source) + yaml.safe_dump_all(resources, sort_keys=False, width=110))


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prefix", default="")
    parser.add_argument("--partitions", type=int, default=Settings().partitions)
    parser.add_argument("--into", type=Path, default=Path(__file__).parent)
    chosen = parser.parse_args()
    settings = Settings(topic_prefix=chosen.prefix, partitions=chosen.partitions)
    _write(chosen.into / "strimzi" / "topics.yaml", "streams/topics.py", topics(settings))
    _write(chosen.into / "strimzi" / "users.yaml", "streams/acls.py", users(settings))
    _write(chosen.into / "monitoring" / "prometheusrule.yaml", "deploy/prometheus/rules/", [rules()])


if __name__ == "__main__":
    main()
