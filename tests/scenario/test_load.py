from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.errors import ScenarioError
from simulator.scenario import digest, dump, load_study, reload_study
from simulator.scenario.files import bundled
from tests.scenario.conftest import BASE
from tests.scenario.toy import CountsSite

FULL = (
    BASE
    + """\
description: "all: of, it # é"
seed: {learning: 5, network: 7}
server: {speed: unlimited, link: {up: unlimited, down: 1 Gbit/s, latency: 0 s, jitter: 1 ms, loss: 0.01}}
network:
  backbone: {latency: 3 ms}
  overlay: [[north, south]]
  codec: {kind: int8, zstd: 3}
faults:
  - {at: 2 h, crash: server, for: "lognormal(10 min, 0.5)"}
  - {every: exp(6 h), for: exp(10 min), disconnect: [north, south]}
  - {from: 1 h, to: 90 min, leave: north}
stop: {virtual_time: 3 d}
evaluation: {every_rounds: 2, target_dice: 0.8}
"""
)


def only(study):
    (point,) = study.points
    return point.scenario


def test_units_defaults_and_site_data_are_typed(load):
    study = load(FULL)
    scenario = only(study)
    assert study.name == scenario.name == "tiny"
    assert study.description == "all: of, it # é"
    assert scenario.sites[0].link.up == 20e6 / 8
    assert scenario.sites[0].data == CountsSite(cases=4)
    assert scenario.server.link.up == float("inf")
    assert scenario.task.optimizer.name == "adam"
    assert scenario.faults[2].from_ == "1 h"
    assert study.points[0].label == "gossip"
    assert study.points[0].swept == {}


@pytest.mark.parametrize(
    "text",
    [
        FULL,
        BASE,
        BASE.replace("rounds: 2", "rounds: 2, share: null"),
        BASE.replace("name: counts", "name: files, root: some/where").replace("cases: 4", "source: 'null'"),
        BASE.replace("{lr: 0.1}", "{lr: 1.0e-5, weight_decay: 1.0e-30, clip_norm: 1}"),
    ],
)
def test_a_dump_loads_back_to_the_same_scenario(load, text):
    scenario = only(load(text))
    again = only(load(dump(scenario)))
    assert again == scenario
    assert digest(again) == digest(scenario)
    assert dump(again) == dump(scenario)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(
    text=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=200),
    lr=st.floats(min_value=1e-300, max_value=1e300),
    latency=st.floats(min_value=0, max_value=1e9),
)
def test_any_text_and_number_survives_a_dump(load, text, lr, latency):
    scenario = only(load(BASE))
    link = scenario.sites[0].link.model_copy(update={"latency": latency})
    site = scenario.sites[0].model_copy(update={"link": link})
    optimizer = scenario.task.optimizer.model_copy(update={"lr": lr})
    task = scenario.task.model_copy(update={"optimizer": optimizer})
    changed = scenario.model_copy(update={"description": text, "task": task, "sites": (site,)})
    assert only(load(dump(changed))) == changed


def test_a_digest_depends_on_every_value(load):
    values = [
        (), ("seed.network=2",), ("algorithm.rounds=3",), ("sites.south.data.cases=5",),
        ("sites.north.link.latency=9 ms",), ("network.codec.zstd=1",), ("stop.virtual_time=1 h",),
    ]  # fmt: skip
    digests = {digest(only(load(BASE, *options))) for options in values}
    assert len(digests) == len(values)
    assert digest(only(load(BASE))) == digest(only(load("# a remark\n" + BASE)))
    assert all(len(text) == 32 for text in digests)


def test_a_relative_root_starts_at_the_file_or_where_the_option_was_given(registered, tmp_path, monkeypatch):
    text = BASE.replace("name: counts", "name: files, root: data/x").replace("data: {cases: 4}", "data: {}")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    by_file = only(load_study("elsewhere/x.yaml"))
    assert by_file.task.dataset.root == tmp_path / "elsewhere" / "data" / "x"
    by_option = only(load_study("elsewhere/x.yaml", ["task.dataset.root=data/../y"]))
    assert by_option.task.dataset.root == tmp_path / "y"
    absolute = only(load_study("elsewhere/x.yaml", ["task.dataset.root=/data"]))
    assert absolute.task.dataset.root == Path("/data")


