"""The container image and the composition: held against hadolint's rules, the Compose specification and the tree."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from streams.pages import LIVE_PATH
from streams.settings import ENVIRONMENT_PREFIX, Settings

ROOT: Final = Path(__file__).resolve().parents[2]
DEPLOY: Final = ROOT / "deploy"
DOCKERFILE: Final = DEPLOY / "Dockerfile"
COMPOSE: Final = DEPLOY / "compose.yaml"
TOOLS: Final = Path(sys.executable).parent
"""hadolint and check-jsonschema come as wheels."""
KNOWN: Final = {ENVIRONMENT_PREFIX + field.upper() for field in Settings.__struct_fields__}
OF_COMPOSE_ALONE: Final = {"FOREWARN_IMAGE", "FOREWARN_WORKERS", "FOREWARN_WORKER_MEMORY"}
"""Variables that compose.yaml itself reads, and no worker."""


@pytest.fixture
def services() -> dict[str, dict[str, Any]]:
    """The services of the composition."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a tool and hear what it says."""
    return subprocess.run(list(command), capture_output=True, text=True, check=False)


def copied_from_the_tree() -> list[str]:
    """What the Dockerfile takes from the checkout."""
    lines = [line.split() for line in DOCKERFILE.read_text().splitlines() if line.startswith("COPY ")]
    return [source for line in lines if not line[1].startswith("--from") for source in line[1:-1]]


def test_hadolint_has_nothing_to_say() -> None:
    """The Dockerfile keeps the rules of its linter, without exemption."""
    done = run(TOOLS / "hadolint", "--no-color", DOCKERFILE)

    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_is_made_of_files_that_are_sent_to_the_builder() -> None:
    """What is copied exists, and the ignore file lets it through."""
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    let_through = [line[1:] for line in lines if line.startswith("!")]

    for source in copied_from_the_tree():
        assert (ROOT / source).exists(), source
        assert any(
            fnmatch(source.rstrip("/"), pattern) or pattern.startswith(source) for pattern in let_through
        )


def test_the_image_is_nobodys_and_writes_nothing() -> None:
    """A numbered user that is not root, two stages, a health check, an orderly stop."""
    text = DOCKERFILE.read_text()

    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["65532:65532"]
    assert len(re.findall(r"^FROM ", text, re.MULTILINE)) == 2
    assert "--require-hashes -r deploy/requirements.lock" in text
    assert "HEALTHCHECK" in text
    assert LIVE_PATH in text
    assert "FOREWARN_WEB_HOST=0.0.0.0" in text
    assert set(re.findall(r"FOREWARN_[A-Z_]+", text)) <= KNOWN


def test_the_composition_is_what_the_specification_allows(tmp_path: Path) -> None:
    """The official schema accepts it, and refuses it with a slip of the pen."""
    slipped = tmp_path / "compose.yaml"
    slipped.write_text(COMPOSE.read_text().replace("stop_grace_period", "stop_grace"))

    schema = (TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec")
    assert run(*schema, COMPOSE).returncode == 0
    assert "stop_grace" in run(*schema, slipped).stdout


def test_every_file_that_is_mounted_is_there(services: dict[str, dict[str, Any]]) -> None:
    """Docker makes an empty folder of a file that is missing, and the service starts without it."""
    mounted = [
        volume.split(":")
        for service in services.values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]

    assert len(mounted) >= 5
    for source, _, mode in mounted:
        assert (DEPLOY / source).exists(), source
        assert mode == "ro"


def test_containers_have_no_rights_and_show_themselves_to_this_machine_alone(
    services: dict[str, dict[str, Any]],
) -> None:
    """No capability, no new privileges; ports are those of the loopback address."""
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is (name != "kafka"), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_the_settings_are_settings_of_the_worker(services: dict[str, dict[str, Any]]) -> None:
    """A variable by a wrong name would be passed over in silence."""
    assert services["worker"]["environment"].keys() <= KNOWN
    assert set(re.findall(r"FOREWARN_[A-Z_]+", COMPOSE.read_text())) <= KNOWN | OF_COMPOSE_ALONE
    assert services["worker"]["deploy"]["replicas"] == "${FOREWARN_WORKERS:-2}"


def test_the_broker_is_the_one_that_is_tested_with(services: dict[str, dict[str, Any]]) -> None:
    """The image has the version of the jars, and so does the cluster of Kubernetes."""
    pom = ET.parse(DEPLOY / "kafka" / "pom.xml").getroot()
    maven = {"m": "http://maven.apache.org/POM/4.0.0"}
    version = pom.findtext(".//m:dependency[m:artifactId='kafka_2.13']/m:version", namespaces=maven)
    cluster = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "strimzi" / "cluster.yaml").read_text()))

    assert services["kafka"]["image"] == f"apache/kafka:{version}"
    assert cluster[-1]["spec"]["kafka"]["version"] == version


def test_prometheus_and_grafana_find_what_is_mounted(services: dict[str, dict[str, Any]]) -> None:
    """The paths and host names in their configurations are those of the composition."""
    prometheus = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
    provisioning = DEPLOY / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "forewarn.yaml").read_text())["providers"]
    (source,) = [
        one
        for file in (provisioning / "datasources").glob("*.yaml")
        for one in yaml.safe_load(file.read_text())["datasources"]
    ]
    (scraped,) = prometheus["scrape_configs"][0]["dns_sd_configs"]

    assert scraped["names"] == ["worker"]
    assert f"FOREWARN_WEB_PORT={scraped['port']}" in DOCKERFILE.read_text()
    assert prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == ["alertmanager:9093"]
    assert source["url"] == "http://prometheus:9090"
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]
    assert services.keys() >= {"worker", "alertmanager", "prometheus", "grafana", "kafka"}


def test_the_workflows_are_what_their_schema_allows() -> None:
    """One of them runs the composition, where there is a container engine."""
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    done = run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)

    assert done.returncode == 0, done.stdout
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["containers"][
        "steps"
    ]
    assert any("compose.yaml up --build --detach --wait" in step.get("run", "") for step in steps)
