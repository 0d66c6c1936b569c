"""Where values come from, which one wins, and what is said about a wrong one."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from hubbub.settings import Rate, Settings, SettingsError, describe, load_settings

LONG_SECRET = "correct horse battery staple, twice over"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test starts in a folder without a settings file."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(**given: object) -> str:
    """The one line that a bad setting is answered with."""
    with pytest.raises(SettingsError) as caught:
        load_settings(**{"environ": {}, **given})  # type: ignore[arg-type]  # whatever the test gives
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults() -> None:
    """With nothing given, the documented defaults are in force and say so."""
    settings = load_settings(environ={})
    assert settings == Settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 3001)
    assert settings.connection_rate == Rate(5, 300)
    assert settings.store_url == "sqlite:///data/hubbub.db"
    assert {row.source for row in describe(settings)} == {"default"}


@pytest.mark.parametrize(
    ("file", "environment", "flag", "port", "source"),
    [
        (None, None, None, 3001, "default"),
        ("1", None, None, 1, "file hubbub.toml"),
        ("1", "2", None, 2, "environment HUBBUB_PORT"),
        ("1", "2", "3", 3, "flag --port"),
        ("1", None, "3", 3, "flag --port"),
        (None, "2", "3", 3, "flag --port"),
    ],
)
def test_precedence(
    file: str | None, environment: str | None, flag: str | None, port: int, source: str
) -> None:
    """Flags win over the environment, the environment over the file, the file over the default."""
    if file:
        Path("hubbub.toml").write_text(f"port = {file}\n")
    environ = {"HUBBUB_PORT": environment} if environment else {}
    settings = load_settings({"port": flag} if flag else {}, environ=environ)
    assert (settings.port, settings.source("port")) == (port, source)


def test_the_development_profile_only_replaces_defaults() -> None:
    """The limits of connections and logins are off for developers, unless somebody asked for one."""
    assert load_settings(environ={}).connection_rate is not None
    settings = load_settings(environ={}, development=True)
    assert (settings.connection_rate, settings.source("connection_rate")) == (None, "development profile")
    assert (settings.login_rate, settings.login_address_rate) == (None, None)
    settings = load_settings(environ={"HUBBUB_CONNECTION_RATE": "7/1m"}, development=True)
    assert settings.connection_rate == Rate(7, 60)
    assert "http://localhost:*" in settings.allowed_origins
    assert load_settings(environ={}).allowed_origins == frozenset()


def test_a_file_may_be_named(tmp_path: Path) -> None:
    """By argument, else by HUBBUB_CONFIG; the file of the working folder is left alone then."""
    Path("hubbub.toml").write_text("port = 1")
    named, other = tmp_path / "named.toml", tmp_path / "other.toml"
    named.write_text("port = 2")
    other.write_text("port = 3")
    environ = {"HUBBUB_CONFIG": str(named)}
    assert load_settings(environ=environ).port == 2
    assert load_settings(environ=environ, config=other).port == 3


def test_toml_values_may_have_their_own_types() -> None:
    """Numbers, booleans and lists are written as TOML writes them, or as text."""
    Path("hubbub.toml").write_text(
        'port = 8_080\ncreate_unknown_users = false\nhealth_error_rate_warning = 0.05\nmessage_rate = "off"\n'
        'allowed_origins = ["https://a.example", "https://b.example"]\ntrusted_proxies = "10.0.0.0/8"\n'
    )
    settings = load_settings(environ={})
    assert settings.port == 8080
    assert settings.create_unknown_users is False
    assert settings.health_error_rate_warning == 0.05
    assert settings.message_rate is None
    assert settings.allowed_origins == {"https://a.example", "https://b.example"}
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8"]


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"flags": {"port": "eighty"}}, ["port", "flag --port", '"eighty"', "from 0 to 65535"]),
        ({"environ": {"HUBBUB_MESSAGE_RATE": "5"}}, ["message_rate", "HUBBUB_MESSAGE_RATE", '"5"', "5/5m"]),
        ({"environ": {"HUBBUB_LOG_LEVEL": "loud"}}, ["log_level", '"loud"', "debug, info, warning, error"]),
        ({"environ": {"HUBBUB_HOST": "a\nb\x1b[1m"}}, ["host", r'"a\nb\u001b[1m"']),
        ({"environ": {"HUBBUB_HOST": ""}}, ["host", '""', "not empty"]),
        ({"environ": {"HUBBUB_HOST": "x" * 500 + "\n"}}, ['xxx..."']),
        ({"environ": {"HUBBUB_JWT_PUBLIC_KEY": "/nowhere/key.pem"}}, ["jwt_public_key", "readable file"]),
        ({"environ": {"HUBBUB_JWT_JWKS_URL": "http://keys.example"}}, ["jwt_jwks_url", "https://"]),
        ({"environ": {"HUBBUB_DATABASE_URL": "mysql://x"}}, ["database_url", "sqlite:///", "postgresql://"]),
        ({"environ": {"HUBBUB_DATABASE_URL": "postgres+x://me:hunter2@host/db"}}, ["postgres+x://me:***"]),
        (
            {"environ": {"HUBBUB_VALKEY_URL": "http://x"}},
            ["valkey_url", "HUBBUB_VALKEY_URL", "valkey://host:6379"],
        ),
    ],
)
def test_a_bad_value_is_explained(given: dict[str, object], parts: list[str]) -> None:
    """The refusal names the setting, the source, what was given and what would be right."""
    message = refusal(**given)
    assert len(message) < 400
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('ports = "1"', ['"ports"', "file hubbub.toml", "did you mean port?"]),
        ("[limits]\nmessage_rate = 'off'", ['"limits"', "file hubbub.toml"]),
        ("port = [1]", ["port", "list", "from 0 to 65535"]),
        ("host = 2026-01-01", ["host", "date"]),
        ("port = ", ["hubbub.toml", "not TOML"]),
        ("log_level = 'loud'", ["log_level", "file hubbub.toml", '"loud"']),
    ],
)
def test_a_bad_file_is_explained(text: str, parts: list[str]) -> None:
    """The refusal names the file."""
    Path("hubbub.toml").write_text(text)
    message = refusal()
    for part in parts:
        assert part in message


def test_a_bad_value_is_refused_even_where_another_one_wins() -> None:
    """A mistake shows before the day when it is in force."""
    Path("hubbub.toml").write_text('port = "eighty"')
    assert "file hubbub.toml" in refusal(flags={"port": "80"})


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    """A settings file that somebody named and that is missing is no reason to run with defaults."""
    assert "nowhere.toml" in refusal(config=tmp_path / "nowhere.toml")
    assert "elsewhere.toml" in refusal(environ={"HUBBUB_CONFIG": "elsewhere.toml"})
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    assert "not TOML" in refusal(config=tmp_path / "binary.toml")


def test_unknown_names_are_refused_with_the_nearest_one() -> None:
    """A misspelt variable must not be a limit that silently does not hold."""
    assert "did you mean HUBBUB_MESSAGE_RATE?" in refusal(environ={"HUBBUB_MESAGE_RATE": "off"})
    assert "did you mean --port?" in refusal(flags={"prot": "1"})
    assert "serve --help" in refusal(environ={"HUBBUB_ZZZZZZ": "1"})
    assert load_settings(environ={"PATH": "/bin", "HUBBUBBLE": "1"}) == Settings()


def test_secrets_are_never_shown() -> None:
    """Neither in the representation, nor in `hubbub config`, nor in a refusal."""
    settings = load_settings(environ={"HUBBUB_JWT_SECRET": LONG_SECRET})
    shown = {row.name: row for row in describe(settings)}
    assert settings.jwt_secret == LONG_SECRET
    assert LONG_SECRET not in repr(settings)
    assert set(shown["jwt_secret"].value) == {"*"}
    assert shown["jwt_secret"].source == "environment HUBBUB_JWT_SECRET"
    assert "hunter2" not in refusal(environ={"HUBBUB_JWT_SECRET": "hunter2"})
    assert "hunter2" not in refusal(environ={"HUBBUB_JWT_SECRET": "hunter2\n"})


@pytest.mark.parametrize(("algorithm", "least"), [("HS256", 32), ("HS384", 48), ("HS256,HS512", 64)])
def test_a_short_secret_is_refused(algorithm: str, least: int) -> None:
    """A secret has at least as many bytes as the longest signature it makes."""
    environ = {"HUBBUB_JWT_ALGORITHMS": algorithm, "HUBBUB_JWT_SECRET": "s" * least}
    assert load_settings(environ=environ).jwt_secret
    message = refusal(environ={**environ, "HUBBUB_JWT_SECRET": "s" * (least - 1)})
    assert f"{least - 1} bytes are too few" in message
    assert "RFC 7518" in message


def public_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    """A public key as an operator has it."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def test_a_public_key_is_text_or_a_path(tmp_path: Path) -> None:
    """Both give the PEM text, which must fit the accepted signatures."""
    pem = public_pem(ec.generate_private_key(ec.SECP256R1()))
    (tmp_path / "key.pem").write_text(pem)
    for given in (pem, "key.pem"):
        environ = {"HUBBUB_JWT_PUBLIC_KEY": given, "HUBBUB_JWT_ALGORITHMS": "ES256"}
        assert load_settings(environ=environ).jwt_public_key == pem
    message = refusal(environ={"HUBBUB_JWT_PUBLIC_KEY": pem, "HUBBUB_JWT_ALGORITHMS": "EdDSA"})
    assert "no public key for EdDSA" in message


