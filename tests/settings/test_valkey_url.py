"""`valkey_url`: which URLs there are, and that no password is ever printed."""

import pytest

from hubbub.cluster.address import Address, parse
from hubbub.settings import SettingsError, describe, load_settings

GOOD = {
    "redis://cache": Address(kind="single", hosts=(("cache", 6379),)),
    "valkey://cache:7000/3": Address(kind="single", hosts=(("cache", 7000),), database=3),
    "rediss://:geheim@10.0.0.1": Address(
        kind="single", hosts=(("10.0.0.1", 6379),), tls=True, password="geheim"
    ),
    "valkeys://bus:p%40ss@[::1]:1": Address(
        kind="single", hosts=(("::1", 1),), tls=True, username="bus", password="p@ss"
    ),
    "unix:///run/valkey.sock?db=2": Address(kind="unix", path="/run/valkey.sock", database=2),
    "unix://bus:geheim@/s": Address(kind="unix", path="/s", username="bus", password="geheim"),
    "redis+sentinel://a,b:1/main": Address(kind="sentinel", hosts=(("a", 26379), ("b", 1)), master="main"),
    "valkeys+sentinel://u:p@a/main/1": Address(
        kind="sentinel",
        hosts=(("a", 26379),),
        master="main",
        tls=True,
        username="u",
        password="p",
        database=1,
    ),
    "redis+cluster://a:1,b:2": Address(kind="cluster", hosts=(("a", 1), ("b", 2))),
}
BAD = [
    *("", "redis://", "cache:6379", "http://cache", "redis://cache:0", "redis://cache:65536", "redis://a b"),
    *("redis://cache/one", "redis://cache/1/2", "redis://a,b", "redis://cache?db=1", "redis://cache#1"),
    *(
        "redis+sentinel://a",
        "redis+sentinel://a/main/x",
        "redis+cluster://a/1",
        "redis+other://a",
        "unix://x/y",
    ),
    *("unix:///", "unix:///s?x=1", "redis://\n", "redis://cache/99999", "redis://ca$che"),
]


@pytest.mark.parametrize("url", GOOD)
def test_good_urls(url: str) -> None:
    """One server, a socket, sentinels, a cluster; with TLS, name, password and database."""
    assert parse(url) == GOOD[url]


@pytest.mark.parametrize("url", BAD)
def test_bad_urls_are_refused(url: str) -> None:
    """What is no such URL is refused at the start rather than when it is used."""
    with pytest.raises(ValueError, match="not the URL"):
        parse(url)


@pytest.mark.parametrize("url", ["redis://:geheim@cache", "redis+sentinel://u:geheim@a,b/main"])
def test_a_password_is_never_printed(url: str) -> None:
    """Neither the settings nor the address show it, in whichever way they are printed."""
    settings = load_settings(environ={"HUBBUB_VALKEY_URL": url})
    shown = [one.value for one in describe(settings) if one.name == "valkey_url"]
    assert shown == ["********"]
    assert "geheim" not in f"{settings!r} {parse(url)!r} {parse(url)}"
    with pytest.raises(SettingsError) as refused:
        load_settings(environ={"HUBBUB_VALKEY_URL": url.replace("geheim", "geheim@x:y:z/")})
    assert "geheim" not in str(refused.value)
