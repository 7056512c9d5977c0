"""A paper's selection: renamed, ordered, refused where it names what is not there; tables in every format."""

import polars as pl
import pytest
from matplotlib.figure import Figure

from simulator.errors import ScenarioError
from simulator.report import compare
from tests.report.fixtures import write_swept
from tests.report.test_report import Reader

SPEC = """
title: Two methods
order: [fedavg, gcml]
labels: {gcml: GCML, fedavg: FedAvg & friends}
reference: gcml
where: {method: [gcml, fedavg]}
conditions:
  faults: {title: crashes, values: [never, often]}
figures:
  - {name: lines, kind: line, x: faults, y: dice_mean, where: {faults: [none, "every exp(2 h), crash hill"]}}
  - {name: front, kind: front, x: carried_nbytes, y: dice_mean}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_swept(tmp_path_factory.mktemp("runs") / "s", seeds=(1, 2, 3))


@pytest.fixture(autouse=True)
def painted(monkeypatch):
    found = []
    monkeypatch.setattr(
        Figure, "savefig", lambda self, path, **_: (path.write_bytes(b""), found.append(self))
    )
    return found


def made(folder, tmp_path, spec):
    file = tmp_path / "paper.yaml"
    file.write_text(spec)
    return compare([folder], tmp_path / "out", file)


def test_a_reference_that_the_selection_leaves_out_is_refused(folder, tmp_path):
    spec = SPEC.replace("reference: gcml", "reference: local")
    with pytest.raises(ScenarioError, match=r'reference: no run of "local" with a Dice is left; widen where'):
        made(folder, tmp_path, spec)


def test_a_selection_is_drawn_under_its_own_names(folder, tmp_path, painted):
    page = Reader(made(folder, tmp_path, SPEC).read_text(encoding="utf-8"))
    assert not page.open
    assert "Two methods" in page.text
    assert "FedAvg & friends" in page.text
    assert "No test: 3 paired learning seeds cannot tell methods apart" in page.text
    assert "it takes 6, 3 more" in page.text
    assert "local" not in page.text.split("Definitions")[0].replace("local epochs", "")
    legend = [text.get_text() for text in painted[0].legends[0].get_texts()]
    assert legend == ["FedAvg & friends", "GCML"]
    ticks = [text.get_text() for text in painted[0].axes[0].get_xticklabels()]
    assert ticks == ["never", "often"]
    assert painted[0].axes[0].get_xlabel() == "crashes"


def test_tables_come_as_parquet_csv_and_latex(folder, tmp_path):
    made(folder, tmp_path, SPEC)
    files = tmp_path / "out" / "tables"
    methods = pl.read_parquet(files / "methods.parquet")
    assert methods["method"].to_list() == ["FedAvg & friends", "GCML"]
    runs = pl.read_csv(files / "runs.csv")
    assert methods["dice_mean_mean"][1] == pytest.approx(runs.filter(method="GCML")["dice_mean"].mean())
    pairs = pl.read_parquet(files / "pairs.parquet")
    assert pairs.select("first", "second").rows() == [("GCML", "FedAvg & friends")]
    assert pairs["p"].to_list() == [None], "refused: no p at all"
    text = (files / "methods.tex").read_text(encoding="utf-8")
    assert r"FedAvg \& friends & " in text
    assert text.count(r" \\") == 3


def test_without_a_selection_everything_is_shown(folder, tmp_path):
    out = compare([folder], tmp_path / "out")
    names = {path.stem for path in (out.parent / "figures").iterdir()}
    assert {"cost-dice", "cost-accuracy", "over-faults", "tiles-dice"} <= names


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("titel: x", "1:1: titel: unknown key; did you mean title?"),
        ("order: [gcmll]", '1:8: order: no method "gcmll" in this study; did you mean gcml?'),
        ("labels: {x: y}", '1:10: labels.x: no method "x" in this study; known are fedavg, gcml, local'),
        ("where: {faults: sometimes}", 'where.faults: no value "sometimes" in this study'),
        ("conditions: {faults: {values: [a]}}", "conditions.faults.values: 1 values for the 2 of the study"),
        ("conditions: {speed: {title: a}}", 'conditions.speed: no condition "speed" in this study'),
        ("reference: 3", "reference: "),
        ("target: 2", "target: "),
        ("figures: [{name: a, kind: curve, x: time_s}]", "figures.0: y is missing; a figure of kind curve"),
        ("figures: [{name: a, kind: line, x: downn, y: missed}]", 'figures.0.x: no condition "downn"'),
        ("figures: [{name: a, kind: sites, y: over_pooled}]", "figures: a: no run has what it shows"),
        (
            "figures: [{name: a, kind: sites, y: dice}, {name: a, kind: sites, y: dice}]",
            'figures.1.name: "a" again; give each figure a name of its own',
        ),
        ("order: [gcml, gcml]", '1:8: order: "gcml" twice; each needs a name of its own'),
        ("labels: {gcml: A, local: A}", 'labels: "A" twice; each needs a name of its own'),
        ("labels: {gcml: local}", 'labels: "local" twice; each needs a name of its own'),
        ("labels: {gcml: ' '}", "labels: an empty name; write how it is called"),
        ("conditions: {faults: {values: [a, a]}}", 'conditions.faults.values: "a" twice'),
        ("where: {down: 3}", 'where.down: no value "3" in this study; known are 1 Mbit/s'),
        (
            "figures: [{name: a, kind: front, x: carried_bytes, y: dice_mean}]",
            '1:37: figures.0.x: a figure of kind front has no "carried_bytes"; did you mean carried_nbytes?',
        ),
        (
            "figures: [{name: a, kind: heat, x: faults, y: faults, color: dice_mean}]",
            'figures.0.y: "faults" is x already; choose another, or remove one',
        ),
        ("figures: [{name: a, kind: line, x: down, y: missed, hue: down}]", 'figures.0.hue: "down" is x'),
        (
            "figures: [{name: é, kind: sites, y: dice}]",
            '"é" is not a name of files; use a to z, digits and -',
        ),
        ("where: {method: gcml, algorithm: local}", "where: no run is left; keep some"),
    ],
)
def test_a_wrong_selection_is_told_with_its_place(folder, tmp_path, spec, message):
    with pytest.raises(ScenarioError) as caught:
        made(folder, tmp_path, spec)
    assert message in str(caught.value)
    assert "paper.yaml" in str(caught.value) or message.startswith("figures: a")
