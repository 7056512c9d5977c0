"""What leaves a site that is rogue, or that guards its privacy; by hand, and as plans."""

import math
import re

import numpy as np
import pytest

from simulator.api import Bundle
from simulator.errors import ScenarioError
from simulator.record.tables import TABLES
from simulator.rng import stream
from simulator.sites.accounting import epsilon
from simulator.sites.falsifying import conceal, falsify
from tests.support import SITES, run

ROGUE = "sites.2.rogue={{kind: {}}}"


class Context:
    def rng(self, *purpose):
        return stream(1, "site", *purpose)


def bundle(**arrays):
    return Bundle(arrays={name: np.array(values, np.float32) for name, values in arrays.items()})


SENT = bundle(model=[3.0, 5.0], buffers=[7.0], control=[2.0])
BEFORE = bundle(model=[1.0, 1.0], buffers=[4.0])


@pytest.mark.parametrize(
    ("kind", "strength", "model", "control"),
    [("scale", 10, [21, 41], [20]), ("sign-flip", 1, [-1, -3], [-2]), ("sign-flip", 2, [-3, -7], [-4])],
)
def test_an_update_is_what_the_reference_does_not_have(kind, strength, model, control):
    false = falsify(Context(), SENT, BEFORE, kind=kind, strength=strength, number=0).arrays
    assert false["model"].tolist() == model
    assert false["control"].tolist() == control  # the reference has none
    assert false["buffers"].tolist() == [7.0]


def test_a_change_is_an_update_as_it_stands():
    false = falsify(Context(), SENT, kind="sign-flip", strength=1.0, number=0).arrays
    assert false["model"].tolist() == [-3, -5]


def test_noise_is_as_strong_as_the_update_times_the_factor():
    sent = bundle(model=np.full(20_000, 3.0))
    one, two = (
        falsify(Context(), sent, bundle(model=np.ones(20_000)), kind="noise", strength=0.5, number=n)
        for n in (0, 1)
    )
    noise = one.arrays["model"] - 3
    assert noise.std() == pytest.approx(1.0, rel=0.03)  # the update is 2 everywhere
    assert not np.array_equal(one.arrays["model"], two.arrays["model"])


@pytest.mark.parametrize(("kind", "value"), [("nan", np.nan), ("infinity", np.inf)])
def test_values_that_are_no_numbers(kind, value):
    false = falsify(Context(), SENT, BEFORE, kind=kind, strength=0.0, number=0).arrays
    np.testing.assert_array_equal(false["model"], np.full(2, value, np.float32))


def test_a_concealed_update_is_clipped_over_all_its_arrays():
    # the update is (2, 4), 3 and 2: sqrt(33) long
    outcome = conceal(Context(), SENT, BEFORE, clip=math.sqrt(33) / 2, noise=1e-9, number=1)
    assert outcome.arrays["model"] == pytest.approx([2, 3])
    assert outcome.arrays["control"] == pytest.approx([1])
    assert outcome.meta == {"update_norm": pytest.approx(math.sqrt(33)), "clipped": True}
    short = conceal(Context(), SENT, BEFORE, clip=100.0, noise=1e-9, number=1)
    assert short.arrays["model"] == pytest.approx([3, 5])
    assert not short.meta["clipped"]


def test_the_noise_has_the_declared_deviation_and_is_new_in_every_release():
    sent = bundle(model=np.zeros(20_000))
    first, second = (conceal(Context(), sent, clip=2.0, noise=1.5, number=n).arrays["model"] for n in (1, 2))
    assert first.std() == pytest.approx(3.0, rel=0.03)
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize(
    ("num_releases", "noise", "delta"), [(1, 4.0, 1e-5), (20, 10.0, 1e-5), (3, 2.0, 1e-3)]
)
def test_the_privacy_loss_is_the_root_of_balle_and_wangs_equation(num_releases, noise, delta):
    # delta = Phi(mu/2 - eps/mu) - exp(eps) Phi(-mu/2 - eps/mu) with mu = sensitivity / deviation
    mu = 2 * math.sqrt(num_releases) / noise
    found = epsilon(num_releases, noise, delta)

    def phi(x):
        return math.erfc(-x / math.sqrt(2)) / 2

    reached = phi(mu / 2 - found / mu) - math.exp(found) * phi(-mu / 2 - found / mu)
    assert reached == pytest.approx(delta, rel=1e-3)
    assert epsilon(0, noise, delta) == 0


def events(result, *names):
    return [(row[2], row[4]) for row in result.world.trace.events if row[3] in names]


def test_a_rogue_site_falsifies_in_its_time_only(tmp_path):
    text = "algorithm: {name: fedavg, rounds: 4}\n"
    plain = run(tmp_path, text)
    rogue = run(tmp_path, text, "sites.2.rogue={kind: sign-flip, from: 40 s, to: 80 s}")
    assert rogue.world.outgoing.account(rogue.world.sites) == {"num_false_models": {"c": 1}}
    assert rogue.ledger.rows("transfers") == plain.ledger.rows("transfers")  # as many bytes, at the same time
    assert {len(row) for row in rogue.world.work} == {len(TABLES["work"])}
    # what c keeps and all that was done before are the same work
    assert len(rogue.world.keys & plain.world.keys) > len(plain.world.keys) / 3
    assert rogue.world.keys != plain.world.keys


def test_a_rogue_that_sends_nothing_in_its_time_is_told(tmp_path):
    result = run(tmp_path, "algorithm: {name: local, rounds: 2}\n", ROGUE.format("scale"))
    assert [w for w in result.warnings if w.startswith("c was to send scale models and sent none")]


