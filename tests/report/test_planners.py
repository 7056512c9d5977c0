"""What a planner reads of a plan whose times follow by hand."""

import pytest

from simulator.plans import plan_row, plan_with_report
from simulator.record.measures_run import load_run
from simulator.report.mishaps import spans
from simulator.report.planners import side_by_side, stories
from simulator.report.text import hours
from simulator.scenario.load import reload_study
from tests.support import SITES, run, study

# a round is 3 s down (the server's line is shared), 40 s of training and 1 s up at b, the slowest
FEDAVG = "algorithm: {name: fedavg, rounds: 4, round_deadline: 2 min, server_patience: 1 h}\n"
# c is cut off in round 2 as it sends; its update is lost, and the server waits out its two minutes
CUT = "faults:\n  - {at: 78 s, for: 80 s, disconnect: c}\n"


def told(tmp_path, text):
    rows, page = plan_with_report(study(tmp_path, text), tmp_path / "runs")
    (story,) = stories({"fedavg": [load_run(page.parent / "fedavg")]})
    return rows, page, story


def test_what_happened_who_waited_and_what_it_cost(tmp_path):
    _, page, story = told(tmp_path, FEDAVG + CUT)
    text = " ".join(story.sentences).replace("\N{NO-BREAK SPACE}", " ")
    assert "4 rounds of the server, in the middle" in text
    assert "Longer than that: round 2" in text
    assert "After 78 s c was cut off for 80 s: 1 model not delivered." in text
    assert "medgossip advise tiny" in text
    assert 'id="planners"' in page.read_text(encoding="utf-8")
    assert "Plan: time and traffic only" in page.read_text(encoding="utf-8")


def test_the_slowest_hospital_never_waits_and_is_the_last_to_answer(tmp_path):
    _, _, story = told(tmp_path, FEDAVG)
    text = " ".join(story.sentences).replace("\N{NO-BREAK SPACE}", " ")
    assert "The last to answer in time was b in 4 of 4 rounds; whoever was last came 9 s after" in text
    rows = {row[0]: row[1:] for row in story.table.rows}
    assert list(rows) == ["a", "b", "c"]
    assert rows["b"][2] == "0\N{NO-BREAK SPACE}s"
    # a computes 10 s of 44 s a round and moves models for 3 + 1 s
    assert [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in rows["a"]] == [
        "40.0 s",
        "19.0 s",
        "120.0 s",
        "67 %",
    ]


def test_a_server_that_dies_leaves_rounds_undone_and_hospitals_alike_share_a_row(tmp_path):
    dead = FEDAVG + "faults:\n  - {at: 100 s, crash: server}\n"
    page = told(tmp_path, dead)[1]
    run_ = load_run(page.parent / "fedavg")
    (story,) = stories({"fedavg": [run_]})
    text = " ".join(story.sentences).replace("\N{NO-BREAK SPACE}", " ")
    assert "2 of 4 rounds of the server" in text
    assert "After 100 s the server died, and did not come back" in text
    assert side_by_side({"fedavg": [run_]}) is None
    table = side_by_side({"one": [run_], "two": [run_]})
    assert [row[0] for row in table.rows] == ["one", "two"]
    _, other = plan_with_report(study(tmp_path, FEDAVG), tmp_path / "whole")
    local = "algorithm: {name: local, rounds: 1}\n"
    _, alone = plan_with_report(study(tmp_path, local), tmp_path / "alone")
    pages = {"dead": page, "fedavg": other, "local": alone}
    folders = {"dead": "fedavg", "fedavg": "fedavg", "local": "local"}
    told_ = stories({name: [load_run(one.parent / folders[name])] for name, one in pages.items()})
    assert "fedavg is quicker" in told_[0].sentences[-1]
    assert "quicker" not in told_[1].sentences[-1], "what exchanges nothing is no rival"
    assert table.rows[0][2:4] == ("2 of 4", "100\N{NO-BREAK SPACE}%")


