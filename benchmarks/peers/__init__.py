"""The servers that are compared, by name; the first one is ours."""

from benchmarks.peers.floor import Floor
from benchmarks.peers.hubbub import Hubbub
from benchmarks.peers.node import Node
from benchmarks.peers.peer import Peer
from benchmarks.peers.python_socketio import PythonSocketIO

PEERS: dict[str, Peer] = {peer.name: peer for peer in (Hubbub(), Node(), PythonSocketIO(), Floor())}
