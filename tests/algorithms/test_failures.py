"""Every method under failures: the others go on, nobody hangs, and each does what its policy says."""

from collections import Counter

import pytest

from simulator.errors import ScenarioError
from tests.support import run

SERVERLESS = [
    "{name: gcml, rounds: 6}",
    "{name: gcml, rounds: 6, schedule: bernoulli}",
    "{name: gcml, rounds: 6, schedule: async}",
    "{name: gml, rounds: 6}",
    "{name: gossip-averaging, rounds: 6}",
    "{name: gossip-averaging, rounds: 6, form: exchange, average: age}",
    "{name: defkt, rounds: 6}",
    "{name: dpsgd, rounds: 6}",
    "{name: dpsgd, rounds: 6, order: adapt_then_combine}",
    "{name: sgp, rounds: 6}",
    "{name: sgp, rounds: 6, overlay: given}",
    "{name: adpsgd, rounds: 6}",
    "{name: epidemic, rounds: 6}",
    "{name: epidemic, rounds: 6, draw: oracle}",
    "{name: avgpush, rounds: 6}",
    "{name: proxyfl, rounds: 6, mix: push_sum}",
    "{name: swarm, rounds: 6}",
    "{name: local, rounds: 6}",
]
SERVER_BASED = [
    "{name: fedavg, rounds: 6}",
    "{name: fedprox, rounds: 6}",
    "{name: fedadam, rounds: 6}",
    "{name: fedbn, rounds: 6}",
    "{name: fedrep, rounds: 6, local_epochs: 2}",
    "{name: ditto, rounds: 6}",
    "{name: apfl, rounds: 6}",
    "{name: moon, rounds: 6}",
    "{name: scaffold, rounds: 6, any_optimizer: true}",
    "{name: fedgs, rounds: 6, local_epochs: 1}",
    "{name: fedsm, rounds: 6, selector: small_cnn}",
    "{name: fedasync, rounds: 6}",
    "{name: fedbuff, rounds: 6}",
    "{name: fml, rounds: 6}",
    "{name: hierarchical-fedavg, rounds: 6}",
]
# site c computes until 30 s in every round, sends and waits later: 5 s is in training, 30.5 s in
# an upload at the earliest
INSTANTS = ["5 s", "30.5 s", "41 s", "75 s"]


def rounds_of(result):
    return Counter(seen.site for seen in result.world.trace.observations)


@pytest.mark.parametrize("algorithm", SERVERLESS)
@pytest.mark.parametrize("victim", ["a", "b", "c"])
@pytest.mark.parametrize("at", INSTANTS)
def test_serverless_methods_go_on_when_any_one_site_dies(tmp_path, algorithm, victim, at):
    result = run(tmp_path, f"algorithm: {algorithm}\nfaults: [{{at: {at}, crash: {victim}}}]\n")
    assert result.end_reason == "all protocols ended"
    counts = rounds_of(result)
    assert all(counts[name] == 6 for name in "abc" if name != victim)
    assert counts[victim] == 0 if at == "5 s" else counts[victim] <= 6


@pytest.mark.parametrize("algorithm", [*SERVERLESS, *SERVER_BASED, "{name: cyclic, rounds: 6}"])
@pytest.mark.parametrize(
    "fault", ["crash: c, for: 200 s", "disconnect: c, for: 400 s", "leave: b", "crash: a"]
)
@pytest.mark.parametrize("at", INSTANTS)
def test_every_method_ends_under_every_fault(tmp_path, algorithm, fault, at):
    result = run(tmp_path, f"algorithm: {algorithm}\nfaults: [{{at: {at}, {fault}}}]\n")
    assert result.end_reason == "all protocols ended"
    assert {row[5] for row in result.world.trace.faults} <= {"fired", "no effect"}


@pytest.mark.parametrize("algorithm", SERVER_BASED)
def test_sites_notice_that_the_server_is_gone_and_keep_their_last_model(tmp_path, algorithm):
    result = run(tmp_path, f"algorithm: {algorithm}\nfaults: [{{at: 190 s, crash: server}}]\n")
    events = Counter((row[2], row[3]) for row in result.world.trace.events)
    assert [events[name, "server_lost"] for name in "abc"] == [1, 1, 1]
    assert result.end_reason == "all protocols ended"
    # the timeout is that of the site: two hours after it last heard of the server
    lost = [row[1] for row in result.world.trace.events if row[3] == "server_lost"]
    assert all(7200 < time < 7200 + 320 for time in lost)
    assert all(0 < count < 6 for count in rounds_of(result).values())


