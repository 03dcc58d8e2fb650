"""Kubernetes: what kustomize makes of the folder is read by the real classes and models of every kind in it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from models.events import TOPICS
from streams.pages import LIVE_PATH, METRICS_PATH, READY_PATH
from streams.settings import ENVIRONMENT_PREFIX, Settings
from tests.deploy.strimzi import read_with_strimzi

ROOT: Final = Path(__file__).resolve().parents[2]
KUBERNETES: Final = ROOT / "deploy" / "kubernetes"
MODELS: Final = {
    "v1": "cloudcoil.models.kubernetes.core.v1",
    "apps/v1": "cloudcoil.models.kubernetes.apps.v1",
    "policy/v1": "cloudcoil.models.kubernetes.policy.v1",
    "networking.k8s.io/v1": "cloudcoil.models.kubernetes.networking.v1",
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
}
"""Pydantic models made of the very schemas that the API server and the operators hold their resources against."""
STRIMZI: Final = "kafka.strimzi.io/"

Manifest = dict[str, Any]


def built(folder: Path) -> list[Manifest]:
    """What `kubectl kustomize` makes of a folder."""
    kubectl = Path(sys.executable).parent / "kubectl"
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def passed_over(written: object, read: object, place: str = "") -> list[str]:
    """Where a model kept less than was written: a field it does not know."""
    if isinstance(written, dict) and isinstance(read, dict):
        found = [f"{place}/{key}" for key in written if key not in read]
        for key in written.keys() & read.keys():
            found += passed_over(written[key], read[key], f"{place}/{key}")
        return found
    if isinstance(written, list) and isinstance(read, list):
        pairs = enumerate(zip(written, read, strict=True))
        return [
            more for number, (one, other) in pairs for more in passed_over(one, other, f"{place}/{number}")
        ]
    return [] if str(written) == str(read) else [f"{place}: {written!r} was read as {read!r}"]


def read_with_models(manifest: Manifest) -> list[str]:
    """What is wrong with a manifest, as the schema of its kind has it."""
    model = getattr(importlib.import_module(MODELS[manifest["apiVersion"]]), manifest["kind"])
    read = model.model_validate(manifest).model_dump(mode="json", by_alias=True, exclude_unset=True)
    return passed_over(manifest, read)


@pytest.fixture(scope="module")
def everything() -> list[Manifest]:
    """The whole folder, built."""
    return built(KUBERNETES)


def one(manifests: list[Manifest], kind: str, name: str = "forewarn") -> Manifest:
    """The manifest of a kind with a name."""
    (found,) = [each for each in manifests if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def test_every_manifest_is_what_the_schema_of_its_kind_allows(everything: list[Manifest]) -> None:
    """Kubernetes' own kinds, KEDA's and the Prometheus Operator's are read by models that keep every field."""
    read = [each for each in everything if not each["apiVersion"].startswith(STRIMZI)]

    assert {each["kind"]: read_with_models(each) for each in read} == {each["kind"]: [] for each in read}
    assert len(read) >= 9


