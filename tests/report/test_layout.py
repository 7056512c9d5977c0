import dataclasses
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from simulator.record.measures_run import load_run
from simulator.report import gantt, overlays
from simulator.report.layout import places
from tests.report.fixtures import Shape, write_run


def test_machines_lie_on_the_circle_and_routers_within():
    found = places({"a", "b", "c"}, [("a", "@x"), ("b", "@y"), ("c", "@x"), ("@x", "@core"), ("@y", "@core")])
    assert all(np.hypot(*found[name]) == pytest.approx(1.0) for name in "abc")
    assert all(np.hypot(*found[name]) < 0.9 for name in ("@x", "@y", "@core"))
    assert list(found)[:3] == ["a", "c", "b"], "those on one router side by side"


def test_a_machines_own_router_lies_before_it():
    found = places({"a", "b"}, [("a", "@a"), ("b", "@b"), ("@a", "@b"), ("@far", "@away")])
    assert found["@a"] == pytest.approx((0.72 * found["a"][0], 0.72 * found["a"][1]))
    assert np.isfinite(list(found.values())).all(), "also of what nothing holds"


def test_a_relay_that_failed_has_a_row_in_the_timeline(tmp_path):
    run = load_run(write_run(tmp_path / "run", "gcml", shape=Shape(rounds=2, overlays=False)))
    outages = run.tables["outages"]
    down = {"node": "vpn-hub", "what": "crash", "start_s": 1.0, "end_s": 2.0}
    with_relay = pl.concat([outages, pl.DataFrame([down], schema=outages.schema)])
    run = dataclasses.replace(run, tables={**run.tables, "outages": with_relay})
    assert "vpn-hub" in gantt._nodes(run)


def test_titles_of_pictures_do_not_run_into_each_other(tmp_path, monkeypatch):
    labels = [f"gossip-averaging, loss 0.0{place}, latency 150 ms" for place in range(4)]
    runs = {label: [load_run(write_run(tmp_path / label, "gcml", label=label))] for label in labels}
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: drawn.append(self))
    overlays.draw(runs, tmp_path)
    figure = drawn[0]
    figure.canvas.draw()
    first_row = [axes.title.get_window_extent() for axes in figure.axes if axes.get_title()]
    assert len(first_row) == 6
    assert all(left.x1 < right.x0 for left, right in pairwise(first_row))
