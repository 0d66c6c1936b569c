"""Where Valkey may be: behind TLS, far away, in a cluster, wherever the sentinels say."""

import datetime as dt
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hubbub.cluster.valkey import Cluster, Unreachable, open_cluster
from hubbub.cluster.valkey.servers import key_slot
from tests.cluster.implementations import wait_until
from tests.cluster.test_valkey_bus import Listener, message
from tests.cluster.test_valkey_faults import hears, is_known
from tests.cluster.test_valkey_nodes import settle
from tests.harness.proxy import proxy
from tests.harness.valkey import ValkeyServer, running
from tools.cluster.program import free_port


@asynccontextmanager
async def two_nodes(url: str) -> AsyncIterator[tuple[Cluster, Listener]]:
    """Two nodes; what the second one hears is remembered."""
    first = await open_cluster(url)
    try:
        second = await open_cluster(url)
        try:
            yield first, Listener(second)
        finally:
            await second.close()
    finally:
        await first.close()


async def check(first: Cluster, second: Listener) -> None:
    """Users, rooms, limits and the bus work between two nodes."""
    assert await first.limiter.hit("k", 1, 60.0) is None
    assert await second.cluster.limiter.hit("k", 1, 60.0) == 60
    await check_hints(first, second)


async def check_hints(first: Cluster, second: Listener) -> None:
    """Users, rooms and the bus work between two nodes."""
    await settle(first, "u1")
    await settle(second.cluster, "u2")
    assert await is_known(first, ["u1", "u2"])
    for number in range(8):
        await second.cluster.bus.watch(f"c{number}")
    for number in range(8):
        first.bus.publish(message(1, f"c{number}"))
    for number in range(8):
        await second.until(message(1, f"c{number}"))
    assert first.failures() == 0


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of 127.0.0.1 that nobody else has signed, and a server's side of TLS with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "valkey")])
    now = dt.datetime.now(dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(days=1))
    builder = builder.not_valid_after(now + dt.timedelta(days=1)).add_extension(address, critical=False)
    path = tmp_path / "valkey.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return path, context


async def test_over_tls(
    valkey: ValkeyServer, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `valkeys` the server has to show a certificate that this machine trusts."""
    path, context = certificate
    async with proxy(valkey.path, tls=context) as port:
        with pytest.raises(Unreachable, match=r"(?i)certificate"):
            await open_cluster(f"valkeys://127.0.0.1:{port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        async with two_nodes(f"rediss://127.0.0.1:{port}") as (first, second):
            await check(first, second)


async def test_far_away(valkey: ValkeyServer) -> None:
    """Where a round trip takes long, as much as can be goes together on each; publishing waits for none, and
    each node counts for the limits alone.
    """
    async with (
        proxy(valkey.path, delay=0.05) as port,
        two_nodes(f"valkey://127.0.0.1:{port}") as (first, second),
    ):
        await check_hints(first, second)
        for node in (first, second.cluster):
            assert await node.limiter.hit("k", 1, 60.0) is None
            assert await node.limiter.hit("k", 1, 60.0) == 60
        since = time.monotonic()
        for seq in range(2, 500):
            first.bus.publish(message(seq, "c0"))
        published = time.monotonic() - since
        await second.until(message(499, "c0"))
        assert published < time.monotonic() - since


def slots_of(servers: list[ValkeyServer]) -> None:
    """Make a cluster of servers: each has its share of the slots."""
    share = 16384 // len(servers)
    for number, server in enumerate(servers):
        last = 16383 if server is servers[-1] else (number + 1) * share - 1
        assert server.ask("CLUSTER", "ADDSLOTSRANGE", str(number * share), str(last)) == b"+OK\r\n"
        server.ask("CLUSTER", "MEET", "127.0.0.1", str(servers[0].port))


async def test_a_cluster() -> None:
    """Each chat's channel is on one server of the cluster; when that moves, the nodes find it again."""
    options = ("--cluster-enabled", "yes")
    servers = [ValkeyServer(*options, port=free_port()) for _ in range(2)]
    with running(*servers):
        slots_of(servers)
        await wait_until(
            lambda: all(b"cluster_state:ok" in server.ask("CLUSTER", "INFO") for server in servers),
            "the cluster is complete",
        )
        url = f"valkey+cluster://127.0.0.1:1,127.0.0.1:{servers[1].port}"
        async with two_nodes(url) as (first, second):
            await check(first, second)
            assert len(second.cluster.bus.ears.beat_channels) == 2
            slot = key_slot("hubbub:0:chat:c0")
            there = servers[0] if slot >= 8192 else servers[1]
            name = there.ask("CLUSTER", "MYID").split(b"\r\n")[1].decode()
            for server in (there, *servers):
                server.ask("CLUSTER", "SETSLOT", str(slot), "NODE", name)
            first_of_room = iter(range(2, 10_000))

            def heard() -> bool:
                first.bus.publish(message(next(first_of_room), "c0"))
                return any(one in second.heard for one in (message(seq, "c0") for seq in range(2, 500)))

            await wait_until(heard, "the room is heard where it has moved to")


async def test_the_sentinels_master() -> None:
    """When the master dies the sentinels name another one, and the nodes go on there."""
    master = ValkeyServer(port=free_port())
    replica = ValkeyServer("--replicaof", "127.0.0.1", str(master.port), port=free_port())
    directives = (
        f"sentinel monitor main 127.0.0.1 {master.port} 1",
        "sentinel down-after-milliseconds main 500",
        "sentinel failover-timeout main 2000",
    )
    sentinel = ValkeyServer(port=free_port(), sentinel=directives)
    with running(master, replica, sentinel):
        await wait_until(
            lambda: b"num-slaves\r\n$1\r\n1" in sentinel.ask("SENTINEL", "MASTER", "main"),
            "the replica is known",
        )
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/main"
        with pytest.raises(Unreachable, match="knows no master called other"):
            await open_cluster(url.replace("/main", "/other"))
        async with two_nodes(url) as (first, second):
            await check(first, second)
            await second.cluster.bus.watch("c")
            master.kill()
            await wait_until(lambda: first.failures() > 0, "the loss shows")
            await wait_until(lambda: is_known(second.cluster, ["u1", "u2"]), "all is known at the new master")
            await hears(first, second, 10)
