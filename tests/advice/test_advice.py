"""Advice on tiny scenarios whose answers follow by hand."""

import json
from types import SimpleNamespace

import pytest

from simulator.advice.advice import Option, advice
from simulator.advice.choices import candidates, described
from simulator.advice.measure import judge, risk, spread
from simulator.advice.page import as_json, write
from simulator.advice.samples import Lineage, sample_of
from simulator.advice.trials import Outage, Trial, drawn, with_settings
from simulator.advice.words import sentences, tables
from simulator.errors import ScenarioError
from simulator.plans import Planner
from simulator.progress import PlainProgress
from simulator.scenario.advise import Advise
from tests.support import study

# a round: 3 s down, as the server's line is shared, 10 to 40 s of training, 1 to 2 s up; b is the slowest
FEDAVG = "algorithm: {name: fedavg, rounds: 4, round_deadline: 10 min, server_patience: 1 h}\n"
CERTAIN = (
    "advise: {bandwidth: null, latency: null, speed: null, outages: null, crashes: null, server_crashes: null"
)
ROUND_S = 3 + 40 + 1


class Silent(PlainProgress):
    def line(self, text):
        pass


def sample(point, advise, trial):
    lineage = Lineage()
    scenario = drawn(with_settings(point.scenario, trial.settings), advise, trial)
    return sample_of(Planner().run("x", scenario, lineage), lineage)


def test_a_late_answer_is_training_for_nothing(tmp_path):
    """c is cut off while it sends in round 2; the server waits a minute only, and c trains in vain."""
    text = FEDAVG.replace("10 min", "1 min") + "faults:\n  - {at: 78 s, for: 5 min, disconnect: c}\n"
    found = study(tmp_path, text)
    best = sample(found.points[0], found.advise, Trial(number=None))
    assert best.seconds == pytest.approx(4 * ROUND_S + 3, abs=0.01)
    assert best.wasted_s == 0
    assert best.compute_s == pytest.approx(4 * (10 + 40 + 30))
    lineage = Lineage()
    run = Planner().run("x", found.points[0].scenario, lineage)
    here = sample_of(run, lineage)
    verdict = judge(here, best, found.advise)
    assert not verdict.aborted
    assert verdict.incomplete == ()
    assert verdict.unused["a"] == verdict.unused["b"] == 0
    assert verdict.unused["c"] >= 0.25
    assert verdict.fails
    assert here.wasted_s == pytest.approx(30)


def test_a_server_that_stays_dead_aborts(tmp_path):
    found = study(tmp_path, FEDAVG + "faults:\n  - {at: 60 s, crash: server}\n")
    point = found.points[0]
    best = sample(point, found.advise, Trial(number=None))
    lineage = Lineage()
    dead = sample_of(Planner().run("x", point.scenario, lineage), lineage)
    assert judge(dead, best, found.advise).aborted
    late = Advise.model_validate({"within": f"{best.seconds - 1} s"})
    assert judge(best, best, late).late
    assert judge(best, best, late).fails


def test_draws_are_named_by_their_number_and_their_owner(tmp_path):
    found = study(tmp_path, FEDAVG)
    scenario, advise = found.points[0].scenario, found.advise
    one, again = (drawn(scenario, advise, Trial(number=3)) for _ in range(2))
    assert one == again != drawn(scenario, advise, Trial(number=4))
    fewer = scenario.model_copy(update={"sites": scenario.sites[:2]})
    assert drawn(fewer, advise, Trial(number=3)).sites == one.sites[:2]
    changed = with_settings(scenario, (("algorithm.round_deadline", '"120 s"'),))
    assert changed.algorithm.round_deadline == 120
    assert drawn(changed, advise, Trial(number=3)).sites == one.sites
    assert len(one.faults) == 3
    capped = drawn(scenario, advise, Trial(number=3, most_bytes_per_s=1000.0))
    assert {site.link.up for site in capped.sites} == {1000.0}
    cut = drawn(scenario, advise, Trial(number=3, outage=Outage(node="b", seconds=5.0, within_s=10.0)))
    assert cut.faults[-1].disconnect == "b"
    assert cut.faults[-1].for_ == "5.0 s"


