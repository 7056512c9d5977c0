"""Tables as text."""

from simulator.report.tables import Table, lengthwise


def test_many_methods_stand_below_each_other():
    methods = [f"m{place}" for place in range(14)]
    wide = Table(
        title="Dice",
        head=("site", "test cases", *methods),
        rows=(("hill", "4", *("1" * 14)), ("lake", "3", *("2" * 14))),
        note="a note",
    )
    long = lengthwise(wide)
    assert (long.title, long.note) == ("Dice", "a note")
    assert long.head == ("method", "hill", "lake")
    assert long.rows == (("test cases", "4", "3"), *((name, "1", "2") for name in methods))
    few = Table(title="Dice", head=wide.head[:6], rows=tuple(row[:6] for row in wide.rows))
    assert lengthwise(few) == few
    many_sites = Table(title="Dice", head=wide.head, rows=wide.rows * 10)
    assert lengthwise(many_sites) == many_sites
