"""Commands without a running server: what they print, what they refuse, and that stdout has nothing else."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hubbub import __version__
from hubbub.settings import ROWS, load_or_create_secret
from tests.cli.command import complaint, hubbub, make_database, output, program

SECRET = "s" * 40
PASSWORD = "correct horse\n"


def claims(token: str) -> dict[str, object]:
    """What a token says."""
    payload = token.split(".")[1]
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def test_version_and_help(tmp_path: Path) -> None:
    """The version is one line; every command and every setting is in the help."""
    assert output(tmp_path, "--version") == f"hubbub {__version__}\n"
    text = output(tmp_path, "--help")
    assert all(name in text for name in ("serve", "token", "user", "chat", "migrate", "config"))
    text = output(tmp_path, "serve", "--help", COLUMNS="300", TERMINAL_WIDTH="300")
    assert all(row.flag in text and row.environment in text for row in ROWS.values())


def test_a_token_without_a_server(tmp_path: Path) -> None:
    """The token is all there is on stdout, signed with the secret that the server made."""
    load_or_create_secret(tmp_path)
    first = output(tmp_path, "token", "--username", "ann", "--ttl", "2h", "--role", "admin")
    assert first.count("\n") == 1
    said = claims(first)
    assert (said["sub"], said["username"], said["role"]) == ("ann", "ann", "admin")
    assert 7200 <= int(str(said["exp"])) - int(str(said["iat"])) <= 7201
    assert not (tmp_path / "hubbub.db").exists()
    done = program(tmp_path, "token", "--username", "ann")
    assert (done.returncode, done.stderr) == (0, "")
    assert claims(done.stdout.removesuffix("\n"))["sub"] == "ann"
    second = claims(output(tmp_path, "token", "--username", "Ann O'Hara", "--user-id", "app|7"))
    assert (second["sub"], second["username"], second["role"]) == ("app|7", "Ann O'Hara", "user")


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (["--username", "ann", "--ttl", "5"], {}, "--ttl"),
        (["--username", "ann", "--ttl", "0s"], {}, "--ttl"),
        (["--username", "ann", "--ttl", "9999d"], {}, "from 1s to 3650d"),
        (["--username", ""], {}, "--username"),
        (["--username", "a\x1bb"], {}, "--username"),
        (["--username", "ann", "--user-id", "x" * 129], {}, "--user-id"),
        (["--username", "ann"], {"HUBBUB_JWT_SECRET": "short"}, "jwt_secret (environment HUBBUB_JWT_SECRET)"),
        (["--username", "ann"], {"HUBBUB_PORT": "x"}, "port (environment HUBBUB_PORT)"),
        (["--username", "ann"], {"HUBBUB_PROT": "5"}, "did you mean HUBBUB_PORT?"),
        (["--username", "ann", "--config", "nowhere.toml"], {}, "nowhere.toml"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, arguments: list[str], settings: dict[str, str], words: str
) -> None:
    """A wrong flag or setting is named in one line on stderr, with exit code 2 and nothing on stdout."""
    assert words in complaint(tmp_path, "token", *arguments, **settings)


def test_a_failing_program(tmp_path: Path) -> None:
    """As a program, too: one line on stderr, exit code 2."""
    done = program(tmp_path, "token", "--username", "ann", "--ttl", "soon")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_tokens_from_elsewhere(tmp_path: Path) -> None:
    """A server that takes only tokens of somebody else makes none; users and chats can be managed still."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(key.public_bytes(*form))
    make_database(tmp_path)
    settings = {"HUBBUB_JWT_ALGORITHMS": "ES256", "HUBBUB_JWT_PUBLIC_KEY": str(tmp_path / "key.pem")}
    assert "elsewhere" in complaint(tmp_path, "token", "--username", "ann", **settings)
    output(tmp_path, "user", "add", "ann", stdin=PASSWORD, **settings)
    output(tmp_path, "chat", "create", "Team", "--owner", "ann", **settings)


def test_settings_and_their_sources(tmp_path: Path) -> None:
    """Flags win over the environment, that over the file; each value tells its source, secrets nothing."""
    (tmp_path / "hubbub.toml").write_text('port = 4000\nhost = "0.0.0.0"\nlog_level = "debug"\n')
    settings = {"HUBBUB_PORT": "5000", "HUBBUB_HOST": "::1", "HUBBUB_JWT_SECRET": SECRET}
    text = output(tmp_path, "config", "--port", "6000", **settings)
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in text.splitlines()}
    assert rows["port"] == "6000 flag --port"
    assert rows["host"] == "::1 environment HUBBUB_HOST"
    assert rows["log_level"] == "debug file hubbub.toml"
    assert rows["connection_rate"] == "5/5m default"
    assert rows["jwt_secret"] == "******** environment HUBBUB_JWT_SECRET"
    assert SECRET not in text
    assert rows.keys() >= ROWS.keys()