@pytest.mark.parametrize("key", ["algorithm.deadline", "sites.z.link.up", "algorithm.name.x"])
def test_a_setting_that_the_scenario_lacks_is_refused(tmp_path, key):
    with pytest.raises(ValueError, match=key):
        with_settings(study(tmp_path, FEDAVG).points[0].scenario, ((key, "1"),))


def test_limits_follow_by_hand(tmp_path):
    """Nothing is uncertain. A round must be over within two minutes: with every line at rate r it takes
    40 s and 2 MB / r at b, so that 1 MB needs at most 40 s, 25 kB/s.
    """
    text = (
        FEDAVG.replace("10 min", "2 min")
        + CERTAIN
        + ", choices: {algorithm.round_deadline: [1 min, 10 min]}}\n"
    )
    found = study(tmp_path, text)
    told = advice("x", found.points[0].scenario, found.advise, plans=100, jobs=1, progress=Silent())
    by_what = {one.what: one for one in told.limits}
    assert by_what["bandwidth"].works > 25e3 > by_what["bandwidth"].fails
    assert by_what["bandwidth"].works < 1.2 * by_what["bandwidth"].fails
    assert told.outlook.aborts.count == 0
    assert told.outlook.fails.count == 0
    assert told.best is None
    assert "No setting to change" in sentences(told)[-1]


def test_the_setting_to_change_is_the_one_that_helps(tmp_path):
    """Lines fail for seconds every minute or so, and a broken transfer is not made again."""
    certain = CERTAIN.replace("outages: null", "outages: {every: exp(1 min), for: exp(8 s)}")
    choices = "network.transport.retries: [8], algorithm.round_deadline: [8 min]"
    found = study(
        tmp_path,
        FEDAVG + f"{certain}, choices: {{{choices}}}}}\n",
        "network.transport={preset: ideal, stall_timeout: 2 s, retries: 0}",
    )
    told = advice("x", found.points[0].scenario, found.advise, plans=100, jobs=1, progress=Silent())
    assert told.best.setting == "network.transport.retries=8"
    best = told.best
    assert best.unchanged.fails.count - best.outlook.fails.count == best.better - best.worse > 0
    assert "Setting to change: network.transport.retries=8" in sentences(told)[-1]


def test_one_and_two_processes_say_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("simulator.advice.advice.FEWEST_PLANS", 40)
    crashes = "crashes: {every: exp(2 min), for: exp(3 min)}, choices: {algorithm.grace: [20 s]}"
    found = study(tmp_path, FEDAVG.replace("10 min", "1 min") + f"advise: {{{crashes}}}\n")
    scenario = found.points[0].scenario
    one, two = (
        advice("x", scenario, found.advise, plans=40, jobs=jobs, progress=Silent()) for jobs in (1, 2)
    )
    assert one == two
    assert one.outlook.fails.count > 0
    assert one.outlook.wasted_gpu_hours.high > 0
    assert json.loads(json.dumps(as_json(one)))["num_plans"] == one.num_plans
    page = write(found, [one], tmp_path)
    assert "Setting" in page.read_text()
    assert (page.parent / "fedavg" / "what-to-expect.csv").is_file()


def test_where_most_plans_fail_anyway_no_limit_is_told(tmp_path, monkeypatch):
    """c dies for good in round 2: every plan fails, so no outage on top could make another one fail."""
    monkeypatch.setattr("simulator.advice.advice.FEWEST_PLANS", 40)
    text = (
        FEDAVG + "faults:\n  - {at: 60 s, crash: c}\n" + CERTAIN + ", choices: {algorithm.grace: [20 s]}}\n"
    )
    found = study(tmp_path, text)
    told = advice("x", found.points[0].scenario, found.advise, plans=40, jobs=1, progress=Silent())
    assert told.limits == ()
    said = " ".join(sentences(told))
    assert "cannot be told: more than half of the plans fail" in said
    assert "still work" not in said


