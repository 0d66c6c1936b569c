"""What nodes share, in a Valkey or Redis."""

from hubbub.cluster.valkey.cluster import Cluster, open_cluster
from hubbub.cluster.valkey.places import Place
from hubbub.cluster.valkey.servers import Unreachable

__all__ = ["Cluster", "Place", "Unreachable", "open_cluster"]
