"""What flows have left to send, and which is done first. Plain loops as in
:mod:`simulator.network.filling`.
"""

from collections.abc import MutableSequence
from math import inf

from simulator.network.rows import BY_DUE, DUE, FLIPPED, RATE, REMAINING, STOP, SYNCED, Floats, Ints

SAME_INSTANT = 1 + 1e-12
"""Times are the same instant within this factor, so that rounding cannot stop a run."""


def promote(due: MutableSequence[float], tree: MutableSequence[int], i: int) -> None:
    """Tell the tree of earliest flows (node 1 holds the first) that one's time has moved."""
    size = len(due)
    node = (size + i) // 2
    while node >= 1:
        if 2 * node >= size:
            left, right = 2 * node - size, 2 * node + 1 - size
        else:
            left, right = tree[2 * node], tree[2 * node + 1]
        first = left if due[left] <= due[right] else right
        if tree[node] == first and first != i:
            return
        tree[node] = first
        node //= 2


def sync(ff: Floats, i: int, now: float) -> None:
    """Bring what remains up to date."""
    elapsed = now - ff[SYNCED][i]
    if elapsed > 0.0 and ff[RATE][i] > 0.0:
        ff[REMAINING][i] = max(ff[REMAINING][i] - ff[RATE][i] * elapsed, 0.0)
    ff[SYNCED][i] = now


def expect(ff: Floats, trees: Ints, i: int, now: float) -> None:
    """Work out when a flow has nothing left before its stop."""
    rate = ff[RATE][i]
    ff[DUE][i] = now + (ff[REMAINING][i] - ff[STOP][i]) / rate if rate > 0.0 else inf
    promote(ff[DUE], trees[BY_DUE], i)


def ripe(ff: Floats, fi: Ints, trees: Ints, now: float) -> int:
    """List in ``FLIPPED`` the flows that are due, and forget when; return how many."""
    num, tree = 0, trees[BY_DUE]
    while ff[DUE][tree[1]] <= now * SAME_INSTANT:
        i = tree[1]
        fi[FLIPPED][num] = i
        num += 1
        ff[DUE][i] = inf
        promote(ff[DUE], tree, i)
    return num
