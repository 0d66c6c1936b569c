"""Probes, metrics and paths of `deploy/` are those of a node that runs."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from hubbub.contract.errors import Code
from tests.deploy.files import DEPLOY, alerts, container, manifests
from tests.harness.servers import Server, serve
from tests.harness.valkey import ValkeyServer

PROMETHEUS = {"up"}
"""What Prometheus knows of a target by itself."""


@pytest.fixture
async def node(tmp_path: Path, database_url: str, valkey: ValkeyServer) -> AsyncIterator[Server]:
    """A node among others, with all metrics that there are."""
    server = await serve(tmp_path, database_url=database_url, valkey_url=valkey.url)
    yield server
    await server.end()


async def fetch(node: Server, path: str) -> tuple[int, str]:
    """The status and the text of a page."""
    async with aiohttp.ClientSession() as http, http.get(node.url + path) as response:
        return response.status, await response.text()


async def test_probes(node: Server) -> None:
    """Every path that is asked for health is there, and says that all is well."""
    probes = [container()[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")]
    (balanced,) = re.findall(r"127\.0\.0\.1:8080(/[\w/]+)", (DEPLOY / "compose.yaml").read_text())
    for path in {*probes, balanced}:
        status, _ = await fetch(node, path)
        assert status == 200, path


async def test_the_image_looks_after_itself(node: Server) -> None:
    """Its command for health is content with a node that is ready, and with nothing else."""
    (written,) = re.findall(
        r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE
    )
    command = json.loads(written)
    for port, healthy in ((node.port, True), (1, False)):
        environment = {**os.environ, "HUBBUB_PORT": str(port)}
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stderr=asyncio.subprocess.DEVNULL
        )
        assert (await process.wait() == 0) is healthy


async def test_metrics(node: Server) -> None:
    """Alerts and autoscaling name metrics that a node has, and codes that a request can be answered."""
    path = manifests()["Deployment"]["spec"]["template"]["metadata"]["annotations"]["prometheus.io/path"]
    status, text = await fetch(node, path)
    assert status == 200
    there = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)) | PROMETHEUS
    for rule in alerts():
        named = set(re.findall(r"\b((?:hubbub|process)_\w+|up)\b", rule["expr"]))
        assert named, rule
        assert named <= there, rule
        assert set(re.findall(r'code="(\w+)"', rule["expr"])) <= set(Code)
    pods = [one["pods"] for one in manifests()["HorizontalPodAutoscaler"]["spec"]["metrics"] if "pods" in one]
    assert {one["metric"]["name"] for one in pods} <= there


async def test_what_is_let_in(node: Server) -> None:
    """The Ingress lets in what clients ask for, and nothing that tells of the server."""
    rule = manifests()["Ingress"]["spec"]["rules"][0]
    let_in = [one["path"] for one in rule["http"]["paths"]]
    _, openapi = await fetch(node, "/api/v1/schema/openapi.json")
    paths = set(json.loads(openapi)["paths"])
    told = {path for path in paths if re.search(r"metrics|health|monitoring", path)}
    assert told
    missed = {path for path in paths - told if not any(path.startswith(one) for one in let_in)}
    assert missed == set()
    assert [path for path in told if any(path.startswith(one) for one in let_in)] == []
    status, _ = await fetch(node, f"{let_in[0]}/?EIO=4&transport=polling")
    assert status == 200
