"""Where rows of numbers are kept: one block for each kind (see :mod:`simulator.network.rows`).

The blocks are NumPy arrays. Compiled code takes them as they are; Python reads and writes their rows
through memoryviews, which give plain numbers, faster than NumPy does one by one.
"""

from collections.abc import MutableSequence
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.network.rows import (
    ACK_HEAD,
    ACK_TAIL,
    BEFORE,
    DUE,
    HEAD,
    LINK,
    LOAD,
    NEXT,
    NONE,
    OWNER,
    TAIL,
    WATER,
    Floats,
    Ints,
)

FLOW_FLOATS, FLOW_INTS, LINK_FLOATS, LINK_INTS, ENTRY_INTS = 13, 6, 3, 11, 4
NUM_SLOTS, NUM_HOPS = 16, 4  # at first; both double as needed


class Table:
    """Slots for flows, their hops, and a fixed number of links."""

    ff: Floats
    fi: Ints
    lf: Floats
    li: Ints
    ei: Ints
    ef: Floats
    tree: MutableSequence[int]
    all: tuple[Any, ...]  # of these, in this order, as the functions of the kernel in use take them

    def __init__(self, num_links: int) -> None:
        self.num_hops, self._num_slots, self._compiled = NUM_HOPS, 0, False
        self._free: list[int] = []
        self._ff = np.zeros((FLOW_FLOATS, 0))
        self._fi = np.zeros((FLOW_INTS, 0), np.int64)
        self._lf = np.zeros((LINK_FLOATS, num_links))
        self._lf[WATER] = inf
        self._li = np.zeros((LINK_INTS, num_links), np.int64)
        self._li[[HEAD, TAIL, ACK_HEAD, ACK_TAIL]] = NONE
        self._ei = np.zeros((ENTRY_INTS, 0), np.int64)
        self._ef = np.zeros((1, 0))
        self._tree = np.zeros(0, np.int64)
        self._add_slots(NUM_SLOTS)

    def take(self) -> int:
        """Return a slot that nobody has."""
        if not self._free:
            self._add_slots(self._num_slots)
        return self._free.pop()

    def give(self, slot: int) -> None:
        """Have a slot back."""
        self._free.append(slot)

    def set_route(self, slot: int, links: npt.NDArray[np.int64], loads: npt.NDArray[np.float64]) -> None:
        """Write the indices of the links that a flow loads, then those that its acknowledgements
        cross, and for each what a byte of the flow puts on it.
        """
        while len(links) > self.num_hops:
            self._widen()
        first = slot * self.num_hops
        self._ei[LINK, first : first + len(links)] = links
        self._ef[LOAD, first : first + len(links)] = loads

    def copy_changes(self, source: int, target: int) -> list[int]:
        """Copy one row of integers of links to another; return the indices where they differed."""
        changed: list[int] = np.flatnonzero(self._li[source] != self._li[target]).tolist()
        self._li[target] = self._li[source]
        return changed

    def _add_slots(self, more: int) -> None:
        old, self._num_slots = self._num_slots, self._num_slots + more
        self._ff = np.hstack([self._ff, np.zeros((FLOW_FLOATS, more))])
        self._fi = np.hstack([self._fi, np.zeros((FLOW_INTS, more), np.int64)])
        self._ei = np.hstack([self._ei, np.zeros((ENTRY_INTS, more * self.num_hops), np.int64)])
        self._ef = np.hstack([self._ef, np.zeros((1, more * self.num_hops))])
        self._ff[DUE, old:] = inf
        self._free += range(self._num_slots - 1, old - 1, -1)
        self._plant()
        self._expose()

    def _plant(self) -> None:
        """Build the tree of earliest flows over the slots, from its leaves to its root."""
        due, first = self._ff[DUE], np.arange(self._num_slots)
        self._tree = np.zeros(self._num_slots, np.int64)
        while len(first) > 1:
            left, right = first[0::2], first[1::2]
            first = np.where(due[left] <= due[right], left, right)
            self._tree[len(first) : 2 * len(first)] = first

    def _widen(self) -> None:
        """Make room for twice the hops: entries move, and what points to them."""
        old, self.num_hops = self.num_hops, 2 * self.num_hops

        def moved(entry: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
            return np.where(entry == NONE, NONE, entry // old * self.num_hops + entry % old)

        entries = np.zeros((ENTRY_INTS, self._num_slots * self.num_hops), np.int64)
        self._ei[NEXT], self._ei[BEFORE] = moved(self._ei[NEXT]), moved(self._ei[BEFORE])
        loads = np.zeros((1, entries.shape[1]))
        places = moved(np.arange(self._ei.shape[1]))
        entries[:, places], loads[:, places] = self._ei, self._ef
        self._ei, self._ef = entries, loads
        for row in (HEAD, TAIL, ACK_HEAD, ACK_TAIL):
            self._li[row] = moved(self._li[row])
        self._expose()

    def _expose(self) -> None:
        self._ei[OWNER] = np.arange(self._ei.shape[1]) // self.num_hops
        self.ff, self.fi, self.lf = _rows(self._ff), _rows(self._fi), _rows(self._lf)
        self.li, self.ei, self.ef = _rows(self._li), _rows(self._ei), _rows(self._ef)
        self.tree = _numbers(self._tree)
        if self._compiled:
            self.all = self._ff, self._fi, self._lf, self._li, self._ei, self._ef, self._tree
        else:
            self.all = self.ff, self.fi, self.lf, self.li, self.ei, self.ef, self.tree

    def compile(self) -> None:
        """From now on offer what compiled code takes."""
        self._compiled = True
        self._expose()


def _rows(block: npt.NDArray[Any]) -> list[Any]:
    return [_numbers(row) for row in block]


def _numbers(row: npt.NDArray[Any]) -> Any:
    """Plain numbers, written through."""
    return memoryview(row)  # type: ignore[arg-type]  # NumPy's stubs do not say that arrays are buffers
