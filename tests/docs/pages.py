"""Markdown pages as the tests see them: sections, tables, links."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("[A-Z]*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
_ROW = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """The text without fenced blocks."""
    return _BLOCK.sub("", page.read_text())


def sections(page: Path) -> dict[tuple[str, str], str]:
    """The text under each heading, by chapter and section; "" is the beginning of a chapter."""
    found: dict[tuple[str, str], str] = {}
    chapter = section = ""
    text = prose(page)
    headings = list(_HEADING.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    for heading, end in zip(headings, ends, strict=True):
        level, title = len(heading[1]), heading[2]
        chapter, section = (title, "") if level <= 2 else (chapter, title)
        found[chapter, section] = text[heading.end() : end]
    return found


def first_column(text: str) -> list[str]:
    """What stands in code type in the first cells of a text's tables."""
    return _ROW.findall(text)


def flat(text: str) -> str:
    """Text with all white space as single blanks."""
    return " ".join(text.split())


def anchors(page: Path) -> dict[str, str]:
    """The headings of a page by the anchors that GitHub gives them."""
    found: dict[str, str] = {}
    for _, title in _HEADING.findall(prose(page)):
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        known = sum(one == slug or re.fullmatch(rf"{slug}-\d+", one) is not None for one in found)
        found[f"{slug}-{known}" if known else slug] = title
    return found


def links(page: Path) -> Iterator[tuple[str, str]]:
    """The texts and targets of a page's links."""
    yield from _LINK.findall(prose(page))
