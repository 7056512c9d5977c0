import pytest

from simulator.record.measures_faults import fail_overs, fault_costs, impairments, unfired_faults
from tests.record.runs_for_tests import made_run, moved


def fault(verb, node, time_s, status="fired", **more):
    return {
        "fault": 0,
        "text": f"{verb} {node}",
        "verb": verb,
        "node": node,
        "time_s": time_s,
        "status": status,
        **more,
    }


def test_what_breaks_while_it_lasts_at_its_node_is_its_cost():
    broken = {"status": "failed", "carried": 30}
    run = made_run(
        faults=[fault("disconnect", "b", 20.0), fault("reconnect", "b", 40.0)],
        outages=[{"node": "b", "what": "disconnect", "start_s": 20.0, "end_s": 40.0}],
        transfers=[
            moved(0, 100, 25.0, start_s=15.0, **broken),
            moved(0, 100, 38.0, start_s=30.0, attempt=2, **broken),
            moved(1, 100, 19.0, start_s=5.0, **broken),  # before
            moved(2, 100, 60.0, start_s=45.0, **broken),  # after
            moved(3, 100, 25.0, start_s=15.0, dst="c", **broken),  # elsewhere
            moved(4, 100, 25.0, start_s=15.0, control=True, **broken),
            moved(5, 100, 39.0, start_s=15.0),  # arrived all the same
        ],
    )
    (cost,) = fault_costs(run)
    assert (cost.failed_models, cost.wasted_nbytes, cost.lasted_s, cost.undone) == (1, 60, 20.0, True)


def test_a_crash_loses_the_work_of_its_instant_and_may_last_to_the_end():
    run = made_run(
        faults=[fault("crash", "b", 50.0)],
        outages=[{"node": "b", "what": "crash", "start_s": 50.0, "end_s": 100.0}],
        work=[
            {"node": "b", "start_s": 42.0, "end_s": 50.0, "status": "lost"},
            {"node": "c", "start_s": 1.0, "end_s": 50.0, "status": "lost"},
        ],
    )
    (cost,) = fault_costs(run)
    assert (cost.lost_s, cost.undone) == (8.0, False)


def test_without_the_tables_the_cost_is_unknown():
    (cost,) = fault_costs(made_run(faults=[fault("crash", "b", 50.0)], missing=("transfers", "work")))
    assert (cost.failed_models, cost.wasted_nbytes, cost.lost_s, cost.lasted_s) == (None, None, None, None)


@pytest.mark.parametrize("status", ["never fired", "not applicable"])
def test_faults_that_did_not_happen_are_listed(status):
    (gone,) = unfired_faults(
        made_run(faults=[fault("crash", "b", None, status, reason="why"), fault("leave", "c", 1.0)])
    )
    assert (gone.node, gone.status, gone.reason) == ("b", status, "why")


def test_a_slow_site_is_impaired_until_it_catches_up_and_a_partition_at_all_that_it_names():
    run = made_run(
        faults=[
            fault("straggle", "b", 20.0),
            fault("catch_up", "b", 30.0),
            fault("partition", "a b; c", 40.0) | {"fault": 1},
        ],
    )
    found = [(one.node, one.what, one.start_s, one.end_s) for one in impairments(run)]
    assert found == [
        ("b", "straggle", 20.0, 30.0),
        *((name, "partition", 40.0, 100.0) for name in "abc"),
    ]
    assert [(cost.lasted_s, cost.undone) for cost in fault_costs(run)] == [(10.0, True), (60.0, False)]


def test_a_corruption_is_charged_for_failed_checksums_and_a_partition_for_what_it_came_between():
    run = made_run(
        faults=[fault("corrupt", "b", 10.0), fault("partition", "c", 10.0) | {"fault": 1}],
        transfers=[
            moved(0, 100, 25.0, start_s=15.0, status="failed", carried=30) | {"reason": "checksum"},
            moved(1, 100, 25.0, start_s=15.0, status="failed", carried=7) | {"reason": "partitioned"},
        ],
    )
    assert [cost.wasted_nbytes for cost in fault_costs(run)] == [30, 7]


def test_a_change_of_the_server_says_how_long_it_was_silent_and_what_replicas_cost():
    change = {"event": "fail_over", "time_s": 50.0, "node": "server@b", "peer": "server"}
    asked_for = {"event": "fail_over", "time_s": 50.0, "node": "b"}  # the fault itself, not the change
    run = made_run(
        events=[change, asked_for],
        outages=[{"node": "server", "what": "crash", "start_s": 20.0, "end_s": 100.0}],
        transfers=[moved(0, 100, 19.0) | {"kind": "replica"}, moved(1, 100, 19.0)],
    )
    (found,) = fail_overs(run)
    assert (found.machine, found.former, found.silent_s, found.replica_nbytes) == ("b", "server", 30.0, 100)
