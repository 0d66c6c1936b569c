"""Signatures of tokens whose headers were seen before: judged sooner, and no less strictly."""

import base64
import hmac
import json
import time

import jwt
import pytest

from hubbub.chat.signatures import Signatures, TokenInvalid, TokenRules

SECRET = "s" * 40
CLAIMS = {"sub": "u1", "exp": int(time.time()) + 600}


def signed(header: str, segment: str, digest: str = "sha256") -> str:
    """A token of these two parts, rightly signed."""
    body = f"{header}.{segment}"
    signature = base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), body.encode(), digest))
    return f"{body}.{signature.decode().rstrip('=')}"


@pytest.fixture
async def signatures() -> Signatures:
    """One that has seen a token."""
    made = Signatures(TokenRules(secret=SECRET))
    await made.verify(jwt.encode(CLAIMS, SECRET))
    return made


async def test_a_familiar_header_spares_most_of_the_work(
    signatures: Signatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyJWT is not asked any more, and the claims are those of the token."""
    monkeypatch.setattr(signatures, "_given", None)
    claims = await signatures.verify(jwt.encode({**CLAIMS, "sub": "u2"}, SECRET))
    assert claims.sub == "u2"


@pytest.mark.parametrize("segment", ["e30!", "e3.0", "e31", "e", "e30==", "e 30", "", "."])
async def test_a_payload_is_written_in_one_way(signatures: Signatures, segment: str) -> None:
    """What is no canonical base64url is refused, rightly signed or not."""
    header = jwt.encode(CLAIMS, SECRET).split(".")[0]
    with pytest.raises(TokenInvalid):
        await signatures.verify(signed(header, segment))


async def test_another_hash_is_another_algorithm(signatures: Signatures) -> None:
    """A header stands for the one hash that it was seen with."""
    header, segment, _ = jwt.encode(CLAIMS, SECRET).split(".")
    for digest in ("sha384", "sha512"):
        with pytest.raises(TokenInvalid):
            await signatures.verify(signed(header, segment, digest))


async def test_padding_is_left_to_the_library(signatures: Signatures) -> None:
    """What only PyJWT understands is still understood."""
    token = jwt.encode(CLAIMS, SECRET)
    assert (await signatures.verify(token + "=")).sub == "u1"


async def test_headers_are_remembered_in_small_number(signatures: Signatures) -> None:
    """However many there are: each is accepted, whether or not it is remembered."""
    for n in range(100):
        token = jwt.encode(CLAIMS, SECRET, headers={"kid": str(n)})
        assert (await signatures.verify(token)).sub == "u1"
    assert len(signatures._familiar) <= 16
    assert json.loads(base64.urlsafe_b64decode(next(iter(signatures._familiar)) + "=="))["alg"] == "HS256"
