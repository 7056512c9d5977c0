"""The report as a whole, on studies of every shape that may come."""

import html.parser
import json
import re
import subprocess
import sys

import pytest
from matplotlib.figure import Figure

from simulator.record.tables import TABLES
from simulator.report import build
from tests.report.fixtures import Shape, write_run, write_study, write_swept

FOUR = ("gcml", "gossip-averaging", "fedavg", "local")


class Reader(html.parser.HTMLParser):
    """Collects text, tags and whatever an element refers to."""

    def __init__(self, source):
        super().__init__()
        self.words, self.open, self.references, self.tags = [], [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.references += [value for name, value in attributes if name in {"src", "href"}]
        if tag not in {"meta", "img", "br", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words).replace("\N{NO-BREAK SPACE}", " "))


@pytest.fixture
def unpainted(monkeypatch):
    """Figures are laid out but not painted, which takes most of a report's time."""
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: path.write_bytes(b"painted"))


def built(folders, out):
    path = build(folders, out)
    assert path == out / "report.html"
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = write_study(tmp_path_factory.mktemp("runs") / "hospitals-1", FOUR)
    return folder, built([folder], folder)


def test_the_file_needs_nothing_else(study):
    _, source = study
    page = Reader(source)
    assert not page.open
    assert all(one.startswith(("data:image/", "#")) for one in page.references)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "url(" not in source
    assert "@import" not in source
    anchors = {one[1:] for one in page.references if one.startswith("#")}
    assert all(f'id="{anchor}"' in source for anchor in anchors)


def test_figures_come_in_three_formats(study):
    folder, _ = study
    names = {path.name for path in (folder / "figures").iterdir()}
    stems = {
        "cost-dice",
        "cost-accuracy",
        "rounds-dice",
        "sites-gain",
        "time-dice",
        "sites-dice",
        "overlays",
        "topology-fedavg",
        *(f"timeline-{a}" for a in FOUR),
    }
    assert names == {f"{stem}.{kind}" for stem in stems for kind in ("png", "pdf", "svg")}


@pytest.mark.parametrize(
    "sentence",
    [
        "Simulated data",
        "4 runs of gcml, gossip-averaging, fedavg and local, with 1 learning seed and 1 network seed",
        "5 sites (coast, hill, lake, north and river) with 10 to 14 training cases each",
        "fault {at: 99 d, disconnect: hill} never fired for hill",
        "gcml has the highest mean Dice over sites, 0.773; next is gossip-averaging with 0.736.",
        "With gcml, 5 of 5 sites do better than with local training; coast gains most (+0.203).",
        "of fedavg (stopped after",
        "fedavg: the server goes down at 7.5 min; mean test Dice stays at 0.687",
        "Mean validation Dice of 0.75 is first reached by gcml after 22 min and 10.4 MB.",
        "Not reached (censored) by gossip-averaging, fedavg and local.",
        "not found at all: local 1.",
        "One run per method: differences may be chance.",
        "draw conclusions about methods from real data only",
        "crash server 7.5 min 1 min (to the end) 4 1.2 MB 5 s",
        "not applicable this algorithm has no server",
        "case17 label is not finite",
        "medgossip run hospitals",
    ],
)
def test_it_says(study, sentence):
    assert sentence in Reader(study[1]).text


def test_the_same_runs_give_the_same_bytes(study, tmp_path):
    folder, source = study
    assert built([folder], tmp_path) == source
    for path in (folder / "figures").iterdir():
        assert (tmp_path / "figures" / path.name).read_bytes() == path.read_bytes(), path.name


def test_methods_are_compared_over_conditions_and_bytes_under_the_same_ones(tmp_path, unpainted):
    """Where lines and crashes are swept too, a method is not compared with itself on another line."""
    text = Reader(built([write_swept(tmp_path / "s", ("gcml", "fedavg"), seeds=(1, 2, 3))], tmp_path)).text
    ahead = r"Over 4 conditions gcml has the highest mean Dice over sites, 0\.\d+ \(.{14}\); next is fedavg"
    assert re.search(ahead + r".* \(difference \+.* 95 % CI over 3 learning seeds, paired", text)
    assert "Over 4 conditions gcml has the highest Dice at the worst site" in text
    beside = [
        re.match(r"gcml, (.*) sent .* fedavg, (.*?)(?:'s| \(stopped)", said) for said in text.split(". ")
    ]
    found = [one.groups() for one in beside if one is not None]
    assert len(found) == 4
    assert all(ours == theirs for ours, theirs in found)


def test_faults_of_many_runs_are_told_once(tmp_path, unpainted):
    """The server crashes once in each of 42 runs of FedAvg, and never where there is none."""
    shape = Shape(rounds=2, overlays=False, crash_s=50.0)
    write_study(tmp_path, ("gcml", "fedavg"), seeds=tuple(range(1, 43)), shape=shape)
    text = Reader(built([tmp_path], tmp_path)).text
    assert "fedavg crash server 1 " in text
    assert text.count("not applicable this algorithm has no server") == 1
    assert "42 of 84 runs (gcml-" in text


