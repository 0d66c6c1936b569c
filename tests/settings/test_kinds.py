"""Values and their texts: every good value survives the round trip, every bad text is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.settings import ROWS, Rate, duration_text, kinds, parse_duration

DURATIONS = st.integers(0, 3650 * 86_400_000).map(lambda milliseconds: milliseconds / 1000)
RATES = st.builds(Rate, st.integers(1, 999_999_999), DURATIONS.filter(bool))


@given(DURATIONS)
def test_durations_survive_the_round_trip(seconds: float) -> None:
    """A duration of whole milliseconds reads back as itself."""
    assert parse_duration(duration_text(seconds)) == seconds


@given(st.integers(1, 999), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_durations_count_their_unit(count: int, unit: str) -> None:
    """A number counts milliseconds, seconds, minutes, hours or days."""
    seconds = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}[unit]
    assert parse_duration(f"{count}{unit}") == pytest.approx(count * seconds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (1.5, "1500ms"), (60, "1m"), (90, "90s"), (3600, "1h"), (86_400, "1d")],
)
def test_durations_are_written_in_their_largest_unit(seconds: float, text: str) -> None:
    """No fractions, and no more digits than needed."""
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    "text", ["", "5", "m", "5 m", "-5m", "+5m", "5M", "1.5h", "1h30m", "٥m", "5m\n", "4000d", "9" * 400 + "s"]
)
def test_bad_durations_are_refused(text: str) -> None:
    """No unit, no number, a sign, a fraction, other digits, more than ten years."""
    with pytest.raises(ValueError, match=r".*"):
        kinds.duration().parse(text)


def test_a_duration_may_have_a_floor() -> None:
    """The floor itself is allowed, one step below is not, and the refusal names it."""
    kind = kinds.duration("100ms")
    assert kind.parse("100ms") == 0.1
    assert "at least 100ms" in kind.wanted
    with pytest.raises(ValueError, match="99ms"):
        kind.parse("99ms")


@given(st.none() | RATES)
def test_rates_survive_the_round_trip(rate: Rate | None) -> None:
    """A rate, or None for one that is switched off, reads back as itself."""
    assert kinds.RATE.parse(kinds.RATE.show(rate)) == rate


def test_a_rate_is_a_count_and_a_period() -> None:
    """The text form of the documentation."""
    assert kinds.RATE.parse("5/5m") == Rate(count=5, seconds=300.0)
    assert kinds.RATE.parse("off") is None


@pytest.mark.parametrize(
    "text", ["", "5", "5/", "/5m", "0/5m", "5/0s", "-1/5m", "5/5", "5 / 5m", "OFF", "5/5m/2"]
)
def test_bad_rates_are_refused(text: str) -> None:
    """A limit that allows nothing, or says nothing, is no limit."""
    with pytest.raises(ValueError, match=r".*"):
        kinds.RATE.parse(text)


@pytest.mark.parametrize(
    ("text", "good"), [("0", True), ("65535", True), ("65536", False), ("-1", False), ("1_0", False)]
)
def test_whole_numbers_keep_their_bounds(text: str, *, good: bool) -> None:
    """Both bounds belong to the range."""
    kind = kinds.integer(0, 65535)
    if good:
        assert kind.show(kind.parse(text)) == text
    else:
        with pytest.raises(ValueError, match=text):
            kind.parse(text)


@pytest.mark.parametrize("text", ["nan", "inf", "-0.1", "1.1", "half"])
def test_bad_shares_are_refused(text: str) -> None:
    """A share lies between 0 and 1."""
    with pytest.raises(ValueError, match=text):
        kinds.SHARE.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "https://a.example", "http://localhost:5173,https://a.example:8443", "http://[::1]:5173"),
        "http://[::1]:*,https://localhost:*",
    ],
)
def test_origins_as_browsers_send_them(text: str) -> None:
    """A comma list of origins, exact or on any port."""
    assert kinds.ORIGINS.show(kinds.ORIGINS.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "a.example",
        "https://",
        "https://a.example/",
        "https://A.example",
        "https://a.example:443",
        "http://a.example:80",
        "null",
        "https://u@a.example",
        "https://a.example,",
        "https://a.example\x1b",
        "https://a.example:x",
        "*.a.example",
        "https://*.a.example",
        "https://a.example:8443:*",
        "https://a.example:*/",
        "https://:*",
    ],
)
def test_bad_origins_are_refused(text: str) -> None:
    """What no browser would send can only be a mistake."""
    with pytest.raises(ValueError, match=r".*"):
        kinds.ORIGINS.parse(text)


def test_networks_are_exact() -> None:
    """Bits beyond the prefix are a mistake that would trust the wrong peers."""
    assert kinds.NETWORKS.show(kinds.NETWORKS.parse("127.0.0.1, fd00::/8")) == "127.0.0.1/32,fd00::/8"
    with pytest.raises(ValueError, match=r"10\.0\.0\.1"):
        kinds.NETWORKS.parse("10.0.0.1/8")


@pytest.mark.parametrize("name", ROWS)
def test_every_default_can_be_written(name: str) -> None:
    """The text of a default reads back as that default."""
    row = ROWS[name]
    if row.default_text:
        assert row.kind.parse(row.default_text) == row.default


@given(st.sampled_from(sorted(ROWS)), st.text(max_size=30))
def test_no_text_breaks_a_parser(name: str, text: str) -> None:
    """Any text is a value that can be shown again, or refused in the ways that the caller expects."""
    row = ROWS[name]
    try:
        value = row.kind.parse(text)
    except (ValueError, KeyError, OSError):
        return
    assert isinstance(row.kind.show(value), str)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///relative.db",
        "sqlite:////var/lib/hubbub.db",
        "postgresql://host/chat",
        "postgres://me@/chat?host=/run/postgresql",
        "postgresql://one:5432,two:5433/chat?target_session_attrs=primary",
    ],
)
def test_databases(url: str) -> None:
    """Files and servers, written as they are read."""
    assert kinds.DATABASE.show(kinds.DATABASE.parse(url)) == url


@pytest.mark.parametrize(
    "text", ["sqlite:///", "sqlite://x", "mysql://h/d", "postgresql://host", "postgres:///"]
)
def test_bad_databases_are_refused(text: str) -> None:
    """No name, or another kind of server."""
    with pytest.raises(ValueError, match=r".*"):
        kinds.DATABASE.parse(text)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hunter2@host/chat", "postgresql://me:********@host/chat"),
        ("postgresql://me:hunt@/er2@host/chat", "postgresql://me:********@host/chat"),
        (
            "postgresql://h/chat?user=me&password=hunter2&x=y",
            "postgresql://h/chat?user=me&password=********&x=y",
        ),
    ],
)
def test_passwords_in_urls_are_masked(url: str, shown: str) -> None:
    """Wherever they stand."""
    assert kinds.DATABASE.show(kinds.DATABASE.parse(url)) == shown
