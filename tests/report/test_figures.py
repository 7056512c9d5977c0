"""Declared figures: what they may ask for, what they draw, and what their captions say."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure
from pydantic import ValidationError

from simulator.record.measures_frames import frames
from simulator.record.measures_run import load_study
from simulator.report.default_figures import default_figures
from simulator.report.figure import Drawn, draw
from simulator.report.figure_spec import FigureSpec
from simulator.report.style import looks, ticks
from tests.report.fixtures import write_swept

LINE = {"kind": "line", "x": "faults", "y": "dice_mean"}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("swept")
    runs = load_study([write_swept(folder / "s", ("gcml", "fedavg", "local", "pooled"))]).runs
    return Drawn(frames=frames(runs, 0.75), runs=runs, target=0.75)


@pytest.fixture
def painted(monkeypatch):
    """The figures that were drawn, unpainted."""
    found = []

    def keep(figure, path, **_):
        path.write_bytes(b"painted")
        if path.suffix == ".png":
            found.append(figure)

    monkeypatch.setattr(Figure, "savefig", keep)
    return found


def drawn(swept, tmp_path, **spec):
    return draw(FigureSpec(name="f", **spec), swept, tmp_path)


def test_lines_have_a_value_per_condition_with_an_interval(swept, tmp_path, painted):
    picture = drawn(swept, tmp_path, **LINE, columns="down")
    left, right = painted[0].axes
    assert [axes.get_title(loc="left") for axes in (left, right)] == [
        "a  down: 1 Mbit/s",
        "b  down: 4 Mbit/s",
    ]
    assert [text.get_text() for text in left.get_xticklabels()] == ["none", "every exp(2 h), crash\nhill"]
    gcml = next(line for line in left.lines if line.get_label() == "gcml")
    runs = swept.frames.runs.filter(method="gcml", down="1 Mbit/s", faults="none")
    assert gcml.get_ydata()[0] == pytest.approx(runs["dice_mean"].mean())
    assert "95 % intervals of the mean over 2 learning seeds (Student's t)" in picture.caption


def test_what_is_not_shown_is_averaged_and_said(swept, tmp_path, painted):
    picture = drawn(swept, tmp_path, **LINE)
    assert "Averaged over down." in picture.caption
    line = next(line for line in painted[0].axes[0].lines if line.get_label() == "gcml")
    runs = swept.frames.runs.filter(method="gcml", faults="none")
    assert line.get_ydata()[0] == pytest.approx(runs["dice_mean"].mean())


def test_the_front_leaves_pooled_training_out(swept, tmp_path, painted):
    drawn(swept, tmp_path, kind="front", x="carried_nbytes", y="dice_mean")
    lines = {line.get_label(): line for line in painted[0].axes[0].lines}
    best = lines["Pareto front"].get_ydata()
    assert best.max() < lines["pooled"].get_ydata()[0]
    assert np.all(np.diff(best) >= 0)


def test_a_run_without_the_target_never_joins_those_with_it(swept, tmp_path, painted):
    drawn(swept, tmp_path, kind="reach", x=["time_s", "carried_nbytes"])
    runs = swept.frames.runs.filter(method="fedavg")
    shown = next(line for line in painted[0].axes[0].lines if line.get_label() == "fedavg")
    assert shown.get_ydata()[-1] == pytest.approx(runs["reached"].mean())


def test_pooled_training_that_costs_nothing_is_a_level_or_left_out(swept, tmp_path, painted):
    at_once = pl.when(algorithm="pooled").then(0.0)
    tables = {
        "runs": swept.frames.runs.with_columns(
            at_once.otherwise(pl.col(name)).alias(name) for name in ("virtual_time_s", "time_s_to_target")
        ),
        "curves": swept.frames.curves.with_columns(at_once.otherwise("time_s").alias("time_s")),
    }
    free = replace(swept, frames=replace(swept.frames, **tables))
    drawn(free, tmp_path, kind="curve", x="time_s", y="dice_mean")
    drawn(free, tmp_path, kind="reach", x="time_s")
    drawn(free, tmp_path, kind="line", x="faults", y="virtual_time_s")
    curves, *others = [{line.get_label(): line for line in figure.axes[0].lines} for figure in painted]
    assert len(set(curves["pooled"].get_ydata())) == 1
    assert list(curves["pooled"].get_xdata()) == [0, 1]  # of the axes' width
    for lines in others:
        assert "gcml" in lines
        assert "pooled" not in lines


def test_whiskers_end_where_no_value_can_be(swept, tmp_path, painted):
    values = pl.when(pl.col("unit") == 1).then(0.0).otherwise(1.0)
    runs = swept.frames.runs.with_columns(values.alias(name) for name in ("wasted_nbytes", "over_local"))
    noisy = replace(swept, frames=replace(swept.frames, runs=runs))
    drawn(noisy, tmp_path, kind="line", x="faults", y=["wasted_nbytes", "over_local"])
    lowest = [
        min(segment[:, 1].min() for lines in axes.collections for segment in lines.get_segments())
        for axes in painted[0].axes
    ]
    assert lowest[0] == 0
    assert lowest[1] == -1


def test_a_target_that_nobody_has_leaves_room_for_the_axes(swept, tmp_path):
    runs = swept.frames.runs.with_columns(reached=pl.lit(value=False))
    none = replace(swept, frames=replace(swept.frames, runs=runs))
    assert drawn(none, tmp_path, kind="reach", x=["time_s", "carried_nbytes"]) is not None


def test_tiles_hold_means_in_the_unit_of_the_scale(swept, tmp_path, painted):
    where = {"method": ["gcml", "fedavg"]}
    drawn(
        swept,
        tmp_path,
        kind="heat",
        x="faults",
        y="down",
        color="virtual_time_s",
        columns="method",
        where=where,
    )
    axes = painted[0].axes[0]
    value = swept.frames.runs.filter(method="gcml", faults="none", down="1 Mbit/s")["virtual_time_s"].mean()
    assert axes.images[0].get_array()[0, 0] == pytest.approx(value / 60)
    assert len({len(text.get_text().partition(".")[2]) for one in painted[0].axes for text in one.texts}) == 1
    assert "(min)" in painted[0].axes[-1].get_ylabel()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["0.1 Mbit/s", "0.251189 Mbit/s", "10 Mbit/s"], (["0.1", "0.251", "10"], "up (Mbit/s)")),
        (["1000", "0.333333"], (["1000", "0.333"], "up")),
        (["1.0001 s", "1.0002 s"], (["1.0001", "1.0002"], "up (s)")),
        (["10 ms", "2 s"], (["10 ms", "2 s"], "up")),
        (["none", "every exp(2 h), crash a"], (["none", "every\nexp(2 h),\ncrash a"], "up")),
        (["1-2-3", "4"], (["1-2-3", "4"], "up")),
    ],
)
def test_ticks_of_a_condition_are_short(values, expected):
    assert ticks(values, "up") == expected


def test_gain_over_local_pairs_runs_of_the_same_conditions_and_seed(swept):
    rows = swept.frames.runs
    local = {(row["learning"], row["down"], row["faults"]): row["dice_mean"] for row in
             rows.filter(method="local").iter_rows(named=True)}  # fmt: skip
    for row in rows.filter(method="gcml").iter_rows(named=True):
        expected = row["dice_mean"] - local[row["learning"], row["down"], row["faults"]]
        assert row["over_local"] == pytest.approx(expected)
    assert rows.filter(method="local")["over_local"].null_count() == 8


def test_every_default_figure_is_drawn_and_readable(swept, tmp_path, painted):
    names = [spec.name for spec in default_figures(swept.frames, 0.75) if draw(spec, swept, tmp_path)]
    assert {"cost-accuracy", "over-faults", "over-down", "tiles-dice", "target", "sites-pooled"} <= set(names)
    for figure in painted:
        assert figure.get_figwidth() * 25.4 == pytest.approx(85, abs=0.1) or figure.get_figwidth() > 6.9
        texts = [text for axes in figure.axes for text in axes.texts + axes.get_xticklabels()]
        assert min((text.get_fontsize() for text in texts), default=7) >= 7


def renamed(swept, number_of):
    """A study with so many more methods, the further the better."""
    frames = swept.frames
    tables = {"runs": frames.runs, "sites": frames.sites, "cases": frames.cases, "curves": frames.curves}
    for name, table in tables.items():
        copies = [
            table.filter(method="gcml").with_columns(
                pl.lit(f"gcml of a long name {place}").alias("method"),
                pl.lit(f"other{place}").alias("algorithm"),
                *([pl.lit(place / 100).alias("dice_mean")] if name == "runs" else []),
            )
            for place in range(number_of)
        ]  # fmt: skip
        tables[name] = pl.concat([table, *copies])
    return replace(swept, frames=replace(frames, **tables))


def test_of_many_methods_the_best_and_the_references_are_drawn_and_all_as_tiles(swept, tmp_path, painted):
    many = renamed(swept, 20)
    specs = {spec.name: spec for spec in default_figures(many.frames, None)}
    chosen = specs["cost-accuracy"].where["method"]
    assert len(chosen) == 10
    assert {"local", "pooled", "fedavg", "gcml", "gcml of a long name 19"} <= set(chosen)
    assert "gcml of a long name 0" not in chosen
    assert specs["cost-accuracy"].title.endswith(f", 10 of {many.frames.runs['method'].n_unique()} methods")
    assert "method" not in specs["methods-faults"].where
    assert not specs["time-dice"].faults, "not all runs have the same"
    few = {spec.name: spec for spec in default_figures(swept.frames, None)}
    assert "methods-faults" not in few
    assert not few["cost-accuracy"].where
    draw(specs["cost-accuracy"], many, tmp_path)
    figure = painted[0]
    assert figure.legends[0].get_window_extent().width <= figure.bbox.width
    assert figure.legends[0].get_window_extent().height < 0.6 * figure.bbox.height


def test_panels_may_leave_a_place_empty(swept, tmp_path, painted):
    many = renamed(swept, 5 - swept.frames.runs["method"].n_unique() % 3)
    picture = drawn(many, tmp_path, kind="heat", x="faults", y="down", color="dice_mean", columns="method")
    num_panels = many.frames.runs["method"].n_unique()
    assert num_panels % 3 == 2
    assert picture is not None
    assert len(painted[0].axes) == num_panels + 1, "and a scale of colors"


def test_spare_looks_differ():
    found = looks({f"m{place}": f"m{place}" for place in range(25)})
    assert len({(look.color, look.marker) for look in found.values()}) == 25


def test_what_no_run_has_is_not_drawn(swept, tmp_path):
    assert drawn(swept, tmp_path, kind="sites", y="dice", where={"method": ["none of them"]}) is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"kind": "curve", "x": "time_s"},
            "y is missing; a figure of kind curve needs it, such as dice_mean",
        ),
        (
            {"kind": "line", "y": "dice_mean"},
            "x is missing; a figure of kind line needs it, the name of a swept",
        ),
        (
            {"kind": "curve", "x": "faults", "y": "dice_mean"},
            'x: a figure of kind curve has no "faults"; known',
        ),
        ({"kind": "sites", "x": "time_s", "y": "dice"}, "x: a figure of kind sites has none; remove it"),
        ({**LINE, "y": ["dice_mean", "dice_worst"], "rows": "up"}, "rows: the panels are those of several y"),
        ({"kind": "heat", "x": "a", "y": "b", "color": "missed", "rows": "c"}, "a heat map has one x, one y"),
        ({**LINE, "faults": True}, "faults: they are marked on curves over time_s only"),
        ({**LINE, "y": "dice_worst", "over": "sites"}, "over: intervals over sites exist for dice_mean"),
        ({**LINE, "y": "over_local", "over": "cases"}, "over: intervals over cases exist for dice_mean only"),
    ],
)
def test_what_cannot_be_drawn_is_refused(spec, message):
    with pytest.raises(ValidationError) as caught:
        FigureSpec(name="f", **spec)
    assert message in str(caught.value)