def test_sites_may_train_on_alone_when_the_server_is_gone(tmp_path):
    patience = "when_server_lost: train_alone, round_deadline: 5 min, server_patience: 10 min"
    text = f"algorithm: {{name: fedavg, rounds: 6, {patience}}}\n"
    result = run(tmp_path, text + "faults: [{at: 150 s, crash: server}]\n")
    assert all(seen == 6 for seen in rounds_of(result).values())


def test_a_restarted_server_resumes_at_its_last_durable_round(tmp_path):
    text = "algorithm: {name: fedavg, rounds: 6}\nfaults: [{at: 150 s, crash: server, for: 30 min}]\n"
    result = run(tmp_path, text)
    assert all(count == 6 for count in rounds_of(result).values())
    aggregated = [row[4] for row in result.world.trace.events if row[3] == "aggregated"]
    assert aggregated == list(range(6))


def test_the_server_waits_for_its_deadline_and_averages_the_rest(tmp_path):
    text = "algorithm: {name: fedavg, rounds: 3, round_deadline: 200 s}\nfaults: [{at: 5 s, crash: c}]\n"
    result = run(tmp_path, text)
    aggregated = [(round(row[1]), row[6]) for row in result.world.trace.events if row[3] == "aggregated"]
    assert [time for time, _ in aggregated] == [200, 400, 600]
    assert all('"missing": 1' in detail and '"num_answers": 2' in detail for _, detail in aggregated)


def test_a_grace_after_the_quorum_drops_the_slowest(tmp_path):
    text = "algorithm: {name: fedavg, rounds: 2, quorum: 2, grace: 1 s}\n"
    result = run(tmp_path, text)
    events = Counter(row[3] for row in result.world.trace.events)
    details = [row[6] for row in result.world.trace.events if row[3] == "aggregated"]
    assert all('"num_answers": 2' in detail for detail in details)
    assert events["late_update"] >= 1


def test_fewer_answers_than_the_quorum_leave_the_model_as_it_is(tmp_path):
    text = "algorithm: {name: fedavg, rounds: 2, quorum: 3, round_deadline: 100 s}\n"
    result = run(tmp_path, text + "faults: [{at: 1 s, crash: c}]\n")
    assert Counter(row[3] for row in result.world.trace.events)["empty_round"] == 2


def test_a_recovered_site_jumps_to_the_round_of_its_peers(tmp_path):
    text = "algorithm: {name: gcml, rounds: 20}\nfaults: [{at: 35 s, crash: a, for: 300 s}]\n"
    result = run(tmp_path, text)
    missed = [row for row in result.world.trace.events if row[3] == "missed_rounds"]
    assert [row[2] for row in missed] == ["a"]
    seen = [one.round for one in result.world.trace.observations if one.site == "a"]
    assert seen == sorted(set(seen))
    assert seen[-1] == 19
    assert len(seen) < 20


@pytest.mark.parametrize(
    ("newcomer", "first"), [("own-warm-up", "init"), ("first-model", None), ("initial", "init")]
)
def test_a_late_joiner_warms_up_or_adopts(tmp_path, newcomer, first):
    text = f"algorithm: {{name: gcml, rounds: 20, warmup_epochs: 2, newcomer: {newcomer}}}\n"
    result = run(tmp_path, text + "faults: [{at: 200 s, join: a}]\n")
    work = [row[1] for row in result.world.work if row[0] == "a"]
    events = Counter(row[3] for row in result.world.trace.events if row[2] == "a")
    assert (work[0] == "init") == (first == "init")
    assert events["newcomer"] == 1
    told = next(row[5:] for row in result.world.trace.events if row[3] == "newcomer")
    assert f'"start": "{newcomer}"' in told[1]
    assert (told[0] in ("b", "c")) == (newcomer == "first-model")
    assert rounds_of(result)["a"] > 0


def test_a_model_that_comes_late_is_used_or_discarded_as_declared(tmp_path):
    # c needs 2 s for an upload; receivers that wait 1 s give up
    for late, event in [("next_round", "late_used"), ("discard", "late_discarded")]:
        text = f"algorithm: {{name: gcml, rounds: 30, receive_timeout: 1 s, late: {late}}}\n"
        result = run(tmp_path, text)
        counts = Counter(row[3] for row in result.world.trace.events)
        assert counts["nothing_received"] > 0
        assert counts[event] > 0


