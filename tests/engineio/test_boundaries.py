"""Where the frames of a node end that another one passes on."""

import pytest

from hubbub.engineio.boundaries import Boundaries


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000, 100_000])
def test_boundaries(size: int) -> None:
    """The ends of frames are found however the bytes are cut up; a refusal has none."""
    answer = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n"
    frames = [b"\x81\x00", b"\x81\x05hello", b"\x82\x7e\x01\x00" + b"x" * 256]
    frames.append(b"\x81\x7f" + (70_000).to_bytes(8) + b"y" * 70_000)
    said = answer + b"".join(frames * 2)
    boundaries, found = Boundaries(), set()
    for at in range(0, len(said), size):
        last = boundaries.advance(said[at : at + size])
        if last >= 0:
            found.add(at + last)
        assert boundaries.is_between == (last == len(said[at : at + size]))
    ends, at = set(), len(answer)
    for one in (b"", *frames * 2):
        at += len(one)
        ends.add(at)
    assert found <= ends
    assert len(said) in found
    assert size > 1 or found == ends
    refused = Boundaries()
    assert refused.advance(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"".join(frames)) == -1
    assert not refused.is_open
