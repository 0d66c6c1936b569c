"""The composition root: builds the parts from the settings, wires them, starts and drains the server.

settings -> `build` (the parts and their wiring) -> `serve` (the process: start, signals, drain)
"""

from hubbub.app.errors import StartError
from hubbub.app.serve import serve

__all__ = ["StartError", "serve"]
