"""The secret that signs tokens: the one given, or one made at the first start and kept in the data folder.

The file appears whole or not at all, and never twice: it is written beside its place and then linked there,
which fails when another process was faster; then that one's secret is used. It ends without a newline: what
the file holds is the key, byte for byte, for an application that reads it and signs.
"""

import os
import secrets
import stat
import tempfile
from pathlib import Path

from hubbub.settings.kinds import SettingsError
from hubbub.settings.table import Settings

FILE = "jwt-secret"
MADE_BYTES = 64  # 512 bits: enough for HS512 too
LEAST_BYTES = 32  # RFC 7518 section 3.2, for HS256


def signing_secret(settings: Settings) -> str:
    """The secret in force. Raises `SettingsError` as `load_or_create_secret` does."""
    return settings.jwt_secret or load_or_create_secret(settings.data_dir)


def made_secret(settings: Settings) -> Path | None:
    """The file of the secret that was made for these settings, if there is one."""
    path = settings.data_dir / FILE
    return path if settings.jwt_secret is None and path.exists() else None


def load_or_create_secret(data_dir: Path) -> str:
    """The secret kept in `data_dir`, made (with the folder) when there is none; processes may race.

    Raises `SettingsError` when the file can be read by others, is no ordinary file, or holds too little.
    """
    path = data_dir / FILE
    try:
        if not path.exists():
            data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            create(path)
        return load(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError(
            f"jwt_secret: no secret can be kept in {path}: {reason}; give HUBBUB_JWT_SECRET"
        ) from None


def create(path: Path) -> None:
    """Put a new secret at `path`, unless there is one by then."""
    descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # O_EXCL, mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(MADE_BYTES))
            file.flush()
            os.fsync(file.fileno())
        Path(path).hardlink_to(beside)
    except FileExistsError:
        pass
    finally:
        Path(beside).unlink()


def load(path: Path) -> str:
    """The secret at `path`."""
    descriptor = os.open(path, os.O_RDONLY)
    with os.fdopen(descriptor, "r", encoding="utf-8", errors="replace") as file:
        mode = os.fstat(file.fileno()).st_mode
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SettingsError(
                f"jwt_secret: others may read {path}: run `chmod 600 {path}`, or remove it for a new one"
            )
        secret = file.read().strip()
    if len(secret.encode()) < LEAST_BYTES:
        held = "is empty" if not secret else f"holds fewer than {LEAST_BYTES} bytes"
        raise SettingsError(f"jwt_secret: {path} {held}: restore it, or remove it for a new secret")
    return secret