def test_settings_of_the_development_profile(tmp_path: Path) -> None:
    """With `--dev` the settings are those of `serve --dev`."""
    text = output(tmp_path, "config", "--dev")
    [line] = [line for line in text.splitlines() if line.startswith("connection_rate ")]
    assert line.split()[1:] == ["off", "development", "profile"]


def test_where_the_made_secret_is(tmp_path: Path) -> None:
    """A secret that the server made is no default of nothing: its place is shown, and not the secret."""

    def line() -> str:
        text = output(tmp_path, "config")
        return next(line for line in text.splitlines() if line.startswith("jwt_secret "))

    assert line().split() == ["jwt_secret", "default"]
    secret = load_or_create_secret(tmp_path)
    assert f"******** (made, {tmp_path / 'jwt-secret'})" in line()
    assert secret not in line()


def test_users_and_chats_without_a_server(tmp_path: Path) -> None:
    """Users and chats are made, listed and changed; ids come alone, for scripts; mistakes are one line."""
    make_database(tmp_path)
    load_or_create_secret(tmp_path)
    ann = output(tmp_path, "user", "add", "ann", "--email", "ann@example.com", stdin=PASSWORD).strip()
    done = hubbub(tmp_path, "token", "--username", "ann")
    assert (done.returncode, claims(done.stdout)["sub"]) == (0, ann)
    assert done.stderr == f"hubbub: ann is the registered user {ann}; for another one, give --user-id\n"
    assert complaint(tmp_path, "user", "add", "ann", stdin=PASSWORD) == "Username is already taken"
    assert "password" in complaint(tmp_path, "user", "add", "bob", stdin="short\n")
    assert "stdin" in complaint(tmp_path, "user", "add", "bob")
    assert complaint(tmp_path, "user", "disable", "nobody") == "nobody: User not found"
    chat = output(tmp_path, "chat", "create", "Team \x1b[31m", "--owner", "ann@example.com").strip()
    assert complaint(tmp_path, "chat", "archive", "nothing") == "Chat not found or access denied"
    [row] = json.loads(output(tmp_path, "chat", "list", "--json"))
    assert (row["id"], row["name"], row["createdBy"]) == (chat, "Team [31m", ann)
    assert len(output(tmp_path, "user", "list").splitlines()) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["user", "list"],
        ["user", "disable", "ann"],
        ["chat", "list"],
        ["chat", "create", "Team", "--owner", "ann"],
        ["migrate"],
        ["check"],
        ["token", "--username", "ann"],
    ],
)
def test_another_folder(tmp_path: Path, arguments: list[str]) -> None:
    """In a folder that no server has used, a command says so and leaves nothing behind."""
    words = complaint(tmp_path, *arguments, "--data-dir", "typo")
    assert "typo" in words
    assert "there is no " in words
    assert not list(tmp_path.iterdir())


def test_a_token_with_a_given_secret(tmp_path: Path) -> None:
    """A secret is all that a token takes: no folder and no database."""
    token = output(tmp_path, "token", "--username", "ann", HUBBUB_DATA_DIR="typo", HUBBUB_JWT_SECRET=SECRET)
    assert claims(token)["sub"] == "ann"
    assert not list(tmp_path.iterdir())


def test_a_token_of_a_user_who_is_switched_off(tmp_path: Path) -> None:
    """The token is made, since the user may be switched on again, and stderr tells that it is no good now."""
    make_database(tmp_path)
    load_or_create_secret(tmp_path)
    output(tmp_path, "user", "add", "ann", stdin=PASSWORD)
    output(tmp_path, "user", "disable", "ann")
    done = hubbub(tmp_path, "token", "--username", "ann")
    assert (done.returncode, done.stdout.count(".")) == (0, 2)
    assert "ann is switched off" in done.stderr


def test_migrating(tmp_path: Path) -> None:
    """A database is brought up to date; a file that is none is refused in one line."""
    make_database(tmp_path)
    assert "up to date" in output(tmp_path, "migrate")
    (tmp_path / "other.db").write_bytes(b"no database at all, " * 100)
    words = complaint(tmp_path, "migrate", "--database-url", f"sqlite:///{tmp_path}/other.db")
    assert "other.db" in words
    assert hubbub(tmp_path, "migrate", "--nonsense").returncode == 2
