"""The files of `deploy/` as the tests see them: YAML documents, and the settings that they name."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
TEXTS = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
YAML = [path for path in TEXTS if path.suffix == ".yaml"]


def documents(path: Path) -> list[dict[str, Any]]:
    """All that a file holds."""
    return [one for one in yaml.safe_load_all(path.read_text()) if one is not None]


def manifests() -> dict[str, dict[str, Any]]:
    """Everything of Kubernetes by its kind; there is one of each."""
    found = [one for path in sorted(KUBERNETES.glob("*.yaml")) for one in documents(path)]
    kinds = {one["kind"]: one for one in found}
    assert len(kinds) == len(found)
    return kinds


def service(name: str) -> dict[str, Any]:
    """A service of Compose."""
    found: dict[str, Any] = documents(DEPLOY / "compose.yaml")[0]["services"][name]
    return found


def pod() -> dict[str, Any]:
    """The nodes' pods."""
    found: dict[str, Any] = manifests()["Deployment"]["spec"]["template"]["spec"]
    return found


def container() -> dict[str, Any]:
    """The one container of a pod."""
    (found,) = pod()["containers"]
    assert isinstance(found, dict)
    return found


def given(path: Path) -> dict[str, str]:
    """The settings that a file of variables gives."""
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if line and line[0] != "#")


def alerts() -> list[dict[str, Any]]:
    """The rules of `alerts.yaml`."""
    return [rule for group in documents(DEPLOY / "alerts.yaml")[0]["groups"] for rule in group["rules"]]


def rows(text: str) -> Iterator[str]:
    """The first cells of Markdown tables, where they are in code type."""
    yield from re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
