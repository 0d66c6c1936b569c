"""The command line: `serve`, `token`, `user`, `chat`, `backup`, `restore`, `check`, `migrate`, `config`.

    flags -> settings, with file and environment (`flags`)
             -> serve: the server
             -> user, chat: the HTTP API, of the server that runs or of one in this process (`desk`)
             -> backup, restore, check: the database, beside the server (`upkeep`)

What a command was asked for goes to stdout and nothing else does, so that it can be piped on. Common failures
are one readable line on stderr and exit code 2.
"""

from hubbub.cli.commands import main

__all__ = ["main"]
