# A stretch of the way in docs/life-of-a-message.md.
"""Something to come: known later, to one listener.

Like a future, without the event loop: the listener is called in the moment that it is settled, not in a later
turn. Every message passes two of them.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Deferred(Generic[T]):
    """Is settled once, and has one listener; either may come first."""

    __slots__ = ("_listener", "_settled", "_value")

    _value: T

    def __init__(self) -> None:
        self._listener: Callable[[T], None] | None = None
        self._settled = False

    def settle(self, value: T) -> None:
        """Tell the listener, or keep it for the one to come. Must be called once; raises what it raises."""
        if self._listener is not None:
            self._listener(value)
        else:
            self._settled, self._value = True, value

    def then(self, listener: Callable[[T], None]) -> None:
        """Have `listener` called, at once if it is settled already. Must be called once."""
        if self._settled:
            listener(self._value)
        else:
            self._listener = listener