def test_several_seeds_give_intervals_and_pairs(tmp_path, unpainted):
    shape = Shape(rounds=4, overlays=False)
    write_study(tmp_path, ("gcml", "local", "pooled"), seeds=(1, 2, 3), shape=shape)
    text = Reader(built([tmp_path], tmp_path)).text
    assert re.search(r"gcml has the highest mean Dice .* 95 % CI over 3 paired runs", text)
    assert "Training on all cases together (pooled) reaches" in text
    assert "One run per method" not in text
    assert "Against pooled training" in text
    assert "Timelines are drawn for 3 of 9 runs" in text


def test_a_plan_shows_time_and_traffic_only(tmp_path, unpainted):
    write_study(tmp_path, ("gcml", "fedavg"), shape=Shape(rounds=4, plan=True))
    text = Reader(built([tmp_path], tmp_path)).text
    assert "Plan: time and traffic only" in text
    assert "Nothing was evaluated" not in text  # traffic and the server's death are findings of a plan
    assert "What it cost" in text
    assert "What was reached" not in text
    assert not (tmp_path / "figures" / "cost-dice.png").exists()
    assert (tmp_path / "figures" / "timeline-gcml.svg").exists()


def test_a_single_run_is_described_alone(tmp_path, unpainted):
    folder = write_run(tmp_path / "gcml", "gcml", shape=Shape(rounds=4, crash_s=None, overlays=False))
    text = Reader(built([folder], tmp_path / "out")).text
    assert "1 run of gcml" in text
    assert "gcml reaches a mean Dice over sites of" in text
    assert "No fault was declared" in text
    assert not (tmp_path / "out" / "figures" / "overlays.png").exists()


def test_the_number_of_cases_is_that_of_all_runs(tmp_path, unpainted):
    runs = [
        write_run(tmp_path / str(n), "gcml", label=str(n), shape=Shape(rounds=2, overlays=False, first=n))
        for n in (3, 20)
    ]
    text = Reader(built(runs, tmp_path / "out")).text
    assert "5 sites (coast, hill, lake, north and river) with 3 to 24 training cases each" in text


def test_a_failed_run_is_named_and_kept_out(tmp_path, unpainted):
    shape = Shape(rounds=3, overlays=False)
    good = write_run(tmp_path / "gcml", "gcml", shape=shape)
    bad = write_run(tmp_path / "fedavg", "fedavg", shape=shape, status="diverged")
    text = Reader(built([good, bad], tmp_path / "out")).text
    assert (
        "fedavg: diverged, left out of figures and comparisons: train at north gave a value that is not"
        in text
    )
    assert "gcml reaches a mean Dice" in text
    broken = tmp_path / "only"
    broken.mkdir()
    (broken / "manifest.json").write_text((bad / "manifest.json").read_text())
    text = Reader(built([broken], tmp_path / "out2")).text
    assert "Nothing was evaluated" in text


@pytest.mark.parametrize("name", TABLES)
def test_any_table_may_be_missing_and_is_named(tmp_path, name, unpainted):
    folder = write_run(tmp_path / "fedavg", "fedavg", shape=Shape(rounds=4, overlays=False))
    (folder / f"{name}.parquet").unlink()
    text = Reader(built([folder], tmp_path / "out")).text
    assert f"fedavg: {name}.parquet missing; what needs them is shown as –" in text


def test_hostile_names_are_escaped(tmp_path, unpainted):
    folder = write_study(
        tmp_path / "s", ("gcml",), shape=Shape(rounds=2, overlays=False, names=("<b>&", "b", "c"))
    )
    about = json.loads((folder / "study.json").read_text()) | {"description": "<script>alert(1)</script>"}
    (folder / "study.json").write_text(json.dumps(about))
    page = Reader(built([folder], folder))
    assert "<script>alert(1)</script>" in page.text
    assert "script" not in page.tags
    assert "<b>&" in page.text


@pytest.mark.slow
def test_forty_sites_and_twenty_runs(tmp_path):
    shape = Shape(num_sites=40, rounds=30, structures=("WT", "TC", "ET"), join_s=300.0)
    write_study(tmp_path / "sites", ("gcml", "local"), shape=shape)
    built([tmp_path / "sites"], tmp_path / "sites")
    for number in range(20):
        write_run(tmp_path / f"v{number}", "gcml", label=f"gcml-v{number}x", shape=Shape(rounds=4))
    source = built([tmp_path / f"v{number}" for number in range(20)], tmp_path / "many")
    assert "Timelines are drawn for 8 of 20 runs" in source
    assert len(source) < 12e6


def test_importing_the_report_is_cheap():
    code = (
        "import sys, simulator.report.timeline; sys.exit(bool({'matplotlib', 'torch'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
