"""Many plans: the same numbers as one at a time, in any number of processes."""

from dataclasses import asdict

from simulator.crew import FEW
from simulator.plans import plan, plan_row
from simulator.scenario import load_study
from simulator.simulation import simulate
from simulator.work.executors import PlanExecutor

SWEEP = "sweep: {algorithm.name: [gcml, fedavg], seed.network: 2 seeds}\n"


def test_many_plans_are_those_of_single_runs(tmp_path):
    path = tmp_path / "many.yaml"
    bundled = load_study("gcml-brats8").source.read_text(encoding="utf-8")
    path.write_text(bundled.partition("sweep:")[0] + SWEEP, encoding="utf-8")
    study = load_study(str(path), ["algorithm.epochs=4"])
    alone = [plan_row(simulate(one.label, one.scenario, PlanExecutor(), "plan")) for one in study.points]
    assert [asdict(row) for row in plan(study)] == [asdict(row) for row in alone]


def test_two_processes_plan_the_same(tmp_path):
    path = tmp_path / "many.yaml"
    bundled = load_study("gcml-brats8").source.read_text(encoding="utf-8")
    path.write_text(bundled.partition("sweep:")[0] + "sweep: {seed.network: 20 seeds}\n", encoding="utf-8")
    study = load_study(str(path), ["algorithm={name: gcml, rounds: 3}"])
    assert len(study.points) > FEW
    assert plan(study, jobs=2) == plan(study, jobs=1)
