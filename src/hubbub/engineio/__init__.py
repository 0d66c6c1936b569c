"""Engine.IO v4 for servers: WebSocket and HTTP long-polling under one session, with heartbeat and upgrade.

Write an `Application`, give it to an `Engine`, and run that with uvicorn::

    engine = Engine(EngineConfig(path="/engine.io/"), application)
    uvicorn.Config(engine, http=engine.http, ws="none", proxy_headers=False, lifespan="off")

Messages are prepared once (`prepare_text`, `prepare_binary`) and sent to any number of sessions.
"""

from hubbub.engineio import closing
from hubbub.engineio.answering import MakeHttp
from hubbub.engineio.closing import CloseReason
from hubbub.engineio.config import EngineConfig
from hubbub.engineio.engine import Engine
from hubbub.engineio.flusher import Burst, Flusher
from hubbub.engineio.nodes import Nodes, Place
from hubbub.engineio.packets import PacketError, Prepared, prepare_binary, prepare_text
from hubbub.engineio.registry import Registry
from hubbub.engineio.relay import Relay
from hubbub.engineio.requests import Handshake
from hubbub.engineio.session import Application, Session
from hubbub.engineio.timers import Expiring, Timers

__all__ = [
    "Application",
    "Burst",
    "CloseReason",
    "Engine",
    "EngineConfig",
    "Expiring",
    "Flusher",
    "Handshake",
    "MakeHttp",
    "Nodes",
    "PacketError",
    "Place",
    "Prepared",
    "Registry",
    "Relay",
    "Session",
    "Timers",
    "closing",
    "prepare_binary",
    "prepare_text",
]
