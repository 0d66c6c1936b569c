"""Settings for people: the ones in force with their sources, and the table for the reference pages."""

from dataclasses import dataclass

from hubbub.settings.table import ROWS, Settings


@dataclass(frozen=True, slots=True)
class Described:
    """One setting in force, as `hubbub config` prints it; a secret is masked."""

    name: str
    value: str
    source: str


def describe(settings: Settings) -> list[Described]:
    """Every setting in force and where it came from, in the order of the table."""
    return [
        Described(name, row.text(getattr(settings, name)), settings.source(name))
        for name, row in ROWS.items()
    ]


def reference() -> str:
    """The table of all settings in Markdown, as it stands in `docs/settings.md`."""
    lines = ["| Setting | Default | Meaning | Written as |", "|---|---|---|---|"]
    for name, row in ROWS.items():
        default = f"`{row.default_text}`" if row.default_text else "none"
        wanted = row.kind.wanted.replace("|", r"\|")
        lines.append(f"| `{name}` | {default} | {row.about} | {wanted} |")
    return "\n".join(lines) + "\n"
