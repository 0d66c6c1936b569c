"""Commands beside a running server, and the server's own start and end."""

import fcntl
import json
import socket
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hubbub.app import demo
from hubbub.settings import load_or_create_secret
from tests.cli.command import complaint, hubbub, make_database, output, serving

PASSWORD = "correct horse\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a running server, its port known to nobody but itself."""
    folder = tmp_path_factory.mktemp("data")
    with serving(folder):
        yield folder


def test_users_and_chats_beside_the_server(data: Path) -> None:
    """Every command works while the server runs, through the server."""
    ann = output(data, "user", "add", "ann", stdin=PASSWORD).strip()
    done = hubbub(data, "token", "--username", "ANN")
    assert (done.returncode, done.stdout.count(".")) == (0, 2)
    assert ann in done.stderr
    output(data, "user", "add", "bob", "--role", "moderator", stdin=PASSWORD)
    output(data, "user", "password", "bob", stdin="battery staple\n")
    output(data, "user", "disable", "bob")
    users = {user["username"]: user for user in json.loads(output(data, "user", "list", "--json"))}
    assert users["ann"]["id"] == ann
    assert (users["bob"]["active"], users["bob"]["role"]) == (False, "moderator")
    output(data, "user", "enable", "bob")
    chat = output(data, "chat", "create", "Team", "--owner", "ann", "--public", "--description", "x").strip()
    output(data, "chat", "add", chat, "bob", "--role", "moderator")
    assert "last admin" in complaint(data, "chat", "remove", chat, "ann")
    output(data, "chat", "remove", chat, "bob")
    output(data, "chat", "archive", chat)
    [row] = json.loads(output(data, "chat", "list", "--json"))
    assert (row["isActive"], row["participantCount"]) == (False, 1)
    output(data, "chat", "archive", chat, "--undo")
    assert "Team" in output(data, "chat", "list")


def test_the_operator_is_no_user(data: Path) -> None:
    """Commands leave no user of their own behind."""
    names = [user["username"] for user in json.loads(output(data, "user", "list", "--json"))]
    assert "hubbub:operator" not in names


def test_another_secret(data: Path) -> None:
    """A command with other settings than the server's says so."""
    words = complaint(data, "user", "list", HUBBUB_JWT_SECRET="x" * 40)
    assert "secret" in words


def test_the_database_is_in_use(data: Path) -> None:
    """What needs the database for itself, a second server included, is refused in one line."""
    for command in (["migrate"], ["serve", "--port", "0"]):
        assert "in use" in complaint(data, *command)


def test_a_stale_address(tmp_path: Path) -> None:
    """The note of a server that was killed leads nowhere and does no harm."""
    make_database(tmp_path)
    load_or_create_secret(tmp_path)
    (tmp_path / "hubbub.db.address").write_text("http://127.0.0.1:9\n")
    assert output(tmp_path, "user", "list").startswith("NAME")


def test_a_stale_address_of_a_database_in_use(tmp_path: Path) -> None:
    """When the database is in use and nobody answers at the noted address, the line is about the database."""
    make_database(tmp_path)
    (tmp_path / "hubbub.db.address").write_text("http://127.0.0.1:9\n")
    with (tmp_path / "hubbub.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "in use" in complaint(tmp_path, "user", "list")


def test_closed_registration(tmp_path: Path) -> None:
    """Strangers are refused, the operator makes users; the settings reach the server."""
    rates = {"HUBBUB_LOGIN_ADDRESS_RATE": "2/5m", "HUBBUB_LOGIN_RATE": "1/5m"}
    with serving(tmp_path, HUBBUB_REGISTRATION="closed", **rates) as url:
        body = {"username": "mallory", "password": "correct horse"}
        assert post(f"{url}/api/v1/auth/register", body) == 403
        output(tmp_path, "user", "add", "ann", stdin=PASSWORD)
        login = {"username": "ann", "password": "correct horse"}
        assert [post(f"{url}/api/v1/auth/login", login) for _ in range(2)] == [200, 429]
        assert post(f"{url}/api/v1/auth/login", {**login, "username": "bob"}) == 429


def post(url: str, body: dict[str, str]) -> int:
    """The status that a POST is answered with."""
    return httpx.post(url, json=body, trust_env=False).status_code


def test_starting_and_stopping(tmp_path: Path) -> None:
    """The server says where it listens, answers there, and leaves nothing but its data behind."""
    with serving(tmp_path, "--dev") as url:
        with urllib.request.urlopen(f"{url}/health/ready") as answer:
            assert json.load(answer) == {"status": "ok", "problems": []}
        with urllib.request.urlopen(f"{url}/api/v1/docs") as answer:
            assert b"HTTP API" in answer.read()
    assert {path.name for path in tmp_path.iterdir()} == {"hubbub.db", "hubbub.db.lock", "jwt-secret"}


@pytest.mark.parametrize(
    ("called", "shown"),
    [
        (".venv/bin/hubbub", ".venv/bin/hubbub"),
        ("/somewhere/bin/hubbub", "/somewhere/bin/hubbub"),
        ("{path}/hubbub", "hubbub"),
        ("/somewhere/hubbub/__main__.py", f"{Path(sys.executable).name} -m hubbub"),
    ],
)
def test_the_banner_names_the_program_as_it_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str, shown: str
) -> None:
    """What it says can be typed as it stands, also where the program is not on the PATH."""
    (tmp_path / "hubbub").write_text("")
    (tmp_path / "hubbub").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [called.format(path=tmp_path)])
    assert demo.program() == shown
    assert f"{shown} token --username NAME" in demo.banner("http://127.0.0.1:1", "x").plain


def test_a_port_in_use(tmp_path: Path) -> None:
    """The line names the port and what to do, also when it is a second server of the same folder."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = complaint(tmp_path, "serve", "--port", port)
    assert port in words
    assert "if hubbub runs here already, that is it" in words
    assert "its own --port and --data-dir" in words


def test_a_host_that_is_not_here(tmp_path: Path) -> None:
    """An address of another machine is told from a port that is taken."""
    words = complaint(tmp_path, "serve", "--port", "0", "--host", "192.0.2.1")
    assert "192.0.2.1" in words
    assert "--host" in words
    assert "--port" not in words


def test_a_bad_start(tmp_path: Path) -> None:
    """A folder that cannot be used and a setting that will not do are one line each."""
    (tmp_path / "file").write_text("")
    assert str(tmp_path) in complaint(tmp_path, "serve", "--port", "0", "--data-dir", f"{tmp_path}/file/x")
    assert "ping_interval" in complaint(tmp_path, "serve", "--ping-interval", "soon")
    assert hubbub(tmp_path, "serve", "--nonsense").returncode == 2
