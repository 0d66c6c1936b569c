"""Where values come from: defaults, development profile, TOML file, environment, flags; later ones win.

Every value given is read, also one that a later source overrides: a mistake shows before it matters.
"""

import difflib
import json
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hubbub.settings.checks import check_together
from hubbub.settings.kinds import SettingsError, without_passwords
from hubbub.settings.table import ROWS, Row, Settings

PREFIX = "HUBBUB_"
CONFIG = "HUBBUB_CONFIG"
DEFAULT_FILE = Path("hubbub.toml")
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
DEVELOPMENT: Mapping[str, str] = {
    "connection_rate": "off",
    "login_rate": "off",
    "login_address_rate": "off",
    "allowed_origins": ",".join(f"{scheme}://{host}:*" for scheme in ("http", "https") for host in LOOPBACK),
}

Given = dict[str, tuple[Any, str]]  # name -> the value, typed as its row says, and its source


def load_settings(
    flags: Mapping[str, str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    config: Path | None = None,
    development: bool = False,
) -> Settings:
    """The settings in force.

    `flags` maps names (`ping_interval`) to the texts given on the command line. `config` is the TOML file;
    when it is None, HUBBUB_CONFIG names one, or `hubbub.toml` in the working folder is read if it is there.
    `development` replaces a few defaults (`DEVELOPMENT`); everything that was given still wins over it.

    Raises `SettingsError` for the first thing that is wrong.
    """
    environ = os.environ if environ is None else environ
    given: Given = {}
    if development:
        for name, text in DEVELOPMENT.items():
            given[name] = read(name, text, "development profile")
    given |= from_file(config, environ)
    given |= from_environment(environ)
    for name, text in (flags or {}).items():
        row = ROWS.get(name)
        if row is None:
            raise unknown("flag", f"--{name.replace('_', '-')}", lambda near: near.flag)
        given[name] = read(name, text, f"flag {row.flag}")
    values = {name: value for name, (value, _) in given.items()}
    settings = Settings(**values, sources={name: source for name, (_, source) in given.items()})
    check_together(settings)
    return settings


def read(name: str, text: str, source: str) -> tuple[Any, str]:
    """The value that a text stands for."""
    row = ROWS[name]
    try:
        return row.kind.parse(text), source
    except (ValueError, KeyError, OSError):
        given = "the value given" if row.secret else quoted(text)
        message = f"{name} ({source}): {given} will not do; it must be {row.kind.wanted}"
        raise SettingsError(message) from None


def quoted(text: str) -> str:
    """A value as one short, harmless piece of a line."""
    text = without_passwords(text)
    return json.dumps(text if len(text) <= 80 else text[:77] + "...")


def unknown(source: str, name: str, spell: Callable[[Row], str]) -> SettingsError:
    """The refusal of a name that is no setting's, with the nearest one that is, as this source spells it."""
    plain = name.removeprefix(PREFIX).removeprefix("--").replace("-", "_").lower()
    near = difflib.get_close_matches(plain, ROWS, n=1)
    hint = f"did you mean {spell(ROWS[near[0]])}?" if near else "`hubbub serve --help` lists all settings"
    return SettingsError(f"there is no setting {quoted(name)} ({source}); {hint}")


def from_environment(environ: Mapping[str, str]) -> Given:
    """What the variables give that begin with HUBBUB_."""
    names = {row.environment: name for name, row in ROWS.items()}
    given: Given = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable == CONFIG:
            continue
        if variable not in names:
            raise unknown("environment", variable, lambda near: near.environment)
        given[names[variable]] = read(names[variable], text, f"environment {variable}")
    return given


def from_file(config: Path | None, environ: Mapping[str, str]) -> Given:
    """What the TOML file gives; nothing when none was named and there is none in the working folder."""
    if config is None and CONFIG in environ:
        config = Path(environ[CONFIG])
    path = config or DEFAULT_FILE
    if config is None and not path.exists():
        return {}
    given: Given = {}
    for name, value in table_in(path).items():
        if name not in ROWS:
            raise unknown(f"file {path}", name, lambda near: near.name)
        given[name] = read(name, text_of(name, value, path), f"file {path}")
    return given


def table_in(path: Path) -> dict[str, object]:
    """The file's table."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"the settings file {path} cannot be read: {error.strerror}") from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise SettingsError(f"the settings file {path} is not TOML: {error}") from None


def text_of(name: str, value: object, path: Path) -> str:
    """A TOML value as the text that stands for the same in a variable or flag."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list() if all(isinstance(member, str) for member in value):
            return ",".join(value)
        case _:
            wanted = ROWS[name].kind.wanted
            raise SettingsError(
                f"{name} (file {path}): a {type(value).__name__} will not do; it must be {wanted}"
            )