def test_the_same_scenario_gives_the_same_trace_and_another_seed_another(tmp_path):
    text = "algorithm: {name: gcml, rounds: 10}\nfaults: [{every: exp(60 s), for: exp(20 s), crash: b}]\n"
    first = run(tmp_path, text).world.trace.text()
    assert first == run(tmp_path, text).world.trace.text()
    assert first != run(tmp_path, text, "seed.network=2").world.trace.text()


def test_gcml_refuses_to_merge_blindly(tmp_path):
    text = "algorithm: {name: gcml, rounds: 2}\n"
    with pytest.raises(ScenarioError, match="needs validation cases, and c has none; use merge: keep_local"):
        run(tmp_path, text, "sites.c.data.val=0")
    run(tmp_path, text, "sites.c.data.val=0", "algorithm.merge=keep_local")


def test_a_site_without_training_cases_takes_no_part(tmp_path):
    result = run(tmp_path, "algorithm: {name: gcml, rounds: 2}\n", "sites.c.data.train=0")
    assert sorted(result.world.nodes) == ["a", "b"]
    assert result.world.sites == ("a", "b")
    with pytest.raises(ScenarioError, match="no site has a training case"):
        run(tmp_path, "algorithm: {name: local, rounds: 2}\n", "sites.*.data.train=0")


def test_a_site_that_crashed_in_its_first_round_asks_too(tmp_path):
    text = "algorithm: {name: gcml, rounds: 30, warmup_epochs: 1, receive_timeout: 100 s}\n"
    result = run(tmp_path, text + "faults: [{at: 35 s, crash: c, for: 600 s}]\n")
    events = [row[3] for row in result.world.trace.events if row[2] == "c"]
    assert "missed_rounds" in events or "others_finished" in events


def test_a_peer_that_restarts_itself_does_not_tell_an_old_round(tmp_path):
    text = "algorithm: {name: gcml, rounds: 40, receive_timeout: 60 s}\n"
    text += "faults: [{at: 35 s, crash: [a, b], for: 300 s}]\n"
    for seed in range(8):
        result = run(tmp_path, text, f"seed.network={seed}")
        missed = [row[2] for row in result.world.trace.events if row[3] == "missed_rounds"]
        assert sorted(missed) == ["a", "b"], seed


def test_a_crash_in_the_warm_up_loses_one_epoch_not_all(tmp_path):
    text = "algorithm: {name: gcml, rounds: 2, warmup_epochs: 5}\nfaults: [{at: 45 s, crash: a, for: 1 s}]\n"
    result = run(tmp_path, text)
    assert [row[6] for row in result.world.work if row[:2] == ["a", "train"]][:6].count("lost") == 1


def test_the_final_model_survives_a_crash_of_the_server_while_it_is_handed_out(tmp_path):
    text = "algorithm: {name: fedavg, rounds: 2}\n"
    calm = run(tmp_path, text)
    end = next(row[1] for row in calm.world.trace.events if row[3] == "aggregated" and row[4] == 1)
    result = run(tmp_path, text + f"faults: [{{at: {end + 1:g} s, crash: server, for: 60 s}}]\n")
    assert rounds_of(result) == {"a": 2, "b": 2, "c": 2}


def test_an_update_that_a_crashed_server_lost_is_sent_again_not_trained_again(tmp_path):
    text = "algorithm: {name: fedavg, rounds: 4}\nfaults: [{at: 60 s, crash: server, for: 5 s}]\n"
    result = run(tmp_path, text)
    trained = [(row[0], row[3]) for row in result.world.work if row[1] == "train" and row[6] == "done"]
    assert len(trained) == len(set(trained)) == 12


def test_sites_outside_the_cohort_know_that_the_server_lives(tmp_path):
    text = (
        "algorithm: {name: fedavg, rounds: 40, cohort: 0.34, round_deadline: 150 s, server_patience: 200 s}\n"
    )
    result = run(tmp_path, text)
    assert "server_lost" not in {row[3] for row in result.world.trace.events}


