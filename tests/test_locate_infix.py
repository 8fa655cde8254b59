"""Every place in a long list where a short one stands is found, and none is found twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.locate.infix import FOREIGN, MOST_NAMES, Coder, closest, distance, parts

LETTERS = st.text("abcd", max_size=40)


def edits(one: bytes, other: bytes) -> int:
    """Levenshtein distance by the textbook (Wagner and Fischer 1974)."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, start=1):
        above, row[0] = row[0], i
        for j, right in enumerate(other, start=1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (left != right))
    return row[-1]


def found(short: str, long: str, most: int) -> list[tuple[int, int, int]]:
    coder = Coder(short)
    there = parts(coder.encode(short), coder.encode(long), most)
    return sorted((one.start, one.stop, one.distance) for one in there)


def test_copies_are_found_with_their_places():
    assert found("abc", "xxabcxabcabc", 0) == [(2, 5, 0), (6, 9, 0), (9, 12, 0)]


def test_what_is_not_matched_at_the_ends_is_no_part():
    assert found("abcd", "xxabcxxx", 1) == [(2, 5, 1)]


def test_closer_copies_come_before_others_that_overlap_them():
    assert found("aab", "aaab", 1) == [(1, 4, 0)]


def test_a_name_that_the_short_list_lacks_matches_nothing():
    assert Coder("abc").encode("axb") == bytes([0, FOREIGN, 1])
    assert closest(Coder("abc").encode("abc"), Coder("abc").encode("xyz")) is None


def test_more_names_than_edlib_tells_apart_are_refused():
    Coder([str(at) for at in range(MOST_NAMES)])
    with pytest.raises(InputError, match="256 different kernels"):
        Coder([str(at) for at in range(MOST_NAMES + 1)])


@given(LETTERS, LETTERS)
def test_the_distance_of_whole_lists_is_that_of_the_textbook(one, other):
    assert distance(one.encode(), other.encode()) == edits(one.encode(), other.encode())


@settings(deadline=None)
@given(st.text("abcd", min_size=1, max_size=8), LETTERS, st.integers(0, 3))
def test_parts_are_as_close_as_they_say_apart_and_none_is_left(short, long, most):
    most = min(most, len(short) - 1)
    coder = Coder(short)
    one, other = coder.encode(short), coder.encode(long)
    there = sorted(parts(one, other, most), key=lambda part: part.start)
    end = 0
    for part in there:
        assert part.start >= end
        end = part.stop
        assert part.distance == edits(one, other[part.start : part.stop]) <= most
        assert all(other[place] in one for place in part.matched)
        assert {part.start, part.stop - 1} <= set(part.matched)
    gaps = [0, *(edge for part in there for edge in (part.start, part.stop)), len(other)]
    for left, right in zip(gaps[::2], gaps[1::2], strict=True):
        between = other[left:right]
        if most == 0:
            assert one not in between
