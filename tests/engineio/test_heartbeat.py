"""The heartbeat's clock."""

from hubbub.engineio.heartbeat import Beat, Heartbeat


def heartbeat() -> Heartbeat:
    """Begun at 1000 s, with the default times."""
    return Heartbeat(25.0, 20.0, now=1000.0)


def test_waits_then_pings_then_times_out() -> None:
    """A PING after the interval, and the end when it is not answered within the timeout."""
    beat = heartbeat()
    assert beat.next_check(1000.0) == 1025.0
    assert beat.check(1024.9, listening=True) is Beat.WAIT
    assert beat.check(1025.0, listening=True) is Beat.PING
    assert beat.next_check(1025.0) == 1045.0
    assert beat.check(1044.9, listening=True) is Beat.WAIT
    assert beat.check(1045.0, listening=True) is Beat.TIMEOUT


def test_pongs_keep_it_alive() -> None:
    """An answered PING is followed by the next one, an interval after the last."""
    beat = heartbeat()
    for due in (1025.0, 1050.0, 1075.0):
        assert beat.check(due, listening=True) is Beat.PING
        assert beat.answered()
        assert beat.next_check(due) == due + 25.0


def test_only_asked_pongs_count() -> None:
    """A PONG without a PING, or the second one for the same PING, is not an answer."""
    beat = heartbeat()
    assert not beat.answered()
    beat.check(1025.0, listening=True)
    assert beat.answered()
    assert not beat.answered()


def test_coarse_timers_do_not_lengthen_the_deadline() -> None:
    """A PING sent a little late must still be answered by the time that was announced."""
    beat = heartbeat()
    assert beat.check(1025.3, listening=True) is Beat.PING
    assert beat.next_check(1025.3) == 1045.0


def test_a_very_late_ping_leaves_time_to_answer() -> None:
    """After a long stall of the server the client has most of the timeout left."""
    beat = heartbeat()
    assert beat.check(1100.0, listening=True) is Beat.PING
    assert beat.check(1114.9, listening=True) is Beat.WAIT
    assert beat.check(1115.0, listening=True) is Beat.TIMEOUT


def test_a_client_that_is_not_listened_to_cannot_time_out() -> None:
    """While reading is suspended nothing is held against the client; afterwards it has the whole timeout."""
    beat = heartbeat()
    assert beat.check(1025.0, listening=True) is Beat.PING
    beat.suspend()
    assert beat.check(1045.0, listening=False) is Beat.WAIT
    assert beat.check(1065.0, listening=False) is Beat.WAIT
    assert beat.check(1085.0, listening=True) is Beat.WAIT
    assert beat.check(1104.9, listening=True) is Beat.WAIT
    assert beat.check(1105.0, listening=True) is Beat.TIMEOUT


def test_a_long_timeout_does_not_delay_pings() -> None:
    """With a timeout beyond the interval, an answered PING is followed by the next one in time."""
    beat = Heartbeat(1.0, 30.0, 0.0)
    assert beat.check(1.0, listening=True) is Beat.PING
    assert beat.next_check(1.0) == 2.0
    assert beat.answered()
    assert beat.check(2.0, listening=True) is Beat.PING
    assert beat.check(3.0, listening=True) is Beat.WAIT
    assert beat.next_check(3.0) == 32.0
