from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from simulator.errors import ScenarioError
from simulator.learning.data.layouts.gather import Entry
from simulator.learning.data.layouts.partition import assign
from simulator.learning.data.layouts.settings import ImageSetSite, Partition

CASES = [
    Entry(center="ab"[n % 2], patient=f"p{n:03d}", case=f"p{n:03d}-{scan}", files={})
    for n in range(120)
    for scan in range(1 + (n % 5 == 0))
]
SITES = {name: ImageSetSite() for name in ("north", "south", "west")}


def size(entry):
    """Structures of a size that grows with the patient's number; the second is larger for a quarter."""
    number = int(entry.patient[1:])
    return (100.0 + number, 1000.0 if number % 4 == 0 else 0.0)


def deal(sites=SITES, seed=1, cases=CASES, **partition):
    settings = Partition.model_validate(partition)
    return assign(settings, sites, cases, seed=seed, where_from="toy under /", amounts=size)


def patients(hands):
    return {name: {entry.patient for entry in entries} for name, entries in hands.items()}


@pytest.mark.parametrize(
    "partition", [{"kind": "iid"}, {"kind": "quantity", "alpha": 0.3}, {"kind": "dirichlet", "alpha": 0.3}]
)
def test_every_patient_goes_to_one_site_with_all_scans(partition):
    hands = deal(**partition)
    assert sorted(entry.case for entries in hands.values() for entry in entries) == sorted(
        c.case for c in CASES
    )
    found = patients(hands)
    assert sum(map(len, found.values())) == 120
    assert all(len(one) >= 3 for one in found.values())
    assert hands == deal(cases=CASES[::-1], **partition), "the order on disk plays no part"
    assert hands != deal(seed=2, **partition)


def test_equal_and_declared_shares():
    assert [len(one) for one in patients(deal(kind="iid")).values()] == [40, 40, 40]
    sites = {"north": ImageSetSite(share=4), "south": ImageSetSite(share=1), "west": ImageSetSite(share=1)}
    assert [len(one) for one in patients(deal(sites, kind="quantity")).values()] == [80, 20, 20]


def spread(by, alpha):
    """How much the sites' shares of the classes differ: 0 where all have the same mixture."""
    of_class = {
        "size": lambda entry: int(entry.patient[1:]) // 30,
        "structure": lambda entry: int(entry.patient[1:]) % 4 == 0,
        "center": lambda entry: entry.center,
    }[by]
    tables = []
    for seed in range(5):
        hands = deal(
            kind="dirichlet", alpha=alpha, by=by, seed=seed, cases=[c for c in CASES if "-0" in c.case]
        )
        for entries in hands.values():
            counts = Counter(of_class(entry) for entry in entries)
            groups = {of_class(entry) for entry in CASES}
            tables.append(max(counts[group] / len(entries) for group in groups))
    return float(np.mean(tables))


@pytest.mark.parametrize(("by", "even"), [("size", 0.25), ("center", 0.5)])
def test_small_concentration_skews_what_is_asked_for(by, even):
    assert spread(by, 1000) < even + 0.1
    assert spread(by, 0.05) > even + 0.15
    assert spread("structure", 0.05) > spread("structure", 1000)


def test_tiny_concentrations_do_not_underflow():
    assert sum(map(len, deal(kind="dirichlet", alpha=0.01).values())) == len(CASES)


def test_a_further_site_draws_for_itself():
    """What north gets relative to south does not depend on whether west is there."""
    two = {name: SITES[name] for name in ("north", "south")}
    before, after = (patients(deal(sites, kind="quantity", alpha=1.0)) for sites in (two, SITES))
    assert len(before["north"]) / len(before["south"]) == pytest.approx(
        len(after["north"]) / len(after["south"]), rel=0.15
    )


def test_claimed_centers_stay_out_of_the_pool():
    sites = SITES | {"unseen": ImageSetSite(center="b", test_only=True)}
    hands = deal(sites, kind="iid")
    assert {entry.center for entry in hands["unseen"]} == {"b"}
    assert {entry.center for name in SITES for entry in hands[name]} == {"a"}
    assert [len(one) for name, one in patients(hands).items() if name in SITES] == [20, 20, 20]


def test_too_few_patients_for_the_sites():
    with pytest.raises(
        ScenarioError, match=r"^task.dataset.partition: 120 patients for 3 sites of at least 50;"
    ):
        deal(kind="iid", min_patients=50)


def test_settings_without_effect_are_refused():
    sites = {"north": ImageSetSite(share=4), "south": ImageSetSite()}
    with pytest.raises(ScenarioError, match=r"^sites\.0\.data\.share: kind is iid, and only kind quantity"):
        deal(sites, kind="iid")
    with pytest.raises(ScenarioError, match=r"^sites\.0\.data\.share: this site has a center"):
        deal({"north": ImageSetSite(share=4, center="a"), "south": ImageSetSite()}, kind="quantity")
    for partition, message in (
        ({"kind": "natural", "by": "center"}, "natural has no by; remove it, or write kind: dirichlet"),
        ({"kind": "iid", "bins": 5}, "iid has no bins; remove it, or write kind: dirichlet"),
        ({"kind": "natural", "min_patients": 2}, "natural has no min_patients"),
    ):
        with pytest.raises(ValueError, match=message):
            Partition.model_validate(partition)


def test_a_single_class_has_no_skew():
    one = [replace(entry, center="all") for entry in CASES]
    with pytest.raises(ScenarioError, match=r"all patients are of one center.*; write by: size, or kind: q"):
        deal(cases=one, kind="dirichlet", alpha=0.5, by="center")