def test_a_quorum_beyond_the_cohort_is_refused(tmp_path):
    with pytest.raises(ScenarioError, match="quorum: 5 is not between 1 and the 3 site"):
        run(tmp_path, "algorithm: {name: fedavg, rounds: 2, quorum: 5}\n")


def test_bernoulli_never_sends_to_a_site_that_has_ended_and_never_mixes_up_models(tmp_path):
    text = "algorithm: {name: gcml, rounds: 40, schedule: bernoulli, receive_timeout: 1 s}\n"
    result = run(tmp_path, text, "sites.c.link.up=64 kbit/s")
    ended = {row[2]: row[1] for row in result.world.trace.events if row[3] == "ended"}
    models = [row for row in result.ledger.rows("transfers") if not row[6]]
    assert models
    assert all(row[9] < ended[row[3]] for row in models)
    events = Counter(row[3] for row in result.world.trace.events)
    assert events["nothing_received"] > 0
    # every model that came is used once, late or in time, or thrown away with a record
    stages = [row for row in result.world.work if row[1] == "mutual"]
    assert len(stages) + events["late_discarded"] <= len(models)


def test_a_site_that_returns_takes_up_the_running_round(tmp_path):
    text = "algorithm: {name: fedavg, rounds: 4}\nfaults: [{at: 50 s, crash: a, for: 10 s}]\n"
    result = run(tmp_path, text)
    assert rounds_of(result) == {"a": 4, "b": 4, "c": 4}
    missing = [row[6] for row in result.world.trace.events if row[3] == "aggregated"]
    assert all('"missing": 0' in detail for detail in missing)
    assert result.virtual_time_s < 300  # nobody waited for the deadline of an hour


def test_live_membership_wastes_no_pair_on_the_dead(tmp_path):
    counts = {}
    for membership in ("configured", "live"):
        text = f"algorithm: {{name: gcml, rounds: 20, membership: {membership}}}\n"
        result = run(tmp_path, text + "faults: [{at: 0.5 s, crash: c}]\n")
        events = Counter(row[3] for row in result.world.trace.events)
        delivered = [row for row in result.ledger.rows("transfers") if row[11] == "delivered" and not row[6]]
        counts[membership] = (len(delivered), events["lost"] + events["nothing_received"])
    # with the oracle a and b are a pair in every round but the one drawn before the crash
    assert counts["live"][0] >= 19
    assert counts["live"][1] <= 1
    assert counts["configured"][1] > 5


@pytest.mark.parametrize(("algorithm", "policy"), [("fedgs", "discard"), ("fedsm", "refuse")])
def test_a_round_that_a_site_misses_may_count_for_nothing(tmp_path, algorithm, policy):
    more = ", selector: linear" if algorithm == "fedsm" else ", local_epochs: 1"
    text = f"algorithm: {{name: {algorithm}, rounds: 2, missing: %s, round_deadline: 200 s{more}}}\n"
    text += "faults: [{at: 1 s, crash: c}]\n"
    for missing, event in ((policy, "empty_round"), ("proceed", "aggregated")):
        result = run(tmp_path, text % missing)
        events = Counter(row[3] for row in result.world.trace.events)
        assert events[event] == 2
        assert events["empty_round"] + events["aggregated"] == 2


@pytest.mark.parametrize(
    ("text", "override", "message"),
    [
        ("{name: fedgs, rounds: 2}", "task.optimizer.name=adam", "fedgs sends AdamW's steps .* write"),
        ("{name: fedgs, rounds: 2}", "task.batch_size=16", "a has 10 items, not one full batch of 16"),
        ("{name: fedsm, rounds: 2}", "task.dataset.item_shape=[16, 16]", "these are 16x16; use small_cnn"),
        ("{name: fedsm, rounds: 2, selector: vgg}", "seed.learning=1", 'no classifier is called "vgg"'),
        ("{name: fedsm, rounds: 2, lam: 1.2}", "seed.learning=1", "lam"),
        ("{name: fedgs, rounds: 2, log_base: 1}", "seed.learning=1", "log_base"),
    ],
)
def test_what_fedgs_and_fedsm_cannot_run_on_is_refused(tmp_path, text, override, message):
    with pytest.raises(ScenarioError, match=message):
        run(tmp_path, f"algorithm: {text}\n", override)


