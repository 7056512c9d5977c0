"""Both books of the ledger, and what it refuses to sign."""

import pytest

from simulator.errors import MedgossipError
from simulator.record.ledger import Attempt, Ledger
from simulator.record.tables import TABLES


def attempt(**changes):
    values = {
        **{"transfer": 1, "attempt": 1, "src": "a", "dst": "b", "kind": "model", "round": 3},
        **{"control": False, "nbytes": 100, "offered_nbytes": 100, "start_s": 1.0, "route": ("up", "down")},
    }
    return Attempt(**(values | changes))


@pytest.fixture
def ledger():
    book = Ledger()
    book.add_link("up", "a", "core", 1000.0, 0.01)
    book.add_link("down", "core", "b", float("inf"), 0.02)
    return book


def finished(ledger, carried, status, reason="", **changes):
    entry = ledger.open(attempt(**changes))
    ledger.carry(entry, carried)
    ledger.close(entry, 2.0, status, reason)
    return entry


def test_rows_follow_the_tables(ledger):
    finished(ledger, 40, "failed", "link down")
    finished(ledger, 100, "delivered", attempt=2)
    ledger.check()
    columns = list(TABLES["transfers"])
    rows = [dict(zip(columns, row, strict=True)) for row in ledger.rows("transfers")]
    assert [(row["attempt"], row["carried_nbytes"], row["status"]) for row in rows] == [
        (1, 40, "failed"),
        (2, 100, "delivered"),
    ]
    assert rows[0]["route"] == "up down"
    links = [dict(zip(TABLES["links"], row, strict=True)) for row in ledger.rows("links")]
    assert [(row["link"], row["bytes_per_s"], row["carried_nbytes"]) for row in links] == [
        ("down", None, 140),
        ("up", 1000.0, 140),
    ]
    assert ledger.totals() == {"delivered": 100, "failed": 40, "in_flight": 0}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda book: book.open(attempt()), "has no end"),
        (lambda book: finished(book, 101, "failed"), "carried 101 of 100 bytes"),
        (lambda book: finished(book, 99, "delivered"), "arrived with 99 of 100"),
        (lambda book: finished(book, 100, "delivered", offered_nbytes=150), "made 100 of 150 bytes arrive"),
        (lambda book: finished(book, 100, "failed", start_s=3.0), "before it began"),
    ],
)
def test_check_refuses(ledger, damage, message):
    damage(ledger)
    with pytest.raises(MedgossipError, match=message):
        ledger.check()


def test_check_compares_links_with_transfers(ledger):
    finished(ledger, 100, "delivered").carried_nbytes = 100
    ledger.check()
    finished(ledger, 50, "failed", transfer=2).carried_nbytes = 60
    with pytest.raises(MedgossipError, match="link down carried 150 bytes"):
        ledger.check()


def test_nothing_follows_an_arrival(ledger):
    finished(ledger, 100, "delivered")
    finished(ledger, 10, "failed", attempt=2)
    with pytest.raises(MedgossipError, match="follows one that arrived"):
        ledger.check()


def test_an_attempt_ends_once(ledger):
    entry = finished(ledger, 100, "delivered")
    with pytest.raises(MedgossipError, match="ended twice"):
        ledger.close(entry, 3.0, "failed")
