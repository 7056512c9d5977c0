"""Names of the rows of numbers in which flows, links and hops are kept (see :mod:`simulator.network.table`).

A flow is its slot, a link its index, and the j-th hop of slot i is entry ``i * hops + j``: links that
its bytes load first, then those that its acknowledgements cross. Rates are bytes per second of
payload, a level is rate per weight.
"""

from collections.abc import MutableSequence, Sequence

Floats = Sequence[MutableSequence[float]]
Ints = Sequence[MutableSequence[int]]

# of flows, floats: what sharing needs,
RATE, CAP, SLACK, CEILING, WEIGHT, REMAINING, STOP, SYNCED, DUE, SHARE, REACH = range(11)
# what becomes of the congestion window (see simulator.network.pacing),
WINDOW, THRESHOLD, PEAK, EPOCH, RTT, ASKED, ALARM = range(11, 18)
# and facts of the path
PATH_RTT, FULL_QUEUE, BUFFER, LIMIT, STEP = range(18, 23)
FLOW_FLOATS = 23
# and integers: whether its cap holds a flow back, whether it takes part in the solution at hand, hops,
# lists of slots, whether the last of these names the flow, whether it is in slow start, and in its last burst
CAPPED, INSIDE, NUM_LINKS, NUM_HOPS, MEMBERS, FLIPPED, CHANGED, CHANGE, SLOW, BURST = range(10)
FLOW_INTS = 10
# of links, floats: the level at which a link is full, or inf, and what it has at least to spare then;
# seconds that the queue in front of it takes, where it is full and now
CAPACITY, FREE, WATER, SPARE, STANDS, BACKLOG = range(6)
LINK_FLOATS = 6
# and integers: first and last entry of flows and of acknowledgements, whether a link waits to work out
# its level, lists of links, whether these name it, whether it holds a flow back, and whether a queue
# stood there when these were last looked at
HEAD, TAIL, ACK_HEAD, ACK_TAIL, WAITING, QUEUE, TOUCHED, ACKED, TURNED = range(9)
IN_TOUCHED, IN_ACKED, IN_TURNED, FULL, STANDING = range(9, 14)
LINK_INTS = 14
# of entries, integers
LINK, NEXT, BEFORE, OWNER = range(4)
ENTRY_INTS = 4
# and floats: bytes on the link per byte of the flow
LOAD = 0
ENTRY_FLOATS = 1
# trees of earliest flows, by these rows of theirs
BY_DUE, BY_ALARM = range(2)
# rules of the congestion control, and when queues are next looked at
BACKOFF, IS_CUBIC, IS_LOSS_BASED, HAS_HYSTART, MAX_WINDOW, LOOK = range(6)
NUM_RULES = 6
# how many the lists CHANGED, TOUCHED, ACKED and TURNED name
FLOWS, LINKS, ACKS, TURNS = range(4)
NUM_COUNTS = 4

NONE = -1
