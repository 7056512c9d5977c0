import json
import os
import resource
import subprocess
import sys
import types
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from simulator import cli
from simulator.commands.executing import num_cores
from simulator.commands.tables import MISSING, cell, print_table
from simulator.errors import Diverged, ExitCode, ScenarioError, SetupError, TaskFailed
from simulator.record import manifest
from simulator.scenario import load_study, schema
from simulator.scenario.devices import DEVICES
from simulator.scenario.files import bundled
from simulator.scenario.run_ids import run_id
from tests.scenario import toy
from tests.scenario.conftest import BASE


@dataclass
class Result:
    folder: Path = Path("runs/tiny-1234")
    report: Path | None = Path("runs/tiny-1234/report.html")
    exit_code: ExitCode = ExitCode.OK
    damaged: tuple = ()
    tasks: object = None
    lines: tuple = ({"label": "gossip", "status": "ok", "virtual_time_s": 7200.0, "dice_mean": 0.8125},)


@dataclass
class Row:
    label: str = "gossip"
    virtual_time_s: float = 90.0
    transmissions: int = 12
    carried_nbytes: int = 264_096_123
    wasted_nbytes: int = 0
    busiest_link: str = "north.up"
    busiest_nbytes: int = 1_000_000
    end_reason: str = "all protocols ended"
    warnings: tuple = ("a fault never fired",)
    apart_nbytes: dict = field(default_factory=lambda: {"selector": 1_000_000})


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """Toy registries, a scenario ``x.yaml`` here, and a ``simulator.run`` that records its calls."""
    toy.register(monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text(BASE)
    module = types.SimpleNamespace(calls=[], result=Result(), error=None)

    def execute(study, **options):
        module.calls.append((study, options))
        if module.error is not None:
            raise module.error
        for line in module.result.lines:
            path = module.result.folder / line["label"] / "manifest.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_text('{"fingerprints": {}, "warnings": [], "error": null}')
        return module.result

    module.execute = execute
    module.plan = lambda study, jobs: (module.calls.append((study, {})), [Row()])[1]
    for name in ("simulator.run", "simulator.plans"):
        monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr(name, module, raising=False)
    yield module
    schema.scenario_model.cache_clear()


@pytest.fixture
def call(capsys):
    """Run a command in this process; its exit code and what it printed."""

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.app(list(arguments))
        printed = capsys.readouterr()
        return end.value.code or 0, printed.out, printed.err

    return run


def test_run_hands_everything_over_and_prints_what_came_of_it(fake, call):
    code, out, err = call(
        "run", "x.yaml", "--set", "algorithm.rounds=3", "--set", "seed.network=2",
        "--out", "here", "--jobs", "2", "--device", "cpu", "--store", "kept",
    )  # fmt: skip
    assert (code, err) == (0, "")
    ((study, options),) = fake.calls
    scenario = study.points[0].scenario
    assert (scenario.algorithm.rounds, scenario.seed.network) == (3, 2)
    progress = options.pop("progress")
    assert callable(progress.advance)
    assert options.pop("stopping")() is False
    assert options == {
        "out": Path("here"),
        "jobs": 2,
        "device": "cpu",
        "store": Path("kept"),
        "cluster": None,
    }
    assert out.splitlines() == [
        "run     status  virtual time  traffic  busiest link  Dice mean  worst site  which",
        "gossip  ok      2 h           –        –             0.812      –           –",
        "results: runs/tiny-1234",
        "report: runs/tiny-1234/report.html",
    ]


def test_defaults_of_run(fake, call):
    assert call("run", "x.yaml")[0] == 0
    options = fake.calls[0][1]
    assert (options["out"], options["device"], options["store"]) == (Path("runs"), "auto", None)
    assert options["jobs"] == num_cores() >= 1


@pytest.mark.parametrize("code", [ExitCode.SOME_RUNS_FAILED, ExitCode.DIVERGED])
def test_failed_points_decide_the_exit_code(fake, call, code):
    fake.result = Result(exit_code=code, report=None)
    ended, out, _ = call("run", "x.yaml")
    assert ended == code
    assert "report:" not in out


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ScenarioError("sites.0.data: empty"), 2, "x.yaml:11:11: sites.0.data: empty\n"),
        (ScenarioError("no place"), 2, "no place\n"),
        (SetupError("no CUDA"), 5, "no CUDA\n"),
        (Diverged("train", "north", "{}"), 4, "train at north gave a value that is not finite; recipe: {}\n"),
        (PermissionError(13, "Permission denied", "runs"), 5, "[Errno 13] Permission denied: 'runs'\n"),
        (
            KeyboardInterrupt(),
            130,
            "interrupted; finished work is kept, the same command goes on from there\n",
        ),
    ],
)
def test_errors_end_with_one_message_on_standard_error(fake, call, error, code, message):
    fake.error = error
    assert call("run", "x.yaml") == (code, "", message)


