"""What `deploy/` says of the server is true of this one. Neither Docker nor Kubernetes runs here."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hubbub.settings import ROWS, load_settings
from tests.deploy.files import (
    DEPLOY,
    KUBERNETES,
    TEXTS,
    YAML,
    alerts,
    container,
    documents,
    given,
    manifests,
    pod,
    rows,
    service,
)
from tools.cluster import balancer

SECRETS = given(KUBERNETES / "secret.env.example")
SETTINGS = given(KUBERNETES / "settings.env")
DRAIN = load_settings(environ={}).drain_timeout


def seconds(text: object) -> float:
    """A duration like `20s`."""
    found = re.fullmatch(r"(\d+)s?", str(text))
    assert found, text
    return float(found[1])


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_yaml(path: Path) -> None:
    """Every file can be read, and holds something."""
    assert documents(path)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_settings(path: Path) -> None:
    """Every variable that is named is a setting's."""
    names = {f"HUBBUB_{name.upper()}" for name in ROWS} | {"HUBBUB_SERVICE_HOST"}
    named = set(re.findall(r"HUBBUB_[A-Z_]*[A-Z]", path.read_text()))
    assert named <= names, path


def test_compose_gives_settings_that_the_server_takes() -> None:
    """With everything filled in."""
    environment = service("node")["environment"]
    filled = {name: re.sub(r"\$\{[^}]*\}", "x" * 32, value) for name, value in environment.items()}
    filled["HUBBUB_ALLOWED_ORIGINS"] = given(DEPLOY / ".env.example")["ALLOWED_ORIGINS"]
    settings = load_settings(environ=filled)
    assert settings.valkey_url is not None
    assert settings.registration == "closed"
    needed = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert needed == set(given(DEPLOY / ".env.example"))


def test_kubernetes_gives_settings_that_the_server_takes() -> None:
    """Together with the secrets, and with what a pod adds."""
    own = [one["name"] for one in container()["env"]]
    assert own == ["HUBBUB_NODE_HOST"]
    settings = load_settings(environ={**SETTINGS, **SECRETS, "HUBBUB_NODE_HOST": "10.0.0.1"})
    assert {one["containerPort"] for one in container()["ports"]} == {settings.port, settings.node_port}
    assert settings.data_dir == Path(container()["volumeMounts"][0]["mountPath"])
    assert not SECRETS.keys() & SETTINGS.keys()
    assert not [name for name in SETTINGS if ROWS[name.removeprefix("HUBBUB_").lower()].secret]


def test_no_variables_of_kubernetes_own() -> None:
    """The service's name begins like hubbub's variables, and the server refuses others."""
    assert pod()["enableServiceLinks"] is False


