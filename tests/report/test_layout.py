import numpy as np
import pytest

from simulator.report.layout import places


def test_machines_lie_on_the_circle_and_routers_within():
    found = places({"a", "b", "c"}, [("a", "@x"), ("b", "@y"), ("c", "@x"), ("@x", "@core"), ("@y", "@core")])
    assert all(np.hypot(*found[name]) == pytest.approx(1.0) for name in "abc")
    assert all(np.hypot(*found[name]) < 0.9 for name in ("@x", "@y", "@core"))
    assert list(found)[:3] == ["a", "c", "b"], "those on one router side by side"


def test_a_machines_own_router_lies_before_it():
    found = places({"a", "b"}, [("a", "@a"), ("b", "@b"), ("@a", "@b"), ("@far", "@away")])
    assert found["@a"] == pytest.approx((0.72 * found["a"][0], 0.72 * found["a"][1]))
    assert np.isfinite(list(found.values())).all(), "also of what nothing holds"