def test_verbose_shows_the_traceback(fake, call):
    fake.error = SetupError("no CUDA")
    code, _, err = call("run", "x.yaml", "--verbose")
    assert code == 5
    assert err.startswith("Traceback")
    assert err.endswith("no CUDA\n")


def test_a_bug_is_not_hidden(fake, call):
    fake.error = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        cli.app(["run", "x.yaml"])


def test_bad_input_stops_before_anything_runs(fake, call, tmp_path):
    code, out, err = call("run", "x.yaml", "--set", "algorithm.round=3")
    assert (code, out) == (2, "")
    assert err == "--set algorithm.round=3: algorithm.round: unknown key; did you mean rounds?\n"
    assert fake.calls == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.yaml"], "no half-written run folder"


def test_wrong_usage_is_bad_input(fake, call):
    for arguments in (["run"], ["rum", "x.yaml"], ["run", "x.yaml", "--device", "tpu"], ["list", "things"]):
        code, out, err = call(*arguments)
        assert (code, out) == (2, "")
        assert err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "algoritms"], 'no "algoritms"; did you mean algorithms?'),
        (["run", "x.yaml", "--device", "gpu"], 'no "gpu"; known are auto, cpu, cuda'),
        (["export", "runs", "--to", "tensorbord", "--out", "o"], "did you mean tensorboard?"),
        (["network", "check", "x.json", "--tier", "windw"], "did you mean window?"),
        (["network", "check", "x.json", "--kind", "outages"], "did you mean outage?"),
        (["plan", ""], "the name of the scenario is empty"),
    ],
)
def test_a_wrong_word_is_told_with_the_right_one(fake, call, arguments, message):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_plan_prints_a_table_or_json(fake, call):
    code, out, err = call("plan", "x.yaml")
    assert code == 0
    assert out.splitlines()[1] == (
        "gossip  1.5 min       12           264.1 MB  1 MB          north.up  0 B     all protocols ended"
    )
    assert out.splitlines()[2] == "gossip: selector: 1 MB of 264.1 MB"
    assert err == "warning: gossip: a fault never fired\n"
    _, out, _ = call("plan", "x.yaml", "--json")
    (row,) = json.loads(out)
    assert row["carried_nbytes"] == 264_096_123


def test_validate_tells_all_files(fake, call, tmp_path):
    (tmp_path / "bad.yaml").write_text(BASE.replace("gossip", "gosip"))
    (tmp_path / "grid.yaml").write_text(BASE + "sweep: {algorithm.rounds: [1, 2]}\n")
    code, out, err = call("validate", "x.yaml", "bad.yaml", "grid.yaml")
    assert code == 2
    assert out == "x.yaml: valid, 1 run(s): gossip\ngrid.yaml: valid, 2 run(s): rounds1, rounds2\n"
    assert err == 'bad.yaml:16:19: algorithm.name: no algorithm "gosip"; did you mean gossip?\n'
    assert call("validate", "x.yaml")[0] == 0
    (tmp_path / "grid.yaml").write_text(BASE + f"sweep: {{algorithm.rounds: {list(range(1, 100))}}}\n")
    assert "rounds8, and 91 more" in call("validate", "grid.yaml")[1]


def test_sweep_wants_a_sweep(fake, call, tmp_path):
    assert call("sweep", "x.yaml") == (2, "", "x.yaml: sweep: missing; add a grid, or use medgossip run\n")
    (tmp_path / "grid.yaml").write_text(BASE + "sweep: {algorithm.rounds: [1, 2]}\n")
    assert call("sweep", "grid.yaml")[0] == 0
    assert len(fake.calls[0][0].points) == 2


def test_resume_reads_the_folder_and_writes_beside_it(fake, call, tmp_path):
    folder = tmp_path / "runs" / "gossip"
    folder.mkdir(parents=True)
    (folder / "scenario.yaml").write_text(BASE)
    assert call("resume", "runs/gossip")[0] == 0
    study, options = fake.calls[0]
    assert study.points[0].label == "gossip"
    assert options["out"] == Path("runs")
    code, _, err = call("resume", "nowhere")
    assert (code, err) == (
        2,
        "nowhere: no scenario.yaml in it; name a folder that medgossip run has written\n",
    )


