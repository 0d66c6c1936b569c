"""Keys that access tokens are verified by: bound to their algorithms, given here or served by a key set
(JWKS).

A key is bound to the algorithms it is meant for before any token is seen, so a token cannot choose how a key
is used. The address of the key set stands in the configuration; nothing in a token leads to a request
elsewhere.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NoReturn

import jwt
import msgspec
from jwt.algorithms import Algorithm

FETCH_TIMEOUT: Final = 5.0
"""Seconds that one request for the key set may take to answer."""

LIFESPAN: Final = 300.0
"""Seconds after which the key set is fetched again."""

COOLDOWN: Final = 30.0
"""Least seconds between two requests, whatever unknown `kid`s come along."""


class KeysUnavailable(Exception):
    """There are no keys yet, and they cannot be fetched."""


class BoundAlgorithm(Algorithm):
    """An algorithm that knows its key, prepared once; whatever key it is handed later is passed over."""

    def __init__(self, algorithm: Algorithm, key: object) -> None:
        """`key` is prepared. Raises `InvalidKeyError` when it is too weak."""
        if weakness := algorithm.check_key_length(key):
            raise jwt.InvalidKeyError(weakness)
        self._algorithm = algorithm
        self._key = key

    def prepare_key(self, key: object) -> object:
        """Return the bound key."""
        return self._key

    def sign(self, msg: bytes, key: object) -> bytes:
        """Sign with the bound key."""
        return self._algorithm.sign(msg, self._key)

    def verify(self, msg: bytes, key: object, sig: bytes) -> bool:
        """Verify with the bound key."""
        return self._algorithm.verify(msg, self._key, sig)

    @staticmethod
    def to_jwk(key_obj: object, as_dict: bool = False) -> NoReturn:
        """A bound key stays here."""
        raise NotImplementedError

    @staticmethod
    def from_jwk(jwk: object) -> NoReturn:
        """A bound algorithm takes no other key."""
        raise NotImplementedError


def bind(keys: Mapping[str, str]) -> jwt.PyJWS:
    """Return a verifier that knows these algorithms, each with its key (a secret, or a public key in PEM
    form).

    Raises `jwt.InvalidKeyError` when a key does not fit its algorithm.
    """
    verifier = jwt.PyJWS(algorithms=[])
    for name, key in keys.items():
        algorithm = jwt.get_algorithm_by_name(name)
        verifier.register_algorithm(name, BoundAlgorithm(algorithm, algorithm.prepare_key(key)))
    return verifier


class PublicKey(msgspec.Struct, frozen=True):
    """A member of a key set (RFC 7517), as far as it decides what the key is for."""

    kty: str
    kid: str | None = None
    use: str | None = None
    alg: str | None = None
    d: object = None


class KeySet:
    """The keys behind one fixed URL, fetched off the loop, kept, and fetched again now and then.

    Keys already known outlive a failing server of keys.
    """

    def __init__(
        self, url: str, algorithms: Iterable[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.algorithms = tuple(algorithms)
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=FETCH_TIMEOUT)
        self._clock = clock
        self._keys: dict[str | None, jwt.PyJWS] = {}
        self._tried: float | None = None
        self._fetching = asyncio.Lock()

    async def find(self, kid: str | None) -> jwt.PyJWS | None:
        """Return what verifies tokens with this `kid`; without one, the only key if there is just one.

        Raises `KeysUnavailable`.
        """
        found = self._keys.get(kid)
        if self._due(LIFESPAN if found else COOLDOWN) and not (found and self._fetching.locked()):
            await self._refresh()
            found = self._keys.get(kid)
        if not self._keys:
            raise KeysUnavailable
        if found is None and kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return found

    def _due(self, interval: float) -> bool:
        return self._tried is None or self._clock() - self._tried >= interval

    async def _refresh(self) -> None:
        """Fetch the keys, unless somebody else has just tried."""
        async with self._fetching:
            if not self._due(COOLDOWN):
                return
            try:
                served = await asyncio.to_thread(self._client.fetch_data)
            except (jwt.PyJWTError, ValueError, OSError):
                return
            finally:
                self._tried = self._clock()
            members = served.get("keys")
            self._keys = self._bound(members if isinstance(members, list) else [])

    def _bound(self, members: list[object]) -> dict[str | None, jwt.PyJWS]:
        keys: dict[str | None, jwt.PyJWS] = {}
        for member in members:
            try:
                described = msgspec.convert(member, PublicKey)
            except msgspec.ValidationError:
                continue
            verifier = self._bind(described, msgspec.json.encode(member).decode())
            if verifier.get_algorithms():
                keys[described.kid] = verifier
        return keys

    def _bind(self, described: PublicKey, member: str) -> jwt.PyJWS:
        """Bind a key to those of the accepted algorithms that it is for; none for a private or encrypting
        key.
        """
        verifier = jwt.PyJWS(algorithms=[])
        if described.d is not None or described.use not in (None, "sig"):
            return verifier
        for name in self.algorithms:
            if described.alg not in (None, name):
                continue
            algorithm = jwt.get_algorithm_by_name(name)
            try:
                key = algorithm.prepare_key(algorithm.from_jwk(member))
                verifier.register_algorithm(name, BoundAlgorithm(algorithm, key))
            except (jwt.InvalidKeyError, ValueError, TypeError, KeyError):
                continue  # a key of another kind
        return verifier
