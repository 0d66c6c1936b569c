"""The secret that the server makes for itself."""

import multiprocessing
import os
from pathlib import Path

import pytest

from hubbub.settings import Settings, SettingsError, load_or_create_secret, signing_secret


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    """The first start makes it, readable by nobody else, later ones find it; no scraps are left behind."""
    folder = tmp_path / "new" / "data"
    secret = load_or_create_secret(folder)
    assert len(secret.encode()) >= 64
    assert (folder / "jwt-secret").stat().st_mode & 0o777 == 0o600
    assert load_or_create_secret(folder) == secret
    assert [path.name for path in folder.iterdir()] == ["jwt-secret"]
    assert load_or_create_secret(tmp_path / "other") != secret


def test_the_file_is_the_key(tmp_path: Path) -> None:
    """An application that signs with the bytes of the file, as they are, signs with the server's secret."""
    secret = load_or_create_secret(tmp_path)
    assert (tmp_path / "jwt-secret").read_bytes() == secret.encode()


def test_a_newline_of_an_editor_does_no_harm(tmp_path: Path) -> None:
    """A secret that somebody wrote into the file by hand is read without the newline at its end."""
    path = tmp_path / "jwt-secret"
    path.write_text("s" * 40 + "\n")
    path.chmod(0o600)
    assert load_or_create_secret(tmp_path) == "s" * 40


def test_a_given_secret_leaves_the_folder_alone(tmp_path: Path) -> None:
    """Only a server without a secret makes one."""
    given = Settings(jwt_secret="s" * 32, data_dir=tmp_path / "a")
    assert signing_secret(given) == "s" * 32
    assert not given.data_dir.exists()
    made = Settings(data_dir=tmp_path / "b")
    assert signing_secret(made) == load_or_create_secret(made.data_dir)


def test_racing_processes_agree(tmp_path: Path) -> None:
    """Processes that start at the same time all end with the same secret."""
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        found = pool.map(load_or_create_secret, [tmp_path / "data"] * 16, chunksize=1)
    assert len(set(found)) == 1
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["jwt-secret"]


def test_the_faster_one_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that appears between the look and the making is kept and used."""
    winner = load_or_create_secret(tmp_path)
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert load_or_create_secret(tmp_path) == winner


@pytest.mark.parametrize(("mode", "part"), [(0o640, "chmod 600"), (0o604, "chmod 600"), (0o660, "chmod 600")])
def test_an_open_file_is_refused(tmp_path: Path, mode: int, part: str) -> None:
    """A secret that others can read is none."""
    load_or_create_secret(tmp_path)
    (tmp_path / "jwt-secret").chmod(mode)
    with pytest.raises(SettingsError, match=part):
        load_or_create_secret(tmp_path)


@pytest.mark.parametrize(
    ("text", "part"), [("", "is empty"), ("\n", "is empty"), ("short\n", "fewer than 32")]
)
def test_a_poor_file_is_refused(tmp_path: Path, text: str, part: str) -> None:
    """A file that was cut short is not silently replaced: tokens in use depend on it."""
    path = tmp_path / "jwt-secret"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SettingsError, match=part):
        load_or_create_secret(tmp_path)
    assert path.read_text() == text


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    """One line, with what to do instead."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"Not a directory; give HUBBUB_JWT_SECRET"):
        load_or_create_secret(tmp_path / "file" / "data")
    (tmp_path / "jwt-secret").mkdir(mode=0o700)
    with pytest.raises(SettingsError, match="Is a directory"):
        load_or_create_secret(tmp_path)


def test_no_scraps_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written beside the place goes away, whatever fails."""

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SettingsError, match="No space left on device"):
        load_or_create_secret(tmp_path)
    assert not list(tmp_path.iterdir())
