"""hubbub: a self-hosted real-time chat server that any Socket.IO client talks to."""

__version__ = "0.1.0"
