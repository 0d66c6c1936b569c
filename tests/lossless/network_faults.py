"""What the network does to clients: it cuts, swallows, delays and slows down."""

import asyncio
import random
from collections.abc import Callable, Sequence

from tests.lossless.history import Fault, History
from tests.lossless.nemesis import Line
from tests.lossless.proxy import Proxy, Weather

Weathers = tuple[Weather, Weather]


def network_line(history: History, proxies: Sequence[Proxy], seed: int) -> Line:
    """Bad weather for one client at a time, now and then for all."""

    async def strike(chance: random.Random) -> None:
        everybody = chance.random() < 0.2
        targets = proxies if everybody else [chance.choice(proxies)]
        name, make, seconds = bad_weather(chance)
        history.add(Fault(name, "for all" if everybody else ""))
        for proxy in targets:
            if make is None:
                proxy.cut_all()
            else:
                proxy.become(make)
        await asyncio.sleep(seconds)
        for proxy in targets:
            proxy.heal()

    return Line(random.Random(f"network {seed}"), [strike], pause=(0.1, 1.0))


def bad_weather(chance: random.Random) -> tuple[str, Callable[[], Weathers] | None, float]:
    """A name, what it does to a connection (None: cuts it), and how many seconds it lasts."""
    seconds = chance.uniform(0.2, 2.5)
    delay, size = chance.uniform(0.02, 0.4), chance.randint(1, 4000)
    kinds: list[tuple[str, Callable[[], Weathers] | None, float]] = [
        ("cut", None, 0),
        ("cut", None, 0),
        ("half-open: answers are lost", lambda: (Weather(), Weather(drop=True)), seconds),
        ("half-open: requests are lost", lambda: (Weather(drop=True), Weather()), seconds),
        ("black hole", lambda: (Weather(drop=True), Weather(drop=True)), seconds),
        ("delay", lambda: (Weather(delay=delay), Weather(delay=delay)), seconds),
        ("cut after some bytes", lambda: (Weather(), Weather(cut_after=size)), seconds),
        ("cut after some bytes", lambda: (Weather(cut_after=size // 4 + 1), Weather()), seconds),
        ("slow reader", lambda: (Weather(), Weather(rate=2000)), seconds),
        ("reader that stops", lambda: (Weather(), Weather(hold=True)), seconds),
    ]
    return chance.choice(kinds)