@pytest.mark.parametrize(
    ("asked", "done"), [("rounds: 8", "2 of 8"), ("epochs: 16, local_epochs: 2", "1 of 8")]
)
def test_what_stopped_early_is_not_called_quicker(tmp_path, asked, done):
    slow = "algorithm: {name: gcml, epochs: 8}\n"
    dead = f"algorithm: {{name: fedavg, {asked}, round_deadline: 2 min, server_patience: 3 min}}\n"
    dead += "faults:\n  - {at: 100 s, crash: server}\n"
    runs = {
        name: [load_run(plan_with_report(study(tmp_path, text), tmp_path / name)[1].parent / name)]
        for name, text in {"gcml": slow, "fedavg": dead}.items()
    }
    assert runs["fedavg"][0].virtual_time_s < runs["gcml"][0].virtual_time_s
    assert "quicker" not in stories(runs)[0].sentences[-1]
    assert side_by_side(runs).rows[1][2] == done


def test_hospitals_of_which_the_same_is_true_share_a_row(tmp_path):
    local, alike = "algorithm: {name: local, rounds: 2}\n", ["sites.c.data.train=10"]
    _, page = plan_with_report(study(tmp_path, local, *alike), tmp_path / "runs")
    (story,) = stories({"local": [load_run(page.parent / "local")]})
    assert [row[0] for row in story.table.rows] == ["a and c", "b"]
    assert story.table.rows[0][1] == "20.0\N{NO-BREAK SPACE}s"
    alike += ["sites.b.data.train=10", "sites.b.seconds_per_item=1 s"]
    _, page = plan_with_report(study(tmp_path, local, *alike), tmp_path / "again")
    (story,) = stories({"local": [load_run(page.parent / "local")]})
    assert [row[0] for row in story.table.rows] == ["each of all 3"]


def test_a_plan_with_a_report_has_the_numbers_of_one_without(tmp_path):
    rows, page, _ = told(tmp_path, FEDAVG + CUT)
    assert rows == [plan_row(run(tmp_path, FEDAVG + CUT))]
    assert reload_study(page.parent).points[0].scenario == study(tmp_path, FEDAVG + CUT).points[0].scenario


def test_every_harmful_fault_is_told_in_words(tmp_path):
    faults = (
        "faults:\n  - {at: 5 s, for: 3 s, crash: c}\n  - {from: 10 s, to: 60 s, straggle: a, factor: 3}\n"
        "  - {from: 1 s, to: 70 s, corrupt: {site: b, probability: 1}}\n"
        "  - {at: 75 s, for: 9 s, partition: [[a], [b]]}\n"
        "  - {at: 90 s, set: {link: a.up, bandwidth: 1 MB/s}}\n"
    )
    _, _, story = told(tmp_path, FEDAVG + faults)
    text = " ".join(story.sentences).replace("\N{NO-BREAK SPACE}", " ")
    assert "After 5 s c died for 3 s" in text
    assert "After 10 s a computed slowly for 50 s" in text
    assert "After 1 s messages over b were damaged for 69 s" in text
    assert "After 75 s the network fell apart into a; b for 9 s" in text
    assert "After 90 s the line a.up was set to other values, to the end" in text


def test_what_strikes_several_alike_is_told_once(tmp_path):
    faults = "faults:\n  - {at: 5 s, for: 3 s, crash: [a, b]}\n  - {at: 5 s, for: 4 s, crash: c}\n"
    _, _, story = told(tmp_path, FEDAVG + faults)
    text = " ".join(story.sentences).replace("\N{NO-BREAK SPACE}", " ")
    assert "After 5 s a and b died for 3 s: 4 s of their work lost. After 5 s c died for 4 s" in text
    more = "".join(
        f"  - {{name: d{i}, seconds_per_item: 1 s, data: {{train: 5}},\n"
        "     link: {up: 1 MB/s, down: 1 MB/s, latency: 0 ms}}\n"
        for i in range(9)
    )
    many = study(
        tmp_path,
        FEDAVG + "faults: [{at: 5 s, disconnect: 'tag:all'}]\n",
        sites=SITES.replace("server:", f"{more}server:"),
    )
    page = plan_with_report(many, tmp_path / "many")[1]
    (story,) = stories({"x": [load_run(page.parent / "fedavg")]})
    (sentence,) = [one for one in story.sentences if "cut off" in one]
    text = sentence.replace("\N{NO-BREAK SPACE}", " ")
    assert text.startswith(
        "After 5 s 12 hospitals (a, b, c, d0, d1, d2, d3, d4 and 4 more) were cut off, and did"
    )


