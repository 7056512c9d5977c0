"""Where rows of numbers are kept: one block for each kind (see :mod:`simulator.network.rows`).

Compiled code takes NumPy arrays. Python reads and writes their rows through memoryviews, which give
plain numbers, faster than NumPy does one by one. As long as nothing is compiled and flows are few, rows
are lists: faster still, but with every number somewhere else in memory.
"""

from collections.abc import MutableSequence, Sequence
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.network.rows import (
    ACK_HEAD,
    ACK_TAIL,
    ALARM,
    BEFORE,
    BY_ALARM,
    BY_DUE,
    DUE,
    ENTRY_FLOATS,
    ENTRY_INTS,
    FLOW_FLOATS,
    FLOW_INTS,
    HEAD,
    LINK,
    LINK_FLOATS,
    LINK_INTS,
    LOAD,
    LOOK,
    NEXT,
    NONE,
    NUM_COUNTS,
    NUM_RULES,
    OWNER,
    TAIL,
    WATER,
    Floats,
    Ints,
)

NUM_SLOTS, NUM_HOPS = 16, 4  # at first; both double as needed
MOST_LISTED = 256  # slots; of more than these lists do not fit a processor's cache


class Table:
    """Slots for flows, their hops, and a fixed number of links."""

    ff: Floats
    fi: Ints
    lf: Floats
    li: Ints
    ei: Ints
    ef: Floats
    trees: Ints
    rules: MutableSequence[float]
    counts: MutableSequence[int]
    # these in this order, as the functions of the kernel in use take them
    all: tuple[Any, Any, Any, Any, Any, Any, Any, Any, Any]

    def __init__(self, num_links: int) -> None:
        self.num_hops, self._num_slots = NUM_HOPS, 0
        self._compiled = self._are_lists = False
        self._free: list[int] = []
        self._ff = np.zeros((FLOW_FLOATS, 0))
        self._fi = np.zeros((FLOW_INTS, 0), np.int64)
        self._lf = np.zeros((LINK_FLOATS, num_links))
        self._lf[WATER] = inf
        self._li = np.zeros((LINK_INTS, num_links), np.int64)
        self._li[[HEAD, TAIL, ACK_HEAD, ACK_TAIL]] = NONE
        self._ei = np.zeros((ENTRY_INTS, 0), np.int64)
        self._ef = np.zeros((ENTRY_FLOATS, 0))
        self._trees = np.zeros((2, 0), np.int64)
        self._rules, self._counts = np.zeros(NUM_RULES), np.zeros(NUM_COUNTS, np.int64)
        self._rules[LOOK] = inf
        self._add_slots(NUM_SLOTS)

    def take(self) -> int:
        """Return a slot that nobody has."""
        if not self._free:
            self._add_slots(self._num_slots)
        return self._free.pop()

    def give(self, slot: int) -> None:
        """Have a slot back."""
        self._free.append(slot)

    def set_route(self, slot: int, links: Sequence[int], loads: Sequence[float]) -> None:
        """Write the indices of the links that a flow loads, then those that its acknowledgements
        cross, and for each what a byte of the flow puts on it.
        """
        while len(links) > self.num_hops:
            self._widen()
        link, load, entry = self.ei[LINK], self.ef[LOAD], slot * self.num_hops
        for hop, nbytes in zip(links, loads, strict=True):
            link[entry], load[entry] = hop, nbytes
            entry += 1

    def _add_slots(self, more: int) -> None:
        self._collect()
        old, self._num_slots = self._num_slots, self._num_slots + more
        self._ff = np.hstack([self._ff, np.zeros((FLOW_FLOATS, more))])
        self._fi = np.hstack([self._fi, np.zeros((FLOW_INTS, more), np.int64)])
        self._ei = np.hstack([self._ei, np.zeros((ENTRY_INTS, more * self.num_hops), np.int64)])
        self._ef = np.hstack([self._ef, np.zeros((ENTRY_FLOATS, more * self.num_hops))])
        self._ff[[DUE, ALARM], old:] = inf
        self._free += range(self._num_slots - 1, old - 1, -1)
        self._plant()
        self._expose()

    def _plant(self) -> None:
        """Build the trees of earliest flows over the slots, from their leaves to their roots."""
        self._trees = np.zeros((2, self._num_slots), np.int64)
        for tree, row in ((BY_DUE, DUE), (BY_ALARM, ALARM)):
            at, first = self._ff[row], np.arange(self._num_slots)
            while len(first) > 1:
                left, right = first[0::2], first[1::2]
                first = np.where(at[left] <= at[right], left, right)
                self._trees[tree, len(first) : 2 * len(first)] = first

    def _widen(self) -> None:
        """Make room for twice the hops: entries move, and what points to them."""
        self._collect()
        old, self.num_hops = self.num_hops, 2 * self.num_hops

        def moved(entry: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
            return np.where(entry == NONE, NONE, entry // old * self.num_hops + entry % old)

        entries = np.zeros((ENTRY_INTS, self._num_slots * self.num_hops), np.int64)
        self._ei[NEXT], self._ei[BEFORE] = moved(self._ei[NEXT]), moved(self._ei[BEFORE])
        floats = np.zeros((ENTRY_FLOATS, entries.shape[1]))
        places = moved(np.arange(self._ei.shape[1]))
        entries[:, places], floats[:, places] = self._ei, self._ef
        self._ei, self._ef = entries, floats
        for row in (HEAD, TAIL, ACK_HEAD, ACK_TAIL):
            self._li[row] = moved(self._li[row])
        self._expose()

    def _collect(self) -> None:
        """Bring the arrays up to date with what Python has written to its lists."""
        if self._are_lists:
            for block, rows in zip(self._blocks(), self.all, strict=True):
                block[:] = rows

    def _blocks(self) -> tuple[Any, Any, Any, Any, Any, Any, Any, Any, Any]:
        blocks = self._ff, self._fi, self._lf, self._li, self._ei, self._ef
        return *blocks, self._trees, self._rules, self._counts

    def _expose(self) -> None:
        self._ei[OWNER] = np.arange(self._ei.shape[1]) // self.num_hops
        self._are_lists = not self._compiled and self._num_slots <= MOST_LISTED
        self.ff, self.fi, self.lf, self.li, self.ei, self.ef, self.trees, self.rules, self.counts = [
            self._shown(block) if block.ndim == 1 else [self._shown(row) for row in block]
            for block in self._blocks()
        ]
        rows = self.ff, self.fi, self.lf, self.li, self.ei, self.ef
        self.all = self._blocks() if self._compiled else (*rows, self.trees, self.rules, self.counts)

    def _shown(self, row: npt.NDArray[Any]) -> Any:
        """Plain numbers; where they are no lists, they are written through."""
        if self._are_lists:
            return row.tolist()
        return memoryview(row)  # type: ignore[arg-type]  # NumPy's stubs do not say that arrays are buffers

    def compile(self) -> None:
        """From now on offer what compiled code takes."""
        self._collect()
        self._compiled = True
        self._expose()
