"""A tally agrees with counting, whatever the timing."""

from hypothesis import given
from hypothesis import strategies as st

from hubbub.chat.tally import Tally
from tests.chat.fakes import FakeClock


@given(st.lists(st.tuples(st.sampled_from((0.0, 0.5, 1.0, 3.5, 9.0, 30.0)), st.booleans()), max_size=100))
def test_counts_the_last_seconds(steps: list[tuple[float, bool]]) -> None:
    """What happened in this second and the nine before counts, all else does not."""
    clock = FakeClock(5.0)
    tally = Tally(10, clock)
    added: list[int] = []
    for step, add in steps:
        clock.advance(step)
        if add:
            tally.add()
            added.append(int(clock()))
        assert tally.total() == sum(second > int(clock()) - 10 for second in added)