def test_a_site_that_is_always_too_late_is_named(tmp_path, monkeypatch):
    """b needs 20 s longer than the others, and the server waits for 5 s."""
    monkeypatch.setattr("simulator.advice.advice.FEWEST_PLANS", 40)
    late = FEDAVG.replace("rounds: 4", "rounds: 4, quorum: n-1, grace: 5 s")
    found = study(tmp_path, late + CERTAIN + ", choices: {algorithm.grace: [10 s]}}\n")
    told = advice("x", found.points[0].scenario, found.advise, plans=40, jobs=1, progress=Silent())
    assert "Even when nothing goes wrong, nobody uses the training of b." in sentences(told)
    assert "All sites' training is used." not in sentences(told)


def test_every_usual_setting_is_one_that_the_method_knows(tmp_path):
    """Settings that are refused would be left out without a word."""
    for text, tried in (
        ("", {"quorum=50 %", "quorum=n-1", "quorum=n"}),
        ("", {f"grace={span}, algorithm.quorum=n-1" for span in ("60 s", "300 s", "1800 s")}),
        (", quorum: 2, grace: 30 s", {"grace=60 s", "grace=300 s", "quorum=1", "quorum=n"}),
    ):
        found = study(tmp_path, FEDAVG.replace("rounds: 4", f"rounds: 4{text}"))
        told = {described(one) for one in candidates(found.points[0].scenario, Advise())}
        assert {f"algorithm.{one}" for one in tried} <= told
        assert ("algorithm.grace=60 s" in told) == bool(text), "alone it would begin after one answer"


def test_too_few_plans_and_impossible_choices_are_refused(tmp_path):
    found = study(tmp_path, FEDAVG + "advise: {choices: {algorithm.round_deadline: [2 h]}}\n")
    scenario = found.points[0].scenario
    with pytest.raises(ScenarioError, match="--plans 10: too few"):
        advice("x", scenario, found.advise, plans=10, jobs=1, progress=Silent())
    with pytest.raises(
        ScenarioError, match=r"advise\.choices\.algorithm\.round_deadline: 2 h: .*server_patience"
    ):
        advice("x", scenario, found.advise, plans=100, jobs=1, progress=Silent())


def test_the_sign_test_is_exact():
    """5 against 0: 2 / 2⁵; 3 against 1: 2 (4 + 1) / 2⁴; nothing differs: 1."""
    chances = [Option.chance.fget(SimpleNamespace(better=b, worse=w)) for b, w in ((5, 0), (3, 1), (0, 0))]
    assert chances == [0.0625, 0.625, 1.0]


def test_wilson_and_ranges():
    """0 of 10: from 0 to z²/(10 + z²) = 0.2775; 5 of 10 is symmetric; Newcombe, Stat. Med. 17 (1998)."""
    none, half = risk(0, 10), risk(5, 10)
    assert (none.low, none.high) == (0.0, pytest.approx(0.27753, abs=1e-5))
    assert half.low == pytest.approx(1 - half.high) == pytest.approx(0.23659, abs=1e-5)
    found = spread([3.0, 1.0, 2.0])
    assert (found.median, found.low, found.high) == (2.0, pytest.approx(1.1), pytest.approx(2.9))
    assert spread([]) is None


def test_the_part_to_upgrade_is_the_slowest_hospitals_machine(tmp_path):
    """A round is 3 s down, 40 s of training at b, 1 s up. b twice as fast leaves c with 30 s and 2 s, and the
    server's line twice as fast saves 1 s or so a round, since each site's line brings a model in 1 s.
    """
    found = study(tmp_path, FEDAVG + CERTAIN + ", choices: {algorithm.grace: [20 s]}}\n")
    told = advice("x", found.points[0].scenario, found.advise, plans=100, jobs=1, progress=Silent())
    best, second = told.upgrades[:2]
    assert (best.part.node, best.part.what) == ("b", "machine")
    assert best.seconds == pytest.approx(4 * (3 + 30 + 2) + 3, abs=0.01)
    assert (second.part.node, second.part.what) == ("server", "line")
    assert {(one.part.node, one.part.what) for one in told.upgrades[2:]} <= {("b", "line")}
    assert "The machine of b is worth most: twice as fast, and when nothing goes wrong" in sentences(told)[-2]
    (table,) = (one for one in tables(told) if one.title == "Twice as fast")
    assert table.rows[0][0] == "machine of b"
    assert table.rows[0][2].endswith("20\N{NO-BREAK SPACE}%")