def test_includes_are_merged_and_the_including_file_wins(load, tmp_path):
    (tmp_path / "base.yaml").write_text(BASE + "sweep: {seed.network: 2 seeds}\nstop: {virtual_time: 1 h}\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "net.yaml").write_text("network: {codec: {kind: fp16, zstd: 1}}\n")
    study = load("""\
        name: other
        include: [base.yaml, parts/net.yaml]
        network: {codec: {zstd: 3}}
        algorithm: {rounds: 9}
        sweep: {seed.learning: [4, 5]}
        """)
    scenario = study.points[0].scenario
    assert scenario.name == "other"
    assert (scenario.network.codec.kind, scenario.network.codec.zstd) == ("fp16", 3)
    assert (scenario.algorithm.name, scenario.algorithm.rounds) == ("gossip", 9)
    assert scenario.stop.virtual_time == 3600.0
    assert [point.label for point in study.points] == ["learning4", "learning5"], "a sweep is not merged"


def test_an_error_in_an_included_file_names_that_file(load, tmp_path):
    (tmp_path / "base.yaml").write_text(BASE.replace("device: t4", "device: t5"))
    with pytest.raises(ScenarioError, match=r"^base.yaml:9:13: sites.0.device: no device"):
        load("include: base.yaml\n")


def test_a_link_out_of_the_folder_is_refused(load, tmp_path):
    inside = tmp_path / "link.yaml"
    inside.symlink_to("/etc/hostname")
    with pytest.raises(ScenarioError, match="is not inside the scenario's folder"):
        load("include: [link.yaml]\n" + BASE)


def test_includes_in_a_circle_are_refused(load, tmp_path):
    (tmp_path / "y.yaml").write_text("include: [x.yaml]\n")
    with pytest.raises(ScenarioError, match=r"^y.yaml:1:11: include.0: x.yaml includes itself; remove it$"):
        load("include: [y.yaml]\n" + BASE)


def test_names_that_are_no_files(registered, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(BASE)
    known = "; known are " + ", ".join(bundled())
    for name, message in [
        ("quikstart", 'no scenario "quikstart"; did you mean quickstart?'),
        ("zzzz", f'no scenario "zzzz"{known}'),
        ("mime.yaml", "mime.yaml: no such file; did you mean mine.yaml?"),
        (
            "scenarios/quickstart.yaml",
            "scenarios/quickstart.yaml: no such file; quickstart is a bundled name",
        ),
        (".", ".: a folder; name a scenario file in it"),
    ]:
        with pytest.raises(ScenarioError) as caught:
            load_study(name)
        assert str(caught.value) == message


@pytest.mark.parametrize("name", list(bundled()))
def test_every_bundled_scenario_is_valid_and_survives_a_dump(name, tmp_path):
    study = load_study(name)
    assert study.source == bundled()[name]
    for point in study.points[:: 1 + len(study.points) // 40]:  # a large study repeats itself
        path = tmp_path / f"{point.label}.yaml"
        path.write_text(dump(point.scenario), encoding="utf-8")
        again = load_study(str(path)).points[0].scenario
        assert again == point.scenario
        assert digest(again) == digest(point.scenario)


def test_a_study_is_read_back_from_its_folder(load, tmp_path):
    study = load(BASE + "description: two\nsweep: {algorithm.rounds: [1, 2]}\n")
    folder = tmp_path / "tiny-1234"
    for point in study.points:
        (folder / point.label).mkdir(parents=True)
        (folder / point.label / "scenario.yaml").write_text(dump(point.scenario))
    (folder / "study.json").write_text(
        '{"name": "tiny", "description": "two", "points": ["rounds1", "rounds2"]}'
    )
    again = reload_study(folder)
    assert (again.name, again.description) == (study.name, study.description)
    assert [(p.label, p.scenario) for p in again.points] == [(p.label, p.scenario) for p in study.points]
    assert [point.label for point in reload_study(folder / "rounds2").points] == ["rounds2"]


@pytest.mark.parametrize("content", ["{", "[]", '{"points": 3}', '{"points": []}'])
def test_a_damaged_study_is_refused(registered, tmp_path, content):
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(ScenarioError, match=r"study.json: damaged .*; run the scenario itself again"):
        reload_study(tmp_path)


def test_a_folder_without_a_run_is_refused(registered, tmp_path):
    with pytest.raises(ScenarioError, match=r"no scenario.yaml in it; name a folder that medgossip run"):
        reload_study(tmp_path)
