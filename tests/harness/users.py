"""Users and their tokens, as an application with the shared secret would mint them."""

import secrets
import time
import uuid
from dataclasses import dataclass
from typing import Any

import jwt

SECRET = secrets.token_urlsafe(48)
"""The shared secret of this run."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who can ask for a token; the server learns of them by their first request."""

    id: str
    username: str
    email: str
    role: str = "user"

    def token(self, ttl: float = 3600, **claims: Any) -> str:
        """A token that is good for `ttl` seconds; `claims` replace or, when None, drop what it would say."""
        said = {
            "sub": self.id,
            "username": self.username,
            "email": self.email,
            "role": self.role,
            "exp": int(time.time() + ttl),
        }
        said.update(claims)
        return sign({name: value for name, value in said.items() if value is not None})


def sign(claims: dict[str, Any], secret: str = SECRET, algorithm: str = "HS256") -> str:
    """A token with exactly these claims."""
    return jwt.encode(claims, secret, algorithm=algorithm)


def new_user(name: str = "user", role: str = "user") -> User:
    """A user nobody has seen before."""
    tail = uuid.uuid4().hex[:12]
    return User(
        id=str(uuid.uuid4()), username=f"{name}_{tail}", email=f"{name}.{tail}@example.org", role=role
    )
