"""Payloads that arrive damaged: found by their checksum after the full time, retried, never delivered."""

import pytest

from tests.network.test_transport import MB, Bench


def ends(**settings):
    bench = Bench({"a-b": (MB, 0.0)}, **settings)
    bench.send("x", "a", "b", 2 * MB)
    return bench, bench.run()


def test_damage_shows_after_the_full_time_and_is_retried():
    """Three attempts of 2 s each, with 1 s and 2 s in between: 9 s."""
    bench, end = ends(damage=1.0, retries=2, backoff="1 s")
    assert end == {"x": (pytest.approx(9.0), "checksum")}
    assert [row["reason"] for row in bench.rows()] == ["checksum"] * 3
    assert bench.ledger.totals() == {"delivered": 0, "failed": 6 * MB, "in_flight": 0}


def test_half_of_the_payloads_are_damaged_and_the_rest_arrive():
    bench = Bench({"a-b": (MB, 0.0)}, damage=0.5)
    for number in range(200):
        bench.send(f"{number}", "a", "b", MB, at=2.0 * number)
    found = [reason for _, reason in bench.run().values()]
    assert 70 < found.count("checksum") < 130
    assert set(found) == {None, "checksum"}
    again = Bench({"a-b": (MB, 0.0)}, damage=0.5)
    for number in range(200):
        again.send(f"{number}", "a", "b", MB, at=2.0 * number)
    assert [reason for _, reason in again.run().values()] == found


def test_nothing_is_kept_of_a_damaged_payload():
    """Cut at 1 s, resumed at 11 s from the offset, damaged when whole at 12 s: all of it is wasted and
    the next attempt begins from zero.
    """
    settings = {"retries": 2, "backoff": "1 s", "stall_timeout": "5 s", "restart": "offset"}
    bench = Bench({"a-b": (MB, 0.0)}, damage=1.0, **settings)
    bench.send("x", "a", "b", 2 * MB)
    bench.at(1.0, lambda _: bench.network.set_node("b", False))
    bench.at(7.5, lambda _: bench.network.set_node("b", True))
    assert bench.run()["x"][1] == "checksum"
    rows = [(row["nbytes"], row["carried_nbytes"], row["status"], row["reason"]) for row in bench.rows()]
    assert rows == [
        (MB, MB, "failed", "resumed after: link down"),
        (MB, MB, "failed", "checksum"),
        (2 * MB, 2 * MB, "failed", "checksum"),
    ]


def test_damage_may_lie_in_what_was_kept():
    """Reset halfway and resumed. Damaged with 50 %, anywhere: in the half that is kept with 25 %, which
    shows when all is there; then in the rest with 50 %. 0.75 · 0.5 = 37.5 % of 400 arrive, 150 ± 10.
    """
    bench = Bench({"a-b": (MB, 0.0)}, damage=0.5, retries=1, backoff="1 s", restart="offset")
    for number in range(400):
        bench.send(f"{number}", "a", "b", 2 * MB, at=5.0 * number)
        bench.at(5.0 * number + 1, lambda _: bench.network.reset_link("a>b", "connection reset"))
    found = [reason for _, reason in bench.run().values()]
    assert set(found) == {None, "checksum"}
    assert 120 < found.count(None) < 180


def test_control_messages_carry_no_payload():
    bench = Bench({"a-b": (MB, 0.0)}, damage=1.0)
    bench.send("x", "a", "b", 1000, control=True)
    assert bench.run()["x"][1] is None
