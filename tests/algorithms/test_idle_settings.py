"""Settings that mean nothing under another choice are refused at their key, with what to write instead."""

import pytest

from simulator.errors import ScenarioError
from tests.support import study

ADOPTING = "newcomer: first-model, schedule: async"
IDLE = [
    ("gcml", "pushes_per_round: 2", "", "counts with schedule async only", "schedule: async"),
    ("gossip-averaging", "pushes_per_round: 2", "schedule: bernoulli", "schedule async", "schedule: async"),
    ("gcml", "max_incoming: 2", "", "counts with schedule async only", "schedule: async"),
    ("gcml", "max_redraws: 1", "", "counts with schedule bernoulli only", "schedule: bernoulli"),
    ("gcml", "membership: live", "schedule: async", "counts with schedule pairs only", ""),
    ("gcml", "late: discard", "schedule: async", "counts with schedule pairs or bernoulli only", ""),
    ("gcml", "sender_blocks: false", "schedule: async", "write schedule: pairs", "schedule: pairs"),
    ("gcml", "answer_timeout: 9 s", "schedule: async", "write schedule: pairs", "schedule: bernoulli"),
    ("gcml", "receive_timeout: 9 s", "schedule: async", "write schedule: pairs", ADOPTING),
    ("gossip-averaging", "late: discard", "form: exchange", "counts with form push only", "form: push"),
    ("gcml", "dilation: 2", "", "counts with region dilated_label only", "region: dilated_label"),
    ("gcml", "rampup_rounds: 3", "", "write lambda_schedule", "lambda_schedule: linear_rampup"),
    ("gcml", "b: 0.5", "", "counts with contrast fg_bg only", "contrast: fg_bg"),
    ("gcml", "margin: 1.0", "contrast: difference", "contrast correct_wrong or correct_wrong_unguarded", ""),
    ("gml", "beta: 0.5", "", "counts with contrast correct_wrong or", None),
    ("gcml", "gate: false", "merge: keep_local", "merge keep_local leaves nothing to refuse", "merge: mean"),
    ("fedasync", "b: 2", "", "counts with staleness hinge only", "staleness: hinge"),
    ("fedasync", "a: 2.0", "staleness: constant", "staleness polynomial or hinge only", "staleness: hinge"),
    ("fedgs", "log_base: 10.0", "scaling: false", "counts with scaling true only", "scaling: true"),
    ("fedgs", "quorum: 2", "missing: discard", "counts with missing proceed only", "missing: proceed"),
    ("fedsm", "grace: 5 s", "missing: refuse", "counts with missing proceed only", "missing: proceed"),
    ("sgp", "out_degree: 2", "overlay: given", "counts with overlay exponential only", ""),
    ("sgp", "overlay_repair: ring", "prune_after: 2", "overlay given only", "prune_after: 2, overlay: given"),
    ("proxyfl", "overlay_repair: ring", "prune_after: 2", "expected none", None),
    ("dpsgd", "overlay_repair: ring", "", "nobody is ever left out", "prune_after: 2"),
    ("fedavg", "sender_weights: uniform", "defense: {rule: median}", "defense median knows no weights", ""),
    ("fedavg", "election_timeout: 5 s", "", "nobody is elected", "when_server_lost: elect"),
    ("fedavg", "over_selection: 1.5", "", "all sites are in the cohort", "cohort: 0.5"),
    ("hierarchical-fedavg", "num_regions: 3", "regions: [{sites: [a, b, c]}]", "the regions are listed", ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "setting", "choice", "finding", "remedy"), IDLE)
def test_what_nothing_looks_at_is_refused_at_its_key(tmp_path, name, setting, choice, finding, remedy):
    """``remedy``: the choice under which it counts; empty: the default one; None: there is none."""

    def load(*settings):
        listed = ", ".join(filter(None, settings))
        return study(tmp_path, f"algorithm: {{name: {name}, rounds: 2, {listed}}}\n")

    with pytest.raises(ScenarioError) as caught:
        load(setting, choice)
    (key, value), message = setting.split(": "), str(caught.value)
    _path, line, column, where, told = message.split(":", maxsplit=4)
    assert where.strip() == f"algorithm.{key}"
    assert finding in told
    text = (tmp_path / "tiny.yaml").read_text(encoding="utf-8").splitlines()[int(line) - 1]
    assert text[int(column) - 1 :].startswith(value)
    load(choice)
    if remedy is not None:
        load(setting, remedy)


def test_a_default_that_is_written_out_is_none_of_them(tmp_path):
    """A resolved scenario says everything."""
    study(tmp_path, "algorithm: {name: gcml, rounds: 2, max_redraws: 3, dilation: 1, schedule: async}\n")


def test_a_key_of_a_key_is_the_place_too(tmp_path):
    with pytest.raises(ScenarioError, match=r"algorithm\.sending\.backoff: nothing is sent again"):
        study(tmp_path, "algorithm: {name: fedavg, rounds: 2, sending: {backoff: 5 s}}\n")
