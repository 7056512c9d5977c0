"""Names of the rows of numbers in which flows, links and hops are kept (see :mod:`simulator.network.table`).

A flow is its slot, a link its index, and the j-th hop of slot i is entry ``i * hops + j``: links that
its bytes load first, then those that its acknowledgements cross. Rates are bytes per second of
payload, a level is rate per weight.
"""

from collections.abc import MutableSequence, Sequence

Floats = Sequence[MutableSequence[float]]
Ints = Sequence[MutableSequence[int]]

# of flows, floats
RATE, CAP, SLACK, CEILING, WEIGHT, REMAINING, STOP, SYNCED, DUE, SHARE, REACH, SINCE, QUEUED = range(13)
# and integers: whether its cap holds a flow back, whether it takes part in the solution at hand, hops,
# and lists of slots
CAPPED, INSIDE, NUM_LINKS, NUM_HOPS, MEMBERS, FLIPPED = range(6)
# of links, floats: the last is the level at which a link is full, or inf
CAPACITY, FREE, WATER = range(3)
# and integers: first and last entry of flows and of acknowledgements, marks, lists of links, whether a
# link holds a flow back, and whether it did when queues were last looked at
HEAD, TAIL, ACK_HEAD, ACK_TAIL, SEEN, WAITING, QUEUE, TOUCHED, ACKED, FULL, STANDING = range(11)
# of entries, integers
LINK, NEXT, BEFORE, OWNER = range(4)
# and floats: bytes on the link per byte of the flow
LOAD = 0

NONE = -1
