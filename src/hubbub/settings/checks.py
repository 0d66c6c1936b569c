"""Settings that must fit each other: each is good by itself, and still the server could not run with them."""

import jwt
from jwt.exceptions import InvalidKeyError

from hubbub.settings.kinds import SettingsError
from hubbub.settings.table import ROWS, Settings

# RFC 7518 section 3.2: "A key of the same size as the hash output or larger MUST be used".
SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
LEVELS = (
    "health_error_rate",
    "health_loop_lag",
    "health_database_latency",
    "health_memory",
    "health_backlog",
)


def check_together(settings: Settings) -> None:
    """Raise `SettingsError` for the first pair that does not fit."""
    check_secret(settings)
    check_public_keys(settings)
    check_levels(settings)
    if settings.access_token_ttl > settings.refresh_token_ttl:
        raise error(settings, "access_token_ttl", "it must not outlive refresh_token_ttl")


def check_secret(settings: Settings) -> None:
    """A shared secret is as strong as the signatures that it makes."""
    if settings.jwt_secret is None:
        return
    needed = [SECRET_BYTES[name] for name in settings.jwt_algorithms if name in SECRET_BYTES]
    if not needed:
        raise error(settings, "jwt_secret", "jwt_algorithms accepts no HS signature that it could check")
    length = len(settings.jwt_secret.encode())
    if length < max(needed):
        problem = f"{length} bytes are too few: RFC 7518 section 3.2 asks for at least {max(needed)}"
        raise error(settings, "jwt_secret", problem)


def check_public_keys(settings: Settings) -> None:
    """Signatures by private keys need one source of public keys, and the other way round."""
    asymmetric = [name for name in settings.jwt_algorithms if name not in SECRET_BYTES]
    keys = [name for name in ("jwt_public_key", "jwt_jwks_url") if getattr(settings, name) is not None]
    if asymmetric and not keys:
        raise error(settings, "jwt_algorithms", f"{asymmetric[0]} needs jwt_public_key or jwt_jwks_url")
    if keys and not asymmetric:
        raise error(settings, keys[0], "jwt_algorithms accepts only HS signatures, which need no public key")
    if len(keys) > 1:
        raise error(settings, keys[0], "give either this or jwt_jwks_url, not both")
    if settings.jwt_public_key is not None:
        for name in asymmetric:
            check_key_fits(settings, settings.jwt_public_key, name)


def check_key_fits(settings: Settings, pem: str, algorithm: str) -> None:
    """The public key can check this signature."""
    try:
        jwt.get_algorithm_by_name(algorithm).prepare_key(pem)
    except (InvalidKeyError, ValueError, TypeError):
        raise error(settings, "jwt_public_key", f"it is no public key for {algorithm}") from None


def check_levels(settings: Settings) -> None:
    """A warning comes no later than the alarm."""
    for level in LEVELS:
        warning, critical = (getattr(settings, f"{level}_{degree}") for degree in ("warning", "critical"))
        if warning > critical:
            shown = ROWS[f"{level}_critical"].text(critical)
            raise error(
                settings, f"{level}_warning", f"it must not be above {level}_critical, which is {shown}"
            )


def error(settings: Settings, name: str, problem: str) -> SettingsError:
    """The refusal of one setting, saying where its value came from."""
    return SettingsError(f"{name} ({settings.source(name)}): {problem}")