def test_fedsm_counts_its_selector_apart(tmp_path):
    """Bytes by the table of the specification: M of 249,992 values, S of the linear selector, 3 sites."""
    result = run(tmp_path, "algorithm: {name: fedsm, rounds: 2, selector: linear}\n")
    model, selector, header = 4 * 249_992, 4 * (256 + 1) * 3, 32
    sizes = {}
    for row in result.ledger.rows("transfers"):
        sizes.setdefault((row[4], row[5]), set()).add(row[8])
    assert sizes["global", 0] == {2 * model + selector + header}
    assert sizes["global", 1] == {2 * model + 3 * selector + header}
    assert sizes["update", 0] == sizes["update", 1] == {2 * model + 3 * selector + header}
    assert sizes["global", 2] == {4 * model + selector + header}
    apart = result.world.payloads.account()["apart_nbytes"]
    assert apart == {"selector": 3 * (1 + 3 + 3 + 3 + 1) * selector}


def test_fedsm_warns_of_a_weak_pull(tmp_path):
    for lam, count in ((0.3, 1), (0.34, 0)):
        text = f"algorithm: {{name: fedsm, rounds: 1, selector: linear, lam: {lam}}}\n"
        assert sum("below 1/sites" in warning for warning in run(tmp_path, text).warnings) == count


def details(result, event):
    return [(row[2], row[4], row[5]) for row in result.world.trace.events if row[3] == event]


def last_models(result):
    return {seen.site: seen.model.key for seen in result.world.trace.observations}


@pytest.mark.parametrize("at", ["15 s", "42 s", "43.5 s"])
def test_a_swarm_elects_another_leader_and_goes_on(tmp_path, at):
    # c leads round 0: it dies while others train, while it merges, or while it sends the merge
    text = f"algorithm: {{name: swarm, rounds: 5}}\nfaults: [{{at: {at}, crash: c}}]\n"
    result = run(tmp_path, text)
    assert rounds_of(result)["a"] == rounds_of(result)["b"] == 5
    models = last_models(result)
    assert models["a"] == models["b"]
    assert details(result, "next_leader")


def test_a_divided_swarm_merges_on_one_side_only(tmp_path):
    text = (
        "algorithm: {name: swarm, rounds: 4, merge_deadline: 2 min, leader_timeout: 4 min, patience: 1 h}\n"
        "faults: [{from: 50 s, to: 40 min, disconnect: b}]\n"
    )
    overrides = ("network.transport.stall_timeout=5 s", "network.transport.retries=0")
    result = run(tmp_path, text, *overrides)
    merges = details(result, "aggregated")
    assert sorted(round_ for _, round_, _ in merges) == [0, 1, 2, 3]
    assert "b" not in {leader for leader, round_, _ in merges if round_}
    models = last_models(result)
    assert models["a"] == models["b"] == models["c"]  # b found the others again


def test_a_swarm_below_its_quorum_gives_up_or_trains_alone(tmp_path):
    patience = "merge_deadline: 2 min, leader_timeout: 4 min, patience: 1 h"
    for policy, count in (("stop", 0), ("train_alone", 4)):
        text = f"algorithm: {{name: swarm, rounds: 4, {patience}, when_swarm_lost: {policy}}}\n"
        result = run(tmp_path, text + "faults: [{at: 5 s, crash: [a, b]}]\n")
        assert rounds_of(result)["c"] == count
        assert details(result, "swarm_lost") == [("c", 0, None)]


def test_a_silent_holder_of_the_cycle_is_skipped_and_one_model_prevails(tmp_path):
    text = "algorithm: {name: cyclic, rounds: 4, hop_timeout: 2 min}\nfaults: [{at: 20 s, crash: b}]\n"
    result = run(tmp_path, text)
    assert [one[0] for one in details(result, "hop_silent")] == ["a"]
    assert last_models(result)["a"] == last_models(result)["c"]
    trained = Counter(row[0] for row in result.world.work if row[1] == "train" and row[6] == "done")
    assert trained == {"a": 4, "c": 4}


def test_an_impatient_cycle_has_one_model_in_the_end(tmp_path):
    text = "algorithm: {name: cyclic, rounds: 4, hop_timeout: 25 s}\n"  # b needs 40 s
    result = run(tmp_path, text)
    assert details(result, "hop_silent")
    assert details(result, "hop_known")
    assert result.end_reason == "all protocols ended"
    assert len(set(last_models(result).values())) == 1


