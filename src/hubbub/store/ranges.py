"""Sets of sequence numbers as ranges: `1-57,60` on disk, sorted pairs in memory.

A member's receipts in a chat are such a set: exact for every message, at the price of a watermark as long as
they are confirmed about in order. Pure functions over `Ranges`, a flat sorted list `[first, last, first,
last, …]` of numbers from 1 on; neighbouring ranges are always joined, so that a set has exactly one form.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import TypeAlias

Ranges: TypeAlias = list[int]
"""`[first, last, first, last, …]`: sorted, disjoint, with a gap between any two ranges."""


def parse(text: str) -> Ranges:
    """Read the stored form. The text must come from `dump`."""
    ranges: Ranges = []
    if text:
        for part in text.split(","):
            first, _, last = part.partition("-")
            ranges += (int(first), int(last or first))
    return ranges


def dump(ranges: Ranges) -> str:
    """Write the stored form."""
    pairs = zip(ranges[::2], ranges[1::2], strict=True)
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in pairs)


def contains(ranges: Ranges, number: int) -> bool:
    """Tell whether a number is in the set."""
    index = bisect_right(ranges, number)
    return index % 2 == 1 or (index > 0 and ranges[index - 1] == number)


def covers(outer: Ranges, inner: Ranges) -> bool:
    """Tell whether every number of one set is in another."""
    return all(_holds(outer, first, last) for first, last in zip(inner[::2], inner[1::2], strict=True))


def _holds(ranges: Ranges, first: int, last: int) -> bool:
    index = bisect_right(ranges, first)
    if index % 2 == 1:
        return ranges[index] >= last
    return first == last and contains(ranges, first)


def gaps(ranges: Ranges, number: int, limit: int) -> list[tuple[int, int]]:
    """Return the gaps (first, last) beside the range that holds `number`, those of at most `limit` numbers.

    Before the first range the gap begins with 1; behind the last there is none.
    """
    if not contains(ranges, number):
        return []
    start = (bisect_right(ranges, number) - 1) // 2 * 2 if ranges[-1] > number else len(ranges) - 2
    before = (ranges[start - 1] + 1 if start else 1, ranges[start] - 1)
    behind = (ranges[start + 1] + 1, ranges[start + 2] - 1) if start + 2 < len(ranges) else (1, 0)
    return [(first, last) for first, last in (before, behind) if 0 <= last - first < limit]


def count(ranges: Ranges, after: int, upto: int) -> int:
    """Return how many numbers of the set lie in `after < number <= upto`."""
    pairs = zip(ranges[::2], ranges[1::2], strict=True)
    return sum(max(0, min(last, upto) - max(first, after + 1) + 1) for first, last in pairs)


def insert(ranges: Ranges, number: int) -> bool:
    """Put a number into the set, in place; False when it was there."""
    if contains(ranges, number):
        return False
    index = bisect_left(ranges, number)
    joins_before = index > 0 and ranges[index - 1] == number - 1
    joins_after = index < len(ranges) and ranges[index] == number + 1
    if joins_before and joins_after:
        del ranges[index - 1 : index + 1]
    elif joins_before:
        ranges[index - 1] = number
    elif joins_after:
        ranges[index] = number
    else:
        ranges[index:index] = (number, number)
    return True


def insert_all(ranges: Ranges, numbers: Iterable[int]) -> list[int]:
    """Put numbers into the set, in place; return those that were not there, in their order."""
    return [number for number in numbers if insert(ranges, number)]
