"""Plans: scenarios run in virtual time alone, one or many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator import results, study_folder
from simulator.crew import Crew
from simulator.outcome import Outcome
from simulator.scenario import Study
from simulator.scenario.dump import pack, unpack
from simulator.scenario.schema import ScenarioBase
from simulator.simulation import Bases, Simulated, simulate
from simulator.work.executors import Executor, PlanExecutor


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """A run's time and traffic, without training."""

    label: str
    virtual_time_s: float
    transmissions: int
    carried_nbytes: int
    wasted_nbytes: int
    busiest_link: str
    busiest_nbytes: int
    end_reason: str
    warnings: tuple[str, ...]
    apart_nbytes: Mapping[str, int]  # of what was delivered, what a method counts apart


class Planner:
    """Plans scenarios one after another; what they have in common is looked up once."""

    def __init__(self) -> None:
        self._bases = Bases()

    def run(self, label: str, scenario: ScenarioBase, executor: Executor) -> Simulated:
        """Simulate a scenario without computing a value."""
        return simulate(label, scenario, executor, "plan", self._bases.of(scenario))


def plan(study: Study, jobs: int = 1) -> list[PlanRow]:
    """Simulate every point without computing a value, in so many processes."""
    packed = [(point.label, pack(point.scenario)) for point in study.points]
    with Crew(jobs) as crew:
        return crew.map(_rows, packed)


def plan_with_report(study: Study, out: Path) -> tuple[list[PlanRow], Path]:
    """Plan every point, write a study's folder of them and a report for people; return its page."""
    from simulator import report

    planner, executor, rows, outcomes = Planner(), PlanExecutor(), [], []
    for point in study.points:
        run = planner.run(point.label, point.scenario, executor)
        rows.append(plan_row(run))
        outcomes.append(Outcome(point=point, run=run, plan=True))
    folder = out / f"plan-{study_folder.name_of(study)}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with study_folder.replacing(folder) as partial:
        for outcome in outcomes:
            results.write_run(partial / outcome.point.label, outcome, executor, {})
        lines = results.conclude([partial / outcome.point.label for outcome in outcomes])
        results.write_study(partial, study, lines)
        report.build([partial], partial)
    return rows, folder / "report.html"


def _rows(points: Sequence[tuple[str, str]]) -> list[PlanRow]:
    planner = Planner()
    return [plan_row(planner.run(label, unpack(text), PlanExecutor())) for label, text in points]


def plan_row(run: Simulated) -> PlanRow:
    """Time and traffic of a simulated run."""
    traffic = results.traffic(run.ledger)
    return PlanRow(
        label=run.label,
        virtual_time_s=run.virtual_time_s,
        end_reason=run.end_reason,
        warnings=run.warnings,
        apart_nbytes=run.world.payloads.account()["apart_nbytes"],
        **traffic,
    )