def test_a_field_that_no_schema_knows_is_noticed(everything: list[Manifest]) -> None:
    """The check above would see a slip of the pen."""
    slipped = json.loads(json.dumps(one(everything, "StatefulSet")))
    slipped["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}

    assert read_with_models(slipped) == ["/spec/template/spec/containers/0/readynessProbe"]


def test_strimzis_own_classes_read_its_resources(everything: list[Manifest]) -> None:
    """Cluster, node pool, topics and users; and a wrong field, a wrong word and an old version are each refused."""
    ours = [each for each in everything if each["apiVersion"].startswith(STRIMZI)]
    topic, user = one(ours, "KafkaTopic", "alerts"), one(ours, "KafkaUser", "forewarn-worker")
    field = {**topic, "spec": {**topic["spec"], "partition": 3}}
    version = {**topic, "apiVersion": "kafka.strimzi.io/v0"}
    word = json.loads(json.dumps(user).replace('"Read"', '"Reed"', 1))

    said = read_with_strimzi([*ours, field, version, word])

    assert said[-1] == f"read {len(ours) + 3}, wrong 3"
    wrong = dict(line.split(": ", 1) for line in said[:-1])
    assert [int(number) - len(ours) for number in wrong] == [1, 2, 3]
    for refused, what in zip(wrong.values(), ("partition", "v0", "Reed"), strict=True):
        assert what in refused


def test_what_is_generated_is_what_is_committed(tmp_path: Path) -> None:
    """Topics, users and rules are told once: in the code's tables and in Prometheus' own files."""
    generate = KUBERNETES / "generate.py"
    subprocess.run(
        [sys.executable, generate, "--into", tmp_path], cwd=ROOT, env={"PYTHONPATH": "."}, check=True
    )

    for written in sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.yaml")):
        assert (tmp_path / written).read_text() == (KUBERNETES / written).read_text(), f"run {generate}"
    assert len(list(tmp_path.rglob("*.yaml"))) == 3


def test_the_workers_alone_can_be_had_without_any_operator() -> None:
    """The base holds nothing but Kubernetes' own kinds."""
    assert {each["apiVersion"] for each in built(KUBERNETES / "base")} <= {
        "v1",
        "apps/v1",
        "policy/v1",
        "networking.k8s.io/v1",
    }


def test_a_worker_may_do_as_little_as_can_be(everything: list[Manifest]) -> None:
    """Not root, nothing to write to, no capability, no token; the namespace allows no other."""
    pod = one(everything, "StatefulSet")["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    labels = one(everything, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_object_that_names_another_means_one_that_is_there(everything: list[Manifest]) -> None:
    """Selectors, ports, settings and the scaled workers fit together."""
    workers, service = one(everything, "StatefulSet"), one(everything, "Service")
    pod = workers["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    chosen = [
        workers["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        one(everything, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(everything, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        one(everything, "ServiceMonitor")["spec"]["selector"]["matchLabels"],
    ]

    assert all(labels.items() <= pod["metadata"]["labels"].items() for labels in chosen)
    assert chosen[-1].items() <= service["metadata"]["labels"].items()
    assert workers["spec"]["serviceName"] == service["metadata"]["name"]
    assert pod["spec"]["serviceAccountName"] == one(everything, "ServiceAccount")["metadata"]["name"]
    assert {port["name"] for port in container["ports"]} == {"web"}
    assert [endpoint["port"] for endpoint in one(everything, "ServiceMonitor")["spec"]["endpoints"]] == [
        "web"
    ]
    assert container["readinessProbe"]["httpGet"] == {"path": READY_PATH, "port": "web"}
    assert container["livenessProbe"]["httpGet"] == {"path": LIVE_PATH, "port": "web"}
    assert container["startupProbe"]["httpGet"] == {"path": LIVE_PATH, "port": "web"}
    assert one(everything, "ServiceMonitor")["spec"]["endpoints"][0]["path"] == METRICS_PATH
    assert one(everything, "ScaledObject")["spec"]["scaleTargetRef"]["name"] == workers["metadata"]["name"]
    assert "replicas" not in workers["spec"]


def test_settings_in_the_manifests_are_settings_of_the_worker(everything: list[Manifest]) -> None:
    """A variable by a wrong name would be passed over in silence."""
    (settings,) = [each["data"] for each in everything if each["kind"] == "ConfigMap"]

    known = {ENVIRONMENT_PREFIX + field.upper() for field in Settings.__struct_fields__}
    assert settings.keys() <= known
    assert settings["FOREWARN_BROKER"] == "forewarn-kafka-kafka-bootstrap:9093"


def test_workers_are_scaled_on_the_lag_of_every_input(everything: list[Manifest]) -> None:
    """By the workers' own group, and not to more than there are tasks."""
    scaled = one(everything, "ScaledObject")["spec"]
    watched = [trigger["metadata"] for trigger in scaled["triggers"]]

    assert [each["topic"] for each in watched] == list(TOPICS)
    assert {each["consumerGroup"] for each in watched} == {Settings().group_id}
    assert scaled["maxReplicaCount"] == Settings().partitions


def test_the_certificates_are_where_the_settings_say(everything: list[Manifest]) -> None:
    """Each file that a setting names lies in a mounted secret, and that is the one of the workers' own user."""
    (settings,) = [each["data"] for each in everything if each["kind"] == "ConfigMap"]
    pod = one(everything, "StatefulSet")["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    files = {
        f"{mount['mountPath']}/{item['path']}": volumes[mount["name"]]["secret"]["secretName"]
        for mount in pod["containers"][0]["volumeMounts"]
        for item in volumes[mount["name"]].get("secret", {}).get("items", [])
    }

    assert settings["FOREWARN_SECURITY_PROTOCOL"] == "SSL"
    assert files == {
        settings["FOREWARN_TLS_CA_FILE"]: "forewarn-kafka-cluster-ca-cert",
        settings["FOREWARN_TLS_CERTIFICATE_FILE"]: "forewarn-worker",
        settings["FOREWARN_TLS_KEY_FILE"]: "forewarn-worker",
    }


def test_the_rules_of_the_operator_are_those_of_prometheus(everything: list[Manifest]) -> None:
    """The same groups, whether Prometheus reads them as files or by the Prometheus Operator."""
    files = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yaml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]

    assert one(everything, "PrometheusRule")["spec"]["groups"] == groups
