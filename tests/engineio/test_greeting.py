"""How nodes greet each other before one passes something on to the other."""

import pytest

from hubbub.engineio.greeting import Answerer, Caller, GreetingError


def test_a_proof_is_good_once() -> None:
    """What a caller said to one connection says nothing to another."""
    caller, first, second = Caller(b"key", "10.0.0.1"), Answerer(b"key"), Answerer(b"key")
    call = caller.answer(first.feed(caller.hello()))
    first.feed(call + b"rest")
    assert (first.peer, first.rest()) == ("10.0.0.1", b"rest")
    second.feed(caller.hello())
    with pytest.raises(GreetingError):
        second.feed(call)
    assert second.peer is None


def test_a_greeting_in_pieces() -> None:
    """Bytes arrive as they like."""
    caller, answerer = Caller(b"key", "10.0.0.1"), Answerer(b"key")
    reply = b"".join(answerer.feed(bytes([byte])) for byte in caller.hello())
    for byte in caller.answer(reply) + b"GET":
        answerer.feed(bytes([byte]))
    assert (answerer.peer, answerer.rest()) == ("10.0.0.1", b"GET")
