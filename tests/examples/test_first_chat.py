"""The first chat of the README: the scripts of `examples/`, run as it says, against `hubbub serve --dev`."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.harness.servers import environment

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PATIENCE = 20.0
SCRIPTS = {"first_chat.mjs": ["node"], "first_chat.py": [sys.executable, "-u"]}

Process = asyncio.subprocess.Process


@asynccontextmanager
async def running(*command: str | Path, env: Mapping[str, str], cwd: Path) -> AsyncIterator[Process]:
    """A process that has ended when the block has."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=cwd,
        env=env,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def find(process: Process, pattern: str) -> re.Match[str]:
    """Read lines until one matches."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        while line := (await process.stdout.readline()).decode():
            if found := re.fullmatch(pattern, line.rstrip("\n")):
                return found
    raise AssertionError(f"it ended without a line like {pattern!r}")


def copy_scripts(folder: Path) -> None:
    """Put the scripts into a folder where they find their client."""
    (folder / "node_modules").symlink_to(ROOT / "tests" / "js" / "node_modules")
    for script in SCRIPTS:
        (folder / script).write_text((EXAMPLES / script).read_text())


def say(process: Process, text: str) -> None:
    """Type a line."""
    assert process.stdin is not None
    process.stdin.write(f"{text}\n".encode())


@pytest.mark.node
async def test_two_scripts_talk(tmp_path: Path) -> None:
    """Both join the demo chat by tokens of `hubbub token`, show all lines, and end with their input."""
    copy_scripts(tmp_path)
    env = environment(tmp_path / "data", {})
    hubbub = (sys.executable, "-m", "hubbub")
    async with running(*hubbub, "serve", "--dev", env=env, cwd=tmp_path) as server:
        url = (await find(server, r"listening on (\S+)"))[1]
        tokens = [await new_token(hubbub, name, env, tmp_path) for name in ("ada", "bob")]
        node, python = ([*command, str(tmp_path / script)] for script, command in SCRIPTS.items())
        async with (
            running(*node, tokens[0], url, env=env, cwd=tmp_path) as ada,
            running(*python, tokens[1], url, env=env, cwd=tmp_path) as bob,
        ):
            await talk(ada, bob)


async def talk(ada: Process, bob: Process) -> None:
    """Each types a line that both show; then nobody has anything more to say."""
    for client in (ada, bob):
        await find(client, r"Joined Demo\. .*")
    for seq, (author, name) in enumerate(((ada, "ada"), (bob, "bob")), start=1):
        say(author, f"Hello from {name}")
        for client in (ada, bob):
            await find(client, f"{seq} {name}: Hello from {name}")
    for client in (ada, bob):
        assert client.stdin is not None
        client.stdin.close()
    async with asyncio.timeout(PATIENCE):
        assert [await client.wait() for client in (ada, bob)] == [0, 0]


async def new_token(hubbub: tuple[str, ...], name: str, env: Mapping[str, str], folder: Path) -> str:
    """What `hubbub token` prints, and nothing else, on stdout."""
    async with running(*hubbub, "token", "--username", name, env=env, cwd=folder) as process:
        assert process.stdout is not None
        token = (await process.stdout.read()).decode().strip()
        assert await process.wait() == 0
    return token


@pytest.mark.node
@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_refused_token_is_said(script: str, tmp_path: Path) -> None:
    """With a token that is not good, a script says so and fails, also when nobody can type anything."""
    copy_scripts(tmp_path)
    env = environment(tmp_path / "data", {})
    async with running(sys.executable, "-m", "hubbub", "serve", "--dev", env=env, cwd=tmp_path) as server:
        url = (await find(server, r"listening on (\S+)"))[1]
        returncode, said = await run_to_end(tmp_path / script, "nonsense", url)
    assert returncode == 1
    assert "No connection: " in said


@pytest.mark.node
@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_token_is_asked_for(script: str, tmp_path: Path) -> None:
    """Without a token a script says how to call it, in one line."""
    copy_scripts(tmp_path)
    returncode, said = await run_to_end(tmp_path / script)
    assert returncode != 0
    assert re.fullmatch(rf"usage: \w+ {re.escape(script)} TOKEN \[URL\]\n", said)


async def run_to_end(script: Path, *arguments: str) -> tuple[int, str]:
    """A script with nobody at its keyboard: how it ended, and what it said on stderr."""
    process = await asyncio.create_subprocess_exec(
        *SCRIPTS[script.name],
        str(script),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return await process.wait(), said.decode()


@pytest.mark.parametrize("script", SCRIPTS)
def test_readme_quotes_it(script: str) -> None:
    """The README shows the scripts as they are."""
    kind = {".mjs": "js", ".py": "python"}[Path(script).suffix]
    assert f"```{kind}\n{(EXAMPLES / script).read_text()}```\n" in (ROOT / "README.md").read_text()