def test_a_stalling_cycle_waits_for_its_dead_holder(tmp_path):
    text = "algorithm: {name: cyclic, rounds: 2, hop_timeout: 2 min, when_silent: stall}\n"
    result = run(tmp_path, text + "faults: [{at: 20 s, crash: b, for: 30 min}]\n")
    order = [row[0] for row in result.world.work if row[1] == "train" and row[6] == "done"]
    assert order == ["a", "b", "c"] * 2
    assert result.virtual_time_s > 1800


def test_a_region_goes_on_at_another_site_or_stands_still(tmp_path):
    regions = "edge_deadline: 1 min, round_deadline: 3 min, regions: [{sites: [a, b]}, {sites: [c]}]"
    for policy, counts in (("replace", {"a": 0, "b": 3, "c": 4}), ("keep", {"a": 0, "b": 0, "c": 4})):
        text = f"algorithm: {{name: hierarchical-fedavg, rounds: 4, {regions}, when_edge_lost: {policy}}}\n"
        result = run(tmp_path, text + "faults: [{at: 5 s, crash: a}]\n")
        assert len(details(result, "edge_replaced")) == (policy == "replace")
        late = Counter(seen.site for seen in result.world.trace.observations)
        assert {name: late[name] for name in "ac"} == {name: counts[name] for name in "ac"}
        spent = [row for row in result.world.work if row[0] == "b" and row[1] == "train" and row[6] == "done"]
        assert len(spent) == (1 + 3 * 2 if policy == "replace" else 1)


def test_regions_that_do_not_fit_are_refused(tmp_path):
    for regions, problem in [
        ("[{sites: [a, b]}]", "algorithm.regions: c is in no region"),
        ("[{sites: [a, b]}, {sites: [b, c]}]", "algorithm.regions: b is in more than one region"),
        ("[{sites: [a, b], edge: c}, {sites: [c]}]", "algorithm.regions.0.edge: c is not among"),
    ]:
        with pytest.raises(ScenarioError, match=problem):
            run(tmp_path, f"algorithm: {{name: hierarchical-fedavg, rounds: 2, regions: {regions}}}\n")
    with pytest.raises(ScenarioError, match="quorum: 5 is not between 1 and the 3 site"):
        run(tmp_path, "algorithm: {name: swarm, rounds: 2, quorum: 5}\n")


def test_a_dead_neighbor_costs_the_others_no_time(tmp_path):
    for name in ("dpsgd", "epidemic", "sgp, overlay: given"):
        text = f"algorithm: {{name: {name}, rounds: 6}}\n"
        result = run(tmp_path, text + "faults: [{at: 0.5 s, crash: c}]\n")
        assert result.virtual_time_s < 260, name  # b alone trains for 240 s
        assert details(result, "send_failed")


def test_those_not_chosen_in_an_epidemic_do_not_wait(tmp_path):
    result = run(tmp_path, "algorithm: {name: epidemic, rounds: 20, num_peers: 1}\n")
    models = [row for row in result.ledger.rows("transfers") if not row[6]]
    tiny = [row for row in result.ledger.rows("transfers") if row[6]]
    assert len(models) == len(tiny) == 60
    assert not details(result, "nothing_received")


def test_partners_that_die_do_not_hold_up_an_asynchronous_site(tmp_path):
    text = "algorithm: {name: adpsgd, rounds: 10, exchange_timeout: 30 s}\nfaults: [{at: 15 s, crash: b}]\n"
    result = run(tmp_path, text)
    assert {row[0] for row in details(result, "no_answer")} == {"a", "c"}
    times = {seen.site: seen.time_s for seen in result.world.trace.observations}
    assert times["a"] < 140
    assert times["c"] < 340


@pytest.mark.parametrize(
    "name", ["dpsgd", "epidemic", "sgp", "sgp, overlay: given", "avgpush", "hierarchical-fedavg", "swarm"]
)
@pytest.mark.parametrize("at", ["11.5 s", "33 s", "42 s"])
def test_a_short_outage_of_a_site_costs_minutes_not_a_timeout(tmp_path, name, at):
    text = f"algorithm: {{name: {name}, rounds: 4}}\nfaults: [{{at: {at}, crash: c, for: 30 s}}]\n"
    result = run(tmp_path, text)
    assert rounds_of(result)["a"] == rounds_of(result)["b"] == 4
    assert result.virtual_time_s < 600