def test_a_private_key_is_refused(tmp_path: Path) -> None:
    """The server has no use for it, and it should not lie about."""
    key = ed25519.Ed25519PrivateKey.generate()
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, none))
    message = refusal(environ={"HUBBUB_JWT_PUBLIC_KEY": "key.pem", "HUBBUB_JWT_ALGORITHMS": "EdDSA"})
    assert "a public key in PEM form" in message


@pytest.mark.parametrize(
    ("environ", "part"),
    [
        ({"HUBBUB_JWT_ALGORITHMS": "RS256"}, "needs jwt_public_key or jwt_jwks_url"),
        ({"HUBBUB_JWT_JWKS_URL": "https://keys.example"}, "accepts only HS signatures"),
        ({"HUBBUB_JWT_ALGORITHMS": "none"}, "HS256"),
        ({"HUBBUB_JWT_ALGORITHMS": ""}, "HS256"),
        (
            {
                "HUBBUB_JWT_ALGORITHMS": "RS256",
                "HUBBUB_JWT_JWKS_URL": "https://k.example",
                "HUBBUB_JWT_SECRET": "x" * 64,
            },
            "accepts no HS signature",
        ),
        ({"HUBBUB_ACCESS_TOKEN_TTL": "31d"}, "refresh_token_ttl"),
        ({"HUBBUB_HEALTH_LOOP_LAG_WARNING": "2s"}, "health_loop_lag_critical, which is 1s"),
    ],
)
def test_settings_must_fit_each_other(environ: dict[str, str], part: str) -> None:
    """Good values that cannot work together are refused at the start, not when they meet."""
    assert part in refusal(environ=environ)