def test_the_ports_fit() -> None:
    """From the outside to the server, in all three."""
    port = load_settings(environ=SETTINGS).port
    assert load_settings(environ={}).port == port
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert f"EXPOSE {port}" in dockerfile
    assert f"HUBBUB_PORT={port}" in dockerfile
    assert f"server node:{port} " in (DEPLOY / "nginx.conf").read_text()
    (listening,) = re.findall(r"listen (\d+)", (DEPLOY / "nginx.conf").read_text())
    assert service("balancer")["ports"][0].endswith(f":{listening}")
    named = {one["name"] for one in container()["ports"]}
    assert {one["targetPort"] for one in manifests()["Service"]["spec"]["ports"]} <= named
    annotations = manifests()["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port)
    outside, inside = manifests()["NetworkPolicy"]["spec"]["ingress"]
    assert outside["ports"] == [{"port": port}]
    assert inside["ports"] == [{"port": int(SETTINGS["HUBBUB_NODE_PORT"])}]
    assert inside["from"] == [{"podSelector": {}}]


def test_there_is_time_to_drain() -> None:
    """Whoever ends a server waits longer than it may take."""
    compose = load_settings(
        environ={"HUBBUB_DRAIN_TIMEOUT": service("node")["environment"]["HUBBUB_DRAIN_TIMEOUT"]}
    )
    assert seconds(service("node")["stop_grace_period"]) > compose.drain_timeout
    pause = seconds(container()["lifecycle"]["preStop"]["exec"]["command"][1])
    grace = pod()["terminationGracePeriodSeconds"]
    assert grace > pause + load_settings(environ=SETTINGS).drain_timeout
    unit = (DEPLOY / "hubbub.service").read_text()
    (stop,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert float(stop) > DRAIN


@pytest.mark.parametrize("path", ["nginx.conf", "kubernetes/service.yaml"])
def test_proxies_are_patient_enough(path: str) -> None:
    """The server, not a proxy, gives an idle client up; and bodies may be as large as the server takes."""
    text = (DEPLOY / path).read_text()
    settings = load_settings(environ={})
    (patience,) = re.findall(r"proxy[-_]read[-_]timeout\W+(\d+)", text)
    assert float(patience) > settings.ping_interval + settings.ping_timeout
    (size,) = re.findall(r"body[-_]size\W+(\d+)m", text)
    assert int(size) * 1_048_576 >= settings.max_payload


def test_nobody_is_sticky() -> None:
    """No balancer here needs to keep a client at one node."""
    for path in TEXTS:
        said = re.sub(r"#.*", "", path.read_text())
        assert not re.search(r"ip_hash|sticky|sessionAffinity|affinity:|hash \$", said), path


def test_nothing_runs_as_root() -> None:
    """Image, pods and service have a user who may write nothing but the data."""
    assert re.findall(r"^USER (\d+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE) == ["10001"]
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert container()["securityContext"]["readOnlyRootFilesystem"] is True
    assert service("node")["read_only"] is True
    assert "User=hubbub" in (DEPLOY / "hubbub.service").read_text()


def test_the_image_is_made_of_what_is_there() -> None:
    """Each file that the Dockerfile copies is in the checkout, and let through to the build."""
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    let_through = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for name in " ".join(copied).split():
        assert (DEPLOY.parent / name).exists()
        assert f"!{name}" in let_through


def test_alerts_are_explained() -> None:
    """The page about operations has a row for each, in order."""
    page = (DEPLOY.parent / "docs" / "operations.md").read_text()
    names = [rule["alert"] for rule in alerts()]
    assert [name for name in rows(page) if name.startswith("Hubbub")] == names
    assert len(set(names)) == len(names)


def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    """The balancer of Compose, as far as nginx judges without starting it."""
    found = balancer.binary()
    if found is None:
        pytest.skip(str(balancer.missing()))
    nginx, config = tmp_path / "nginx", tmp_path / "nginx.conf"
    shutil.copy(found, nginx)
    nginx.chmod(0o755)
    config.write_text((DEPLOY / "nginx.conf").read_text().replace("/tmp/", f"{tmp_path}/"))
    for folder in (
        "logs",
        *(f"{name}_temp" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
    ):
        (tmp_path / folder).mkdir()
    command = [str(nginx), "-t", "-p", str(tmp_path), "-c", str(config), "-e", "stderr"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """As far as systemd judges without starting it."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is missing: install systemd")
    unit = tmp_path / "hubbub.service"
    there = f"ExecStart={sys.executable} -m hubbub serve"
    unit.write_text(re.sub(r"ExecStart=.*", there, (DEPLOY / "hubbub.service").read_text()))
    done = subprocess.run([analyze, "verify", "--man=no", unit], check=False, capture_output=True, text=True)
    about = [line for line in (done.stdout + done.stderr).splitlines() if "hubbub.service" in line]
    assert (done.returncode, about) == (0, [])


def test_kustomize_puts_it_together(tmp_path: Path) -> None:
    """As far as kubectl judges without a cluster."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is missing: install it to put the manifests together")
    folder = tmp_path / "kubernetes"
    shutil.copytree(KUBERNETES, folder)
    shutil.copy(folder / "secret.env.example", folder / "secret.env")
    done = subprocess.run([kubectl, "kustomize", folder], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for kind in manifests():
        assert kind == "Kustomization" or f"kind: {kind}" in done.stdout
