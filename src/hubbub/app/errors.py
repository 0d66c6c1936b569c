"""Why the server does not start."""


class StartError(Exception):
    """The server cannot start; the message is one readable line that says why and what would help."""
