"""What the drivers share: one of each per engine."""

from dataclasses import dataclass

from hubbub.engineio.config import EngineConfig
from hubbub.engineio.door import Door
from hubbub.engineio.registry import Registry
from hubbub.engineio.relay import Relay
from hubbub.engineio.timers import Timers


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of an engine that its drivers use."""

    config: EngineConfig
    door: Door
    registry: Registry
    timers: Timers
    # None where there are no other nodes.
    relay: Relay | None = None
