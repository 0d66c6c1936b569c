"""The chat's parts, made from the settings: what both front doors use."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from jwt import InvalidKeyError

from hubbub.app.errors import StartError
from hubbub.chat.accounts import AccountRules, Accounts, Attempts
from hubbub.chat.backlog import Backlog
from hubbub.chat.chats import Chats
from hubbub.chat.health import Health, Probes, Threshold, Thresholds, resident_bytes
from hubbub.chat.lag import LoopLag
from hubbub.chat.limits import Limits, Rates
from hubbub.chat.messages import Messages
from hubbub.chat.monitoring import Monitoring
from hubbub.chat.online import RoomWatch
from hubbub.chat.overview import Here, Overview
from hubbub.chat.passwords import Passwords
from hubbub.chat.presence import Presence, PresenceRules
from hubbub.chat.receipts import Receipts
from hubbub.chat.recovery import Recovery
from hubbub.chat.rooms import Rooms
from hubbub.chat.signatures import Signatures, TokenRules
from hubbub.chat.tokens import Tokens
from hubbub.chat.typing import Typing
from hubbub.cluster.base import Bus, Limiter, Nodes, Registry
from hubbub.gateway.handlers import Parts
from hubbub.settings import Settings, signing_secret
from hubbub.store.base import Store


@dataclass(frozen=True, slots=True)
class Shared:
    """What the parts stand on. `bus_silence` tells how many seconds ago the node heard itself on the bus."""

    store: Store
    bus: Bus
    registry: Registry
    limiter: Limiter
    nodes: Nodes
    bus_silence: Callable[[], float]


@dataclass(frozen=True, slots=True)
class ChatParts:
    """The chat: what socket requests are about, and the rest."""

    requests: Parts
    accounts: Accounts
    chats: Chats
    watch: RoomWatch
    passwords: Passwords
    lag: LoopLag
    health: Health

    async def close(self) -> None:
        """Stop the timers and threads."""
        self.lag.close()
        await self.health.close()
        await self.watch.close()
        await self.requests.typing.close()
        await self.requests.presence.close()
        self.passwords.close()


def make_chat(settings: Settings, shared: Shared, backlog: Callable[[], float]) -> ChatParts:
    """Put the chat together. `backlog` tells the unsent bytes of all connections. Raises `StartError`."""
    lag = LoopLag()
    watch = RoomWatch(
        shared.registry,
        shared.bus,
        interval=settings.online_update_interval,
        list_limit=settings.online_list_limit,
    )
    monitoring = Monitoring()
    probes = Probes(
        error_rate=monitoring.significant_error_rate,
        loop_lag=lag.worst,
        check_database=shared.store.check,
        bus_silence=shared.bus_silence,
        memory=resident_bytes,
        backlog=backlog,
    )
    health = Health(probes, _thresholds(settings))
    overview = Overview(
        monitoring,
        health,
        shared.nodes,
        Here(socket.gethostname(), os.getpid()),
        open_access=settings.monitoring_access == "everyone",
    )
    requests = _requests(settings, shared, watch, overview, monitoring)
    passwords = Passwords()
    attempts = Attempts(shared.limiter, name=settings.login_rate, address=settings.login_address_rate)
    rules = AccountRules(
        settings.access_token_ttl, settings.refresh_token_ttl, settings.registration == "open"
    )
    return ChatParts(
        requests=requests,
        accounts=Accounts(shared.store, requests.tokens, passwords, shared.bus, attempts, rules),
        chats=Chats(shared.store, shared.bus, requests.rooms.tell_info),
        watch=watch,
        passwords=passwords,
        lag=lag,
        health=health,
    )


def _requests(
    settings: Settings, shared: Shared, watch: RoomWatch, overview: Overview, monitoring: Monitoring
) -> Parts:
    store, registry, bus = shared.store, shared.registry, shared.bus
    limits = Limits(shared.limiter, _rates(settings))
    typing = Typing(
        registry, bus, broadcast_limit=settings.typing_broadcast_limit, timeout=settings.typing_timeout
    )
    return Parts(
        rooms=Rooms(store, registry, bus, watch, typing),
        messages=Messages(store, registry, bus, limits),
        receipts=Receipts(store, registry, bus, settings.receipt_broadcast_limit),
        typing=typing,
        presence=Presence(registry, store, bus, _presence_rules(settings)),
        recovery=Recovery(
            store,
            Backlog(store, settings.max_outbox_bytes),
            ttl=settings.recovery_ttl,
            window=settings.state_recovery_window,
        ),
        monitoring=monitoring,
        overview=overview,
        limits=limits,
        tokens=Tokens(
            make_signatures(settings), store, bus, create_unknown_users=settings.create_unknown_users
        ),
    )


def make_signatures(settings: Settings) -> Signatures:
    """What judges and signs access tokens. Raises `StartError` and `SettingsError`."""
    rules = TokenRules(
        algorithms=settings.jwt_algorithms,
        secret=signing_secret(settings),
        public_key=settings.jwt_public_key,
        jwks_url=settings.jwt_jwks_url,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
    )
    try:
        return Signatures(rules)
    except InvalidKeyError as error:
        raise StartError(f"jwt_public_key does not fit jwt_algorithms: {error}") from None


def _rates(settings: Settings) -> Rates:
    return Rates(
        connection=settings.connection_rate,
        connection_block=settings.connection_block,
        message=settings.message_rate,
        typing=settings.typing_rate,
        request=settings.request_rate,
    )


def _presence_rules(settings: Settings) -> PresenceRules:
    return PresenceRules(
        offline_grace=settings.offline_grace,
        broadcast_limit=settings.presence_broadcast_limit,
        list_limit=settings.online_list_limit,
        open_details=settings.presence_details == "everyone",
    )


def _thresholds(settings: Settings) -> Thresholds:
    return Thresholds(
        error_rate=Threshold(settings.health_error_rate_warning, settings.health_error_rate_critical),
        loop_lag=Threshold(settings.health_loop_lag_warning, settings.health_loop_lag_critical),
        database_latency=Threshold(
            settings.health_database_latency_warning, settings.health_database_latency_critical
        ),
        memory=Threshold(settings.health_memory_warning, settings.health_memory_critical),
        backlog=Threshold(settings.health_backlog_warning, settings.health_backlog_critical),
    )