def test_resume_of_one_run_resumes_its_study_in_place_under_its_command(fake, call, tmp_path, monkeypatch):
    study = tmp_path / "runs" / "tiny-1234"
    for label in ("one", "two"):
        (study / label).mkdir(parents=True)
        (study / label / "scenario.yaml").write_text(BASE)
    about = {"name": "tiny", "description": "", "points": ["one", "two"], "command": "medgossip run 'a b'"}
    (study / "study.json").write_text(json.dumps(about))
    said = []
    execute = fake.execute
    fake.execute = lambda *args, **options: (said.append(manifest.command()), execute(*args, **options))[1]
    for folder in ("runs/tiny-1234/two", "runs/tiny-1234"):
        assert call("resume", folder)[0] == 0
    for resumed, options in fake.calls:
        assert [point.label for point in resumed.points] == ["one", "two"]
        assert options["out"] == Path("runs")
    assert said == ["medgossip run 'a b'"] * 2
    monkeypatch.setattr(sys, "argv", ["/bin/medgossip", "run", "x", "--set", "a=4 Mbit/s"])
    assert manifest.command() == "medgossip run x --set 'a=4 Mbit/s'"


def test_what_is_only_declared_is_not_trained(fake, call, monkeypatch, tmp_path):
    for key in ("datasets", "networks"):
        entries = toy.REGISTRIES[key]
        name, blank = ("counts", {"load": None}) if key == "datasets" else ("net", {"build": None})
        with monkeypatch.context() as patch:
            patch.setitem(entries, name, replace(entries[name], **blank))
            code, _, err = call("run", "x.yaml", "--out", "here")
        place = "3:19: task.dataset" if key == "datasets" else "4:19: task.network"
        assert code == 2
        assert err == f'x.yaml:{place}.name: "{name}" can only be planned with; use medgossip plan\n'
    assert fake.calls == []
    assert not (tmp_path / "here").exists()


def test_results_need_a_folder_that_takes_them(fake, call, tmp_path):
    (tmp_path / "file").write_text("")
    for out in ("file", "file/deeper"):
        code, _, err = call("run", "x.yaml", "--out", out)
        assert (code, err) == (
            5,
            f"cannot write to {out}: Not a directory; choose another with --out\n",
        )
    assert fake.calls == []


def test_troubled_runs_say_what_to_try(fake, call, tmp_path):
    lines = []
    for label, status, error in [
        ("a", "diverged", str(Diverged("train", "north", "{}"))),
        ("b", "failed", str(TaskFailed("train", "south", "no\nmemory"))),
    ]:
        (tmp_path / label).mkdir()
        (tmp_path / label / "manifest.json").write_text(
            json.dumps({"fingerprints": {}, "error": error, "warnings": [f"{label} warns"]})
        )
        lines.append({"label": label, "status": status})
    fake.result = Result(folder=tmp_path, lines=tuple(lines), exit_code=ExitCode.DIVERGED)
    code, _, err = call("run", "x.yaml")
    assert code == 4
    assert err.splitlines() == [
        "warning: a: a warns",
        "warning: b: b warns",
        "a: diverged: train at north gave a value that is not finite; "
        "lower task.optimizer.lr or set clip_norm",
        "b: failed: train at south failed: no memory; repeat the command once its cause is gone, "
        f"finished work is kept; more in {tmp_path / 'b' / 'manifest.json'}",
    ]


def test_validate_looks_at_the_sites(fake, call, monkeypatch):
    def check(settings, data, model, task):
        return "algorithm.merge: no" if data["north"].num_train == 4 and not data["north"].num_val else ""

    entries = toy.REGISTRIES["algorithms"]
    monkeypatch.setitem(entries, "gossip", replace(entries["gossip"], check=check))
    assert call("validate", "x.yaml") == (2, "", "x.yaml:16:1: algorithm.merge: no\n")


def test_validate_refuses_data_without_training_cases(fake, call, tmp_path):
    text = BASE.replace("name: counts", "name: files").replace("data: {cases: 4}", "data: {}")
    (tmp_path / "none.yaml").write_text(text)
    code, _, err = call("validate", "none.yaml")
    assert (code, err) == (2, "none.yaml:8:3: sites: no site has a training case\n")


def test_only_chooses_runs_of_a_sweep(fake, call, tmp_path):
    (tmp_path / "grid.yaml").write_text(BASE + "sweep: {algorithm.rounds: [1, 2, 3]}\n")
    for command in ("run", "sweep", "plan"):
        assert call(command, "grid.yaml", "--only", "rounds3", "--only", "rounds1")[0] == 0
        assert [point.label for point in fake.calls[-1][0].points] == ["rounds1", "rounds3"]
    code, _, err = call("plan", "grid.yaml", "--only", "rounds")
    assert (code, err) == (2, '--only rounds: no run "rounds"; did you mean rounds3?\n')
    ids = [run_id(place, one.scenario) for place, one in enumerate(load_study("grid.yaml").points, 1)]
    moved = f"0001-{ids[2].partition('-')[2]}"  # as a study of this run alone names it
    for name, label in ((ids[1], "rounds2"), ("0002", "rounds2"), (moved, "rounds3")):
        assert call("plan", "grid.yaml", "--only", name)[0] == 0
        assert [point.label for point in fake.calls[-1][0].points] == [label]
    code, _, err = call("plan", "grid.yaml", "--only", "000")
    told = f"--only 000: ids of {', '.join(ids)} begin so; write more of the one meant\n"
    assert (code, err) == (2, told)


