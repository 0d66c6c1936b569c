"""Ranges behave as the sets of numbers that they stand for."""

from hypothesis import given
from hypothesis import strategies as st

from hubbub.store import ranges

numbers = st.lists(st.integers(1, 60))


def built(from_: list[int]) -> ranges.Ranges:
    """A set made of these numbers."""
    result: ranges.Ranges = []
    ranges.insert_all(result, from_)
    return result


@given(numbers)
def test_ranges_hold_exactly_what_was_inserted(inserted: list[int]) -> None:
    """A set holds the numbers that were put into it, in any order, and no others."""
    result = built(inserted)
    assert {number for number in range(70) if ranges.contains(result, number)} == set(inserted)


@given(numbers)
def test_ranges_have_one_form(inserted: list[int]) -> None:
    """Ranges are sorted and never touch, so that equal sets are equal lists."""
    result = built(inserted)
    assert result == built(sorted(set(inserted), reverse=True))
    assert len(result) % 2 == 0
    assert all(first <= last for first, last in zip(result[::2], result[1::2], strict=True))
    assert all(last + 1 < first for last, first in zip(result[1::2], result[2::2], strict=False))


@given(numbers, numbers)
def test_inserting_tells_what_is_new(before: list[int], inserted: list[int]) -> None:
    """Each number that was not there is told once, in the order given."""
    result = built(before)
    new = ranges.insert_all(result, inserted)
    assert new == [n for n in dict.fromkeys(inserted) if n not in before]


@given(numbers)
def test_text_brings_a_set_back(inserted: list[int]) -> None:
    """Writing and reading gives the same set."""
    result = built(inserted)
    assert ranges.parse(ranges.dump(result)) == result


@given(numbers, st.integers(0, 65), st.integers(0, 65))
def test_count_counts_within_a_window(inserted: list[int], after: int, upto: int) -> None:
    """Counting leaves out `after` and takes in `upto`."""
    assert ranges.count(built(inserted), after, upto) == len({n for n in inserted if after < n <= upto})


@given(numbers, st.integers(1, 60), st.integers(1, 10))
def test_gaps_lie_beside_a_range(inserted: list[int], number: int, limit: int) -> None:
    """A gap holds no number of the set, is bounded by the number's range, and is no longer than the limit."""
    result = built(inserted)
    present = set(inserted)
    first = last = number
    while first - 1 in present:
        first -= 1
    while last + 1 in present:
        last += 1
    below = max((n for n in present if n < first), default=0)
    above = min((n for n in present if n > last), default=last + 1)
    expected = [gap for gap in ((below + 1, first - 1), (last + 1, above - 1)) if gap[0] <= gap[1]]
    short = [gap for gap in expected if gap[1] - gap[0] < limit]
    assert ranges.gaps(result, number, limit) == (short if number in present else [])


def test_the_stored_form() -> None:
    """The form on disk is the documented one; data written by older versions must stay readable."""
    assert ranges.dump(built([*range(1, 58), 60])) == "1-57,60"
    assert ranges.parse("1-57,60") == [1, 57, 60, 60]
    assert ranges.dump([]) == ""


@given(numbers, numbers)
def test_covering_is_being_a_subset(outer: list[int], inner: list[int]) -> None:
    """A set covers another one when it holds all its numbers."""
    assert ranges.covers(built(outer), built(inner)) == (set(inner) <= set(outer))
    assert ranges.covers(built(outer + inner), built(inner))
