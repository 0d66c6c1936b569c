"""Drives a real `hubbub serve` through its front doors, as users do.

Modules: `users` (who asks, and their tokens), `servers` (the process), `rest` (chats and members over HTTP),
`inbox` (what a client was told), `clients` (the one interface of all clients), `node_client` and
`python_client` (the npm client in one child process, and python-socketio), `raw_client` (a WebSocket that
shows every packet), `shapes` (the document's fields and formats), `valkey` (its server), `world` (all of it,
and the clearing up).
"""
