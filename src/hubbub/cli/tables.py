"""Tables for people, and JSON for programs."""

import sys
from collections.abc import Sequence

import msgspec
import typer
from rich.console import Console
from rich.table import Table

WIDE = 10_000


def show(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; what is piped on is neither wrapped nor cut."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(printable(cell) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else WIDE, markup=False, highlight=False)
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        typer.echo(line.rstrip())


def show_json(rows: Sequence[object]) -> None:
    """Print a JSON array, a row to a line."""
    lines = ",\n".join(msgspec.json.encode(row).decode() for row in rows)
    typer.echo(f"[{lines}]")


def printable(text: str) -> str:
    """Text of users, without what could steer a terminal."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
