"""The guards of the run itself: a guard that lets something pass must be noticed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LEAKS = """
import asyncio, gc
import pytest

async def fail():
    raise RuntimeError("nobody looked")

async def test_forgotten_task():
    asyncio.get_running_loop().create_task(fail())
    await asyncio.sleep(0)
    gc.collect()

async def test_forgotten_await():
    fail()
    gc.collect()

@pytest.mark.skip(reason="a flux capacitor is missing: install one")
def test_skipped(): ...

@pytest.mark.skip(reason="a flux capacitor is missing: install one")
def test_skipped_too(): ...

def test_good(): ...
"""


def run_python(*arguments: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run this Python to its end."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def closing_lines(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a run over leaking tests prints, under this project's conftest and settings."""
    folder = tmp_path_factory.mktemp("leaks")
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (folder / "test_leaks.py").write_text(LEAKS)
    done = run_python("-m", "pytest", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml", folder)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_a_forgotten_task_error_fails_the_run(closing_lines: str) -> None:
    """An error in a task that nobody awaits is a failure, not a line in the log."""
    assert "ERROR" in closing_lines
    assert "asyncio logged a forgotten error:\nTask exception was never retrieved" in closing_lines


def test_a_forgotten_await_fails_the_run(closing_lines: str) -> None:
    """So is a coroutine that was never awaited."""
    assert "FAILED" in closing_lines
    assert "'fail' was never awaited" in closing_lines


def test_skips_are_told_in_one_line(closing_lines: str) -> None:
    """What was skipped, how often, and what to install for it."""
    assert "Skipped tests: 2 (a flux capacitor is missing: install one)\n" in closing_lines
    assert "4 passed" not in closing_lines


def module(lines: int, *, docstring: int = 0) -> str:
    """A module with one function of so many lines, and so many more of docstring."""
    text = ["def work() -> None:"]
    text += ['    """' + "\n" * (docstring - 1) + '    """'] if docstring else []
    return "\n".join(text + ["    pass"] * (lines - 1)) + "\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (module(40), ""),
        (module(40, docstring=9), ""),
        (module(41), "src/one.py:1: work has 41 lines"),
        ("x = 1\n" * 400, ""),
        ("x = 1\n" * 401, "src/one.py:1: 401 lines"),
    ],
)
def test_sizes(tmp_path: Path, text: str, complaint: str) -> None:
    """400 lines to a module, 40 to a function beside its docstring, and not one more."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "one.py").write_text(text)
    done = run_python(ROOT / "tools" / "check_sizes.py", folder=tmp_path)
    assert done.returncode == (1 if complaint else 0)
    assert complaint in done.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="make is missing: install it")
def test_make_says_what_it_does_and_no_more() -> None:
    """What is installed is told in a line; pip lists no packages, new ones or old."""
    command = ["make", "--dry-run", "--always-make", "run", "test"]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    installs = [line for line in planned.splitlines() if "pip install" in line]
    assert len(installs) == 3
    assert all(" --quiet " in line for line in installs)