def test_a_hospital_that_is_too_slow_is_named_with_its_share_and_is_not_the_last_in_time(tmp_path):
    _, _, story = told(tmp_path, FEDAVG.replace("{name", "{quorum: n-1, grace: 5 s, name"))
    text = " ".join(story.sentences).replace("\N{NO-BREAK SPACE}", " ")
    assert "4 of 4 rounds went on without somebody's data: b in 4. In those, 67 % of all" in text
    assert "The last to answer in time was b" not in text


def test_who_comes_late_or_dies_is_not_there_and_does_not_wait(tmp_path):
    faults = "faults:\n  - {at: 60 s, join: c}\n  - {at: 100 s, crash: a}\n"
    _, page, story = told(tmp_path, FEDAVG + faults)
    text = " ".join(story.sentences).replace("\N{NO-BREAK SPACE}", " ")
    assert " c began, with the server's model" in text
    assert story.table.head[3:] == ("is not there", "waits", "waits, share")
    gone = {row[0]: row[3].replace("\N{NO-BREAK SPACE}", " ") for row in story.table.rows}
    end_s = load_run(page.parent / "fedavg").virtual_time_s
    assert gone["c"] == hours(60, end_s).replace("\N{NO-BREAK SPACE}", " ")
    assert gone["a"] == hours(end_s - 100, end_s).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("means", "away_then_waits"), [("offline", (600, 0)), ("compute-only", (600,)), ("line-only", (540, 60))]
)
def test_waiting_for_its_machine_is_not_computing(tmp_path, means, away_then_waits):
    """c may work from 10 min on and trains 2 x 30 cases of 1 s: it computes for 60 s of 660 s, or at once."""
    windows = f"    availability: {{daily: ['00:10-24:00'], means: {means}}}\n  - name: d\n"
    rest = "    seconds_per_item: 1 s\n    link: {up: 1 Mbit/s, down: 1 Mbit/s, latency: 0 ms}\n"
    head, foot = SITES.split("server:")
    sites = f"{head}{windows}{rest}    data: {{train: 330, val: 2, test: 3}}\nserver:{foot}"
    _, page = plan_with_report(
        study(tmp_path, "algorithm: {name: local, rounds: 2}\n", sites=sites), tmp_path / "runs"
    )
    (story,) = stories({"local": [load_run(page.parent / "local")]})
    (row,) = (row for row in story.table.rows if row[0] == "c")
    assert row[1:-1] == tuple(hours(spent_s, 660) for spent_s in (60, 0, *away_then_waits))
    assert "the hospitals' machines computed for 13.7 min" in " ".join(story.sentences).replace("\xa0", " ")


def test_a_round_without_answers_counts_no_cases(tmp_path):
    cut = 'faults:\n  - {from: 50 s, to: 200 s, disconnect: "tag:all"}\n'
    _, page, story = told(tmp_path, FEDAVG + cut)
    run_ = load_run(page.parent / "fedavg")
    rows = side_by_side({"one": [run_], "two": [run_]}).rows
    assert "1 round came to nothing" in " ".join(story.sentences)
    assert rows[0][3] == "75\N{NO-BREAK SPACE}%"


@pytest.mark.parametrize(
    ("numbers", "said"),
    [([2], "round 2"), ([1, 2, 3], "rounds 1 to 3"), ([1, 2, 5, 7, 8, 9], "rounds 1, 2, 5 and 7 to 9")],
)
def test_rounds_in_words(numbers, said):
    assert spans(numbers) == said
