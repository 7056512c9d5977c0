import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.api import Cost, ModelSize
from simulator.scenario.availability import Availability
from simulator.scenario.schema import AccessLink, NodeSpec
from simulator.sites.compute import Calendar, Processor, extra_flop, flop

H = 3600.0
MODEL = ModelSize(num_parameters=10, num_buffers=0, forward_flop=1e9)
LINK = AccessLink(up="1 Mbit/s", down="1 Mbit/s", latency="1 ms")


def test_a_training_item_costs_three_forward_passes():
    assert flop(Cost(train_items=2, forward_items=3, flop=5), MODEL) == 3e9 * 2 + 3e9 + 5
    assert extra_flop(Cost(train_items=2, extra_train_items=1), MODEL) == 3e9


def test_measured_seconds_per_item_give_that_time():
    processor = Processor.from_spec(NodeSpec(seconds_per_item="2 s", link=LINK), MODEL)
    assert processor.finish(10.0, flop(Cost(train_items=5), MODEL)) == pytest.approx(20.0)


def test_work_pauses_outside_the_window():
    # open 18:00 to 06:00, virtual time 0 is noon: work of 13 h begins at 18:00, does 12 h until 06:00,
    # the last hour from 18:00 to 19:00 of the second evening = 31 h after noon
    calendar = Calendar.from_spec(Availability(daily=("18:00-06:00",), starts_at="12:00"))
    assert calendar.finish(0.0, 13 * H) == 31 * H
    assert calendar.finish(7 * H, 1 * H) == 8 * H


def test_the_part_done_counts_only_open_hours():
    # open 18:00 to 06:00 from noon: 13 h of work from 0 to 31 h; 3 h are done at 21:00, 12 h at 10:00
    calendar = Calendar.from_spec(Availability(daily=("18:00-06:00",), starts_at="12:00"))
    processor = Processor(1.0, calendar)
    parts = [processor.part_done(0.0, 31 * H, hour * H, 1.0) for hour in (0, 6, 9, 22, 31, 40)]
    assert parts == pytest.approx([0, 0, 3 / 13, 12 / 13, 1, 1])
    assert processor.part_done(0.0, 6 * H, 3 * H, 0.0) == 0.0, "no operations, waiting for the window"
    assert Processor(1.0, None).part_done(10.0, 30.0, 15.0, 20.0) == 0.25


@given(
    st.lists(st.tuples(st.integers(0, 23), st.integers(0, 23)), min_size=1, max_size=3),
    st.integers(0, 23),
    st.integers(0, 100),
    st.integers(1, 400),
)
def test_the_calendar_agrees_with_counting_hours(windows, begins, start, work):
    texts = tuple(f"{a:02d}:00-{b:02d}:00" for a, b in windows if a != b)
    if not texts:
        return
    spec = Availability(daily=texts, starts_at=f"{begins:02d}:00")
    is_open = [any(_inside(hour, text) for text in texts) for hour in range(24)]
    left, clock = work, start
    while left:
        left -= is_open[(clock + begins) % 24]
        clock += 1
    assert Calendar.from_spec(spec).finish(start * H, work * H) == pytest.approx(clock * H)


def _inside(hour, text):
    begin, end = int(text[:2]), int(text[6:8])
    return begin <= hour < end if begin < end else hour >= begin or hour < end


@given(st.floats(0, 1e6), st.integers(0, 23), st.floats(0, 1e-6))
def test_work_never_ends_before_it_begins(start_s, begins, busy_s):
    calendar = Calendar.from_spec(Availability(daily=("20:00-06:00",), starts_at=f"{begins:02d}:07"))
    assert calendar.finish(start_s, busy_s) >= start_s


def test_work_stands_still_while_the_machine_is_away():
    # open 18:00 to 06:00 from noon: of noon to 20:00 six hours are closed, of a whole day twelve
    night = Calendar.from_spec(Availability(daily=("18:00-06:00",), starts_at="12:00"))
    assert Processor(1.0, night).paused_s(0.0, 8 * H) == 6 * H
    assert Processor(1.0, night).paused_s(3 * H, 27 * H) == pytest.approx(12 * H)
    assert Processor(1.0, night).paused_s(7 * H, 8.1 * H) == 0.0
    assert Processor(1.0, None).paused_s(0.0, 8 * H) == 0.0
