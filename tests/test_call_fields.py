"""Containers, objects and names in a call: what is looked at, and what is each side's own."""

from __future__ import annotations

import functools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.record.described import CLASS, MOST_FIELDS, MOST_ITEMS, describe
from tests.test_call_values import lines


class Holder:
    """A plain object."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


class Rotary(Holder):
    """An object that can be called."""

    def __call__(self) -> None: ...


def test_an_entry_beyond_the_first_of_a_long_list_still_counts():
    (line,) = lines([*range(99), 5], list(range(100)))
    assert line.startswith("x.64: value 36 more, digest ")
    assert lines(list(range(100)), list(range(100))) == []
    assert lines(list(range(65)), list(range(64)))[0].startswith(
        "x.64: given only in the mock (1 m"
    )
    assert lines(set(range(100)), set(range(1, 101))) != []


def test_every_field_of_a_large_object_or_mapping_has_its_name():
    one, other = ({f"f{i}": i for i in range(90)} for _ in "ab")
    other["f89"] = 0
    assert lines(Holder(**one), Holder(**other)) == ["x.f89: value 89 against 0"]
    assert lines(one, other) == ["x.f89: value 89 against 0"]


def test_entries_beyond_the_named_ones_count_in_whatever_order_they_came():
    one = {f"f{i:03}": i for i in range(MOST_FIELDS + 5)}
    backwards = dict(reversed(one.items()))
    assert lines(one, backwards) == []
    assert "<more>" in lines(one, {**one, "f260": 0})[0]


def test_what_is_described_of_a_long_list_stays_short():
    found = describe(list(range(100_000)))
    assert (len(found), found[-1].count) == (MOST_ITEMS + 1, 100_000 - MOST_ITEMS)
    assert "of the first 65,536" in str(found[-1])


def test_beyond_the_first_entries_own_values_and_near_floats_may_differ():
    def chunks(start: int, noise: float, width: int = 4) -> list[Holder]:
        table = torch.arange(start, start + 4)
        return [
            Holder(block_table=table, ids={"block_ids": [start]}, cache=torch.ones(width) + noise)
            for _ in range(MOST_ITEMS + 2)
        ]

    assert lines(chunks(0, 0.0), chunks(100, 1e-3)) == []
    assert "x.64: value 2 more" in str(lines(chunks(0, 0.0), chunks(0, 0.0, 5)))
    one, other = ([[n] for n in range(start, start + 100)] for start in (0, 1))
    assert lines(one, other, "block_ids") == []
    assert lines(one, other) != []


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("block_ids", [1, 2, 3], [4, 5, 6]),
        ("block_ids", [1, 2, 3], [2, 3, 4]),
        ("block_ids", [[1], [2, 3]], [[4], [5, 6]]),
        ("block_ids", list(range(100)), list(range(1, 101))),
        ("block_ids", np.arange(3), np.arange(1, 4)),
        ("req_ids", ("a", "b"), ("c", "d")),
        ("prefix", "model.layers.0", "model.layers.1"),
        ("slot_mapping", torch.arange(4), torch.arange(4) + 8),
        ("dummy_block_table", torch.arange(4), torch.arange(4).flip(0)),
        ("req_id_per_token", torch.tensor([0, 1]), torch.tensor([1, 0])),
        ("pool_pointers", torch.arange(4), torch.arange(4) + 8),
    ],
)
def test_where_each_side_keeps_something_may_differ_whatever_holds_it(name, one, other):
    assert lines(Holder(**{name: one}), Holder(**{name: other})) == []
    assert lines(one, other, "elsewhere") != []


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("block_ids", [1, 2, 3], [4, 5]),
        ("block_ids", list(range(100)), list(range(101))),
        ("block_ids", [1], None),
        ("prefix", "model", 3),
        ("slot_mapping", torch.arange(4), torch.arange(5)),
        ("prefix_lens", torch.tensor([3]), torch.tensor([3000])),
        ("block_table_width", 3, 3000),
        ("max_prefix", 3, 3000),
        ("prefix_cache", {"seq_lens": torch.tensor([1])}, {"seq_lens": torch.tensor([9])}),
        ("paged_kv_indptr", torch.tensor([0, 1]), torch.tensor([0, 2])),
    ],
)
def test_lengths_types_and_fields_that_only_sound_alike_still_count(name, one, other):
    assert lines(Holder(**{name: one}), Holder(**{name: other})) != []


def test_settings_of_an_object_that_can_be_called_are_compared():
    assert lines(Rotary(base=1), Rotary(base=2)) == ["x.base: value 1 against 2"]
    assert lines(Rotary(_calls=1, cache={}), Rotary(_calls=2, cache={1: 2})) == []
    assert describe(torch.ops.aten.add) == {CLASS: "OpOverloadPacket"}


def test_nothing_is_compared_by_its_identity_or_by_what_it_happened_to_do():
    def everything() -> dict[Any, Any]:
        cached = functools.lru_cache(lambda x: x)
        cached(len(made))
        made.append(1)
        return {
            "function": lambda: 0,
            "method": Holder().__init__,
            "partial": functools.partial(print, object()),
            "cached": cached,
            "lock": threading.Lock(),
            "event": threading.Event(),
            "handle": Path("/dev/null").open(),
            "generator": (n for n in ()),
            "random": torch.Generator(),
            "object": object(),
            "module": torch.nn.Linear(1, 1),
            "operator": torch.ops.aten.add,
            "keys": {object(): 1, Holder(a=1): 2, "plain": 3},
            "set": {object()},
        }

    made: list[int] = []
    assert lines(everything(), everything()) == []
    assert "0x" not in str(describe(everything()))


def test_entries_whose_names_begin_with_underscores_are_compared():
    assert lines({"__size": 1}, {"__size": 2}) == ["x.__size: value 1 against 2"]
