"""What the page about operations tells to write and to type can be written and typed."""

import re
from pathlib import Path

import pytest
import typer

from hubbub.cli.commands import app
from hubbub.settings import ROWS, load_settings
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text()


def test_the_settings_of_production(tmp_path: Path) -> None:
    """The settings file for production is one that the server takes."""
    [block] = re.findall(r"    # /var/lib/hubbub/hubbub\.toml\n((?:    .*\n)+)", PAGE)
    file = tmp_path / "hubbub.toml"
    file.write_text(block.replace("    ", ""))
    settings = load_settings(environ={}, config=file)
    assert (settings.registration, str(settings.trusted_proxies[0])) == ("closed", "127.0.0.1/32")


def test_commands_are_there() -> None:
    """Every command that the page shows is one, and so are its flags."""
    commands = typer.main.get_command(app)
    shown = re.findall(r"^    (?:\S*/)?hubbub (.+?)(?:  +#.*)?$", PAGE, re.MULTILINE)
    assert len(shown) > 5
    for line in shown:
        command, context = commands, typer.Context(commands)
        words = line.split()
        while words and hasattr(command, "get_command") and words[0].isalpha():
            found = command.get_command(context, words.pop(0))
            assert found is not None, line
            command = found
        flags = {flag for parameter in command.params for flag in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= flags, line


@pytest.mark.parametrize("name", ["trusted_proxies", "allowed_origins", "connection_rate", "registration"])
def test_settings_are_there(name: str) -> None:
    """The settings that decide whether people are locked out are named."""
    assert name in ROWS
    assert f"`{name}`" in PAGE or f"{name} = " in PAGE
