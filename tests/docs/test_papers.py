"""The papers lead to things that are there."""

import ast
import importlib.metadata
import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, links

SOURCE = ROOT / "src" / "hubbub"
NAMED = re.compile(r"`((?:\w+/)*\w+\.py): (\w+(?:\.\w+)*)`")
FILES = re.compile(r"`((?:\w+/)*\w+\.(?:py|mjs))`")
LIFE = ROOT / "docs" / "life-of-a-message.md"

relative = [page.relative_to(ROOT) for page in PAGES]


def names_in(path: Path) -> set[str]:
    """The functions, classes and methods that a module defines."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            methods = [one for one in node.body if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))]
            found |= {node.name, *(f"{node.name}.{method.name}" for method in methods)}
    return found


@pytest.mark.parametrize("page", relative, ids=str)
def test_links(page: Path) -> None:
    """Every link within the project ends at a file, and at a heading of it where it names one."""
    for _, target in links(ROOT / page):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (ROOT / page).parent / name if name else ROOT / page
        assert file.exists(), f"{page} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{page} links to {target}"


@pytest.mark.parametrize("page", relative, ids=str)
def test_names_of_the_code(page: Path) -> None:
    """Every file, class and function that a page names is there."""
    text = (ROOT / page).read_text()
    for file, name in NAMED.findall(text):
        assert (SOURCE / file).exists(), f"{page} names {file}"
        assert name in names_in(SOURCE / file), f"{page} names {name} in {file}"
    for file in FILES.findall(text):
        alone = "/" not in file and any(SOURCE.rglob(file))
        assert alone or (SOURCE / file).exists() or (ROOT / file).exists(), f"{page} names {file}"


def test_the_way_of_a_message_is_linked() -> None:
    """Each module that a message passes leads to the page about its way, in its first line."""
    passed = {file for file, _ in NAMED.findall(LIFE.read_text())} - {"store/base.py"}
    assert passed
    for file in sorted(passed):
        first_line = (SOURCE / file).read_text().splitlines()[0]
        assert "docs/life-of-a-message.md" in first_line, f"{file} does not link it"


def test_decisions() -> None:
    """Every decision has a number of its own and stands in the index under its title, in order."""
    folder = ROOT / "docs" / "decisions"
    pages = sorted(folder.glob("[0-9]*.md"))
    titles = [page.read_text().splitlines()[0].removeprefix("# ") for page in pages]
    numbers = [int(page.name[:4]) for page in pages]
    assert len(set(numbers)) == len(numbers)
    assert [int(title.split(".")[0]) for title in titles] == numbers
    listed = [(text, target) for text, target in links(folder / "README.md") if target[0].isdigit()]
    assert listed == [(title, page.name) for title, page in zip(titles, pages, strict=True)]


@pytest.mark.parametrize("name", ["README.md", "examples/first_chat.py", "pyproject.toml"])
def test_extras_are_spelled_as_their_package_spells_them(name: str) -> None:
    """An older pip finds an extra only as it stands in the metadata."""
    wanted = re.findall(r"python-socketio\[(.+?)\]", (ROOT / name).read_text())
    known = importlib.metadata.metadata("python-socketio").get_all("Provides-Extra") or []
    assert wanted
    assert set(wanted) <= {extra.replace("_", "-") for extra in known}
