"""What is read of a request in a shorter way is what the long way would have read."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.engineio.requests import Handshake, fold_headers, join_headers, parse_query


@given(st.text(alphabet="ab=&%+;\xe4 2", max_size=24))
def test_a_query_is_read_as_the_standard_library_reads_it(raw: str) -> None:
    """Escapes or none, empty fields, empty names."""
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, errors="strict")
    except ValueError:
        pairs = None
    if pairs is None or len(dict(pairs)) != len(pairs):
        with pytest.raises(ValueError, match=r"field|decode"):
            parse_query(raw)
    else:
        assert parse_query(raw) == dict(pairs)


@pytest.mark.parametrize("escape", ["", "%61"])
def test_a_query_has_few_fields(escape: str) -> None:
    """The limit is the same with escapes and without."""
    fields = [f"f{n}={escape}" for n in range(33)]
    assert len(parse_query("&".join(fields[:32]))) == 32
    with pytest.raises(ValueError, match=r"field|decode"):
        parse_query("&".join(fields))


def test_one_header_is_found_like_all_of_them() -> None:
    """By its whole name, folded, as latin-1; "" for one that is not there."""
    raw = [
        (b"User-Agent", b"a: b\xe4"),
        (b"X-User-Agent", b"no"),
        (b"Via", b"1"),
        (b"via", b"2"),
        (b"Empty", b""),
    ]
    kept = Handshake("::1", "polling", 0.0, raw_headers=join_headers(fold_headers(raw)))
    assert {name: kept.header(name) for name in kept.headers} == dict(kept.headers)
    assert kept.header("user-agent") == "a: b\xe4"
    assert kept.header("via") == "1, 2"
    assert kept.header("agent") == ""
