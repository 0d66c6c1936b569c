"""The shared state of a server that runs as one process: the ports of `cluster.base`, kept in its memory.

Nothing here waits: the coroutines run to their end in one step, so what a caller does between two awaits on
other things is atomic.
"""

from hubbub.cluster.local.bus import LocalBus
from hubbub.cluster.local.limiter import LocalLimiter
from hubbub.cluster.local.nodes import LocalNodes
from hubbub.cluster.local.registry import LocalRegistry

__all__ = ["LocalBus", "LocalLimiter", "LocalNodes", "LocalRegistry"]
