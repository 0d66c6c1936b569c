"""Settings for people: the ones in force with their sources, and the table for the reference pages."""

from dataclasses import dataclass

from hubbub.settings.secret import made_secret
from hubbub.settings.table import ROWS, Row, Settings


@dataclass(frozen=True, slots=True)
class Described:
    """One setting in force, as `hubbub config` prints it; a secret is masked."""

    name: str
    value: str
    source: str


def describe(settings: Settings) -> list[Described]:
    """Every setting in force and where it came from, in the order of the table."""
    return [Described(name, shown(settings, row), settings.source(name)) for name, row in ROWS.items()]


def shown(settings: Settings, row: Row) -> str:
    """The value of a setting; in the place of no secret, where the one is that was made."""
    if row.name == "jwt_secret" and (path := made_secret(settings)) is not None:
        return f"******** (made, {path})"
    return row.text(getattr(settings, row.name))


def reference() -> str:
    """The table of all settings in Markdown, as it stands in `docs/settings.md`."""
    lines = ["| Setting | Default | Meaning | Written as |", "|---|---|---|---|"]
    for name, row in ROWS.items():
        default = f"`{row.default_text}`" if row.default_text else "none"
        wanted = row.kind.wanted.replace("|", r"\|")
        lines.append(f"| `{name}` | {default} | {row.about} | {wanted} |")
    return "\n".join(lines) + "\n"
