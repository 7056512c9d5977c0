import pytest

from simulator.report import text
from simulator.statistics.intervals import Interval


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (text.number(None), "–"),
        (text.number(0.0), "0.000"),
        (text.signed(-0.0412), "−0.041"),
        (text.signed(0.0412), "+0.041"),
        (text.count(None), "–"),
        (text.count(0), "0"),
        (text.count(12345), "12,345"),
        (text.count(2.5), "2.5"),
        (text.size(None), "–"),
        (text.size(0), "0 B"),
        (text.size(999_600), "1,000 kB"),
        (text.size(15_600_000), "15.6 MB"),
        (text.duration(None), "–"),
        (text.duration(0.0), "0 s"),
        (text.duration(8640.0), "144 min"),
        (text.duration(86400.0), "24 h"),
        (text.percent(None), "–"),
        (text.percent(0.0), "0 %"),
        (text.percent(0.016), "1.6 %"),
        (text.percent(0.25), "25 %"),
        (text.spread(None), "–"),
        (text.spread(Interval(mean=0.5, low=None, high=None, count=1)), "0.500"),
        (text.spread(Interval(mean=0.5, low=0.4, high=0.6, count=3)), "0.500 (0.400 to 0.600)"),
        (text.listing(["a"]), "a"),
        (text.listing(["a", "b", "c"]), "a, b and c"),
        (text.listing(list("abcdefgh"), 3), "a, b, c and 5 more"),
        (text.plural(1, "run"), "1 run"),
        (text.plural(1200, "run"), "1,200 runs"),
        (text.file_name("a/../b c"), "a-..-b-c"),
        (text.file_name("../.."), "run"),
    ],
)
def test_shown(shown, wanted):
    assert shown.replace("\N{NO-BREAK SPACE}", " ") == wanted


def test_names_sort_as_people_count():
    assert sorted(["site10", "site2", "a", "10"], key=text.natural) == ["10", "a", "site2", "site10"]
