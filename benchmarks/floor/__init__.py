"""The floor under the peers: a server that does nothing but `send(2)`."""
