"""The rules of the chat, a module a subject. Knows nothing of sockets, HTTP or SQL."""