def test_a_site_without_a_peer_is_told(fake, call, tmp_path):
    third = BASE[BASE.index("  - name: south") : BASE.index("algorithm:")].replace("south", "west")
    text = BASE.replace("algorithm:", third + "network: {overlay: [[north, south]]}\nalgorithm:")
    (tmp_path / "alone.yaml").write_text(text)
    where = "alone.yaml:20:11: network.overlay"
    told = f"warning: gossip: {where}: west has no peer and learns alone; pair it with another site\n"
    assert call("run", "alone.yaml")[2] == told
    assert told in call("plan", "alone.yaml")[2]
    assert call("run", "x.yaml")[2] == ""


def test_report_wants_folders(fake, call, monkeypatch, tmp_path):
    built = []
    module = types.SimpleNamespace(
        build=lambda runs, out: (built.append((runs, out)), out / "report.html")[1]
    )
    monkeypatch.setitem(sys.modules, "simulator.report", module)
    monkeypatch.setattr("simulator.report", module, raising=False)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert call("report", "a") == (0, "a/report.html\n", "")
    assert call("report", "a", "b")[1] == "report/report.html\n"
    assert call("report", "a", "b", "--out", "c")[1] == "c/report.html\n"
    assert built[1] == ([Path("a"), Path("b")], Path("report"))
    code, _, err = call("report", "none")
    assert (code, err) == (2, "none: no such folder; name one that medgossip run has written\n")
    assert call("report", "x.yaml")[0::2] == (
        2,
        "x.yaml: a file; name the folder that medgossip run has written\n",
    )


def test_lists(fake, call):
    for kind, names in [
        ("algorithms", ["gossip", "star"]),
        ("datasets", ["counts", "files"]),
        ("networks", ["net", "wide"]),
        ("scenarios", list(bundled())),
        ("devices", list(DEVICES)),
    ]:
        code, out, _ = call("list", kind)
        lines = out.splitlines()
        assert code == 0
        assert [line.split()[0] for line in lines[1:]] == names
    assert "30%" in out


def test_schema_is_json(fake, call):
    code, out, _ = call("schema")
    assert code == 0
    assert json.loads(out)["title"] == "medgossip scenario"


def test_cells_say_their_unit():
    assert cell("virtual_time_s", 5400.0) == "1.5 h"
    assert cell("carried_nbytes", 12_345_678) == "12.35 MB"
    assert cell("up_bytes_per_s", 2.5e6) == "20 Mbit/s"
    assert cell("flop_per_s", 3.5e12) == "3.5 TFLOP/s"
    assert cell("up_bytes_per_s", float("inf")) == "unlimited"
    assert cell("dice_mean", 0.98765) == "0.988"
    assert cell("transmissions", 1200) == "1,200"
    assert cell("dice_mean", None) == cell("which", "") == MISSING


def test_a_table_in_a_terminal_keeps_brackets(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    print_table([{"a": "[red]x[/red]"}], {"a": "head"})
    assert "[red]x[/red]" in capsys.readouterr().out


MAIN = "from simulator.cli import main; main()"
LIBRARIES = "import numpy, pydantic, ruamel.yaml, typer"


def started(*arguments, program=MAIN):
    """Run a command in a process of its own; what it printed, and its CPU seconds."""
    command = [sys.executable, "-c", program, *arguments]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["validate", "quickstart"], ["list", "devices"]]
)
def test_light_commands_are_quick(arguments):
    """At most seven times what Python and the libraries take to start, in CPU time, because machines
    differ and others may use this one too. Importing torch or MONAI would be far beyond.
    """
    assert any(started(*arguments)[1] < 7 * started(program=LIBRARIES)[1] for _ in range(4))


@pytest.mark.parametrize(
    "arguments", [["--help"], ["validate", "quickstart"], ["schema"], ["list", "algorithms"]]
)
def test_light_commands_import_nothing_heavy(arguments):
    heavy = ["torch", "monai", "polars", "matplotlib", "networkx", "scipy", "simpy"]
    code = (
        "import sys\nfrom simulator.cli import app\n"
        f"try:\n    app({arguments!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_a_reader_that_goes_away_is_no_error_of_ours():
    script = f"{sys.executable} -c 'from simulator.cli import main; main()' schema | head -1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, "Traceback" in done.stderr) == ("{\n", False)
    quiet = f"{sys.executable} -c 'from simulator.cli import main; main()' list devices | true"
    ended = subprocess.run(
        ["bash", "-c", f"{quiet}; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=True
    )
    assert (ended.stdout, ended.stderr) == ("0\n", "")


def test_version():
    assert started("--version")[0].startswith("medgossip ")
