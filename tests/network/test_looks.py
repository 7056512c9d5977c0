"""Queues that acknowledgements wait in."""

import pytest

from simulator.network.looks import LEAST_DRAIN, LOOK_STEP_S, drain
from simulator.network.membership import join
from simulator.network.rows import BACKLOG, FREE, FULL, NUM_HOPS, NUM_LINKS, RATE, STANDING, STANDS
from simulator.network.table import Table


@pytest.mark.parametrize(("load", "drains"), [(0.0, 1.0), (60.0, 0.4), (99.9, LEAST_DRAIN)])
def test_a_queue_drains_by_what_the_link_has_left(load, drains):
    """A link of 100 bytes/s that was full, with 0.5 s of queue: each look takes its spare share off."""
    table = Table(1)
    slot = table.take()
    table.lf[FREE][0], table.lf[STANDS][0], table.li[FULL][0] = 100.0, 0.5, 1
    rows = table.ff, table.lf, table.li, table.ei, table.ef, 0
    join_alone(table, slot)
    assert drain(*rows) == 0.5
    table.li[STANDING][0], table.li[FULL][0], table.ff[RATE][slot] = 1, 0, load
    assert drain(*rows) == pytest.approx(0.5 - drains * LOOK_STEP_S)
    assert drain(*rows) == pytest.approx(0.5 - 2 * drains * LOOK_STEP_S)
    table.li[STANDING][0] = 0
    assert drain(*rows) == table.lf[BACKLOG][0] == 0.0


def join_alone(table, slot):
    table.set_route(slot, [0], [1.0])
    table.fi[NUM_LINKS][slot] = table.fi[NUM_HOPS][slot] = 1
    join(*table.all, slot)