def test_replay_sends_the_first_model_over_and_over(tmp_path):
    result = run(tmp_path, "algorithm: {name: fedavg, rounds: 4}\n", ROGUE.format("replay"))
    assert result.world.outgoing.num_false == {"c": 4}
    honest = run(tmp_path, "algorithm: {name: fedavg, rounds: 4}\n")
    # the first round's mean is the honest one, later ones are not
    common = {seen.model.key for seen in honest.world.trace.observations if seen.round == 0}
    assert common == {seen.model.key for seen in result.world.trace.observations if seen.round == 0}
    later = {seen.model.key for seen in honest.world.trace.observations if seen.round == 1}
    assert later.isdisjoint(seen.model.key for seen in result.world.trace.observations)


def test_flipped_labels_change_what_is_learned_there_and_what_follows(tmp_path):
    honest = run(tmp_path, "algorithm: {name: local, rounds: 2}\n")
    flipped = run(tmp_path, "algorithm: {name: local, rounds: 2}\n", ROGUE.format("label-flip"))
    assert flipped.warnings == honest.warnings
    keys = [
        {(seen.site, seen.model.key) for seen in result.world.trace.observations}
        for result in (honest, flipped)
    ]
    assert {site for site, _ in keys[0] - keys[1]} == {"c"}


@pytest.mark.parametrize(
    ("rogue", "reason"),
    [
        ("{kind: nan, factor: 3}", "factor: nan has none"),
        ("{kind: label-flip, from: 3 s}", "label-flip is for the whole run"),
        ("{kind: scale, from: 3 s, to: 2 s}", "is not after from"),
        ("{kind: scael}", "scael"),
    ],
)
def test_nonsense_is_refused(tmp_path, rogue, reason):
    with pytest.raises(ScenarioError, match=reason):
        run(tmp_path, "algorithm: {name: local, rounds: 2}\n", f"sites.2.rogue={rogue}")


def test_the_same_model_to_several_receivers_is_one_release(tmp_path):
    overrides = ("privacy={clip: 1.0, noise: 4.0}",)
    result = run(tmp_path, "algorithm: {name: dpsgd, rounds: 3}\n", *overrides)
    account = result.world.outgoing.account(result.world.sites)["privacy"]
    assert [account[name]["num_releases"] for name in "abc"] == [3, 3, 3]
    assert account["a"]["epsilon"] == epsilon(3, 4.0, 1e-5)
    assert len(events(result, "concealed")) == 3 * 3 * 2


def test_what_the_server_sends_is_not_noised(tmp_path):
    result = run(tmp_path, "algorithm: {name: fedavg, rounds: 2}\n", "privacy={clip: 1.0, noise: 4.0}")
    assert {site for site, _ in events(result, "concealed")} == {"a", "b", "c"}
    assert result.world.outgoing.num_releases == {"a": 2, "b": 2, "c": 2}


def test_running_statistics_cannot_be_noised(tmp_path):
    with pytest.raises(ScenarioError, match="keeps running statistics"):
        run(
            tmp_path,
            "algorithm: {name: local, rounds: 2}\n",
            "privacy={clip: 1.0, noise: 4.0}",
            "task.network.num_buffers=10",
        )


@pytest.mark.parametrize(
    ("algorithm", "reason"),
    [
        ("{name: fedavg, rounds: 2, defense: {rule: krum}}", "krum needs 5 models, there are at most 3"),
        ("{name: fedadam, rounds: 2, defense: {rule: median}}", "defense: unknown key"),
        ("{name: dpsgd, rounds: 2, defense: {rule: median}}", "adapt_then_combine"),
        ("{name: gcml, rounds: 2, defense: {rule: median}}", "median"),
        ("{name: gcml, rounds: 2, defense: {rule: clip}}", "norm"),
        ("{name: fedavg, rounds: 2, defense: {rule: trimmed-mean, trim: 0.5}}", "trim"),
    ],
)
def test_defenses_that_cannot_work_are_refused(tmp_path, algorithm, reason):
    with pytest.raises(ScenarioError, match=re.escape(reason)):
        run(tmp_path, f"algorithm: {algorithm}\n")


MORE_SITES = SITES.replace("server:", "".join(
    f"  - {{name: {name}, seconds_per_item: 1 s, link: {{up: 8 Mbit/s, down: 8 Mbit/s, latency: 0 ms}}, "
    "data: {train: 10, val: 2, test: 3}}\n"
    for name in "de"
) + "server:")  # fmt: skip


@pytest.mark.parametrize("method", ["fedavg", "fedrep, local_epochs: 2", "epidemic", "ditto", "fml"])
def test_a_defense_takes_the_place_of_the_mean(tmp_path, method):
    text = f"algorithm: {{name: {method}, rounds: 2, defense: {{rule: median}}}}\n"
    result = run(tmp_path, text, sites=MORE_SITES)
    names = {row[1] for row in result.world.work}
    assert "average" not in names
    assert "average_part" not in names
    assert any("robustly" in name for name in names)


def test_too_few_models_for_krum_keep_the_state_and_are_told(tmp_path):
    text = (
        "algorithm: {name: fedavg, rounds: 3, round_deadline: 100 s, defense: {rule: krum}}\n"
        "faults: [{at: 1 s, crash: e}]\n"
    )
    result = run(tmp_path, text, sites=MORE_SITES)
    assert len(events(result, "too_few_to_defend")) == 3
    assert [w for w in result.warnings if "too few models came for algorithm.defense" in w]
