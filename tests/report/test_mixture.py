"""Runs of different tasks or sites are refused."""

from dataclasses import replace

import pytest

from simulator.errors import ScenarioError
from simulator.report.mixture import refuse_mixture
from tests.record.runs_for_tests import made_run


def run_of(size, *sites):
    scenario = {"task": {"dataset": {"size": size}}, "sites": [{"name": name} for name in sites]}
    return replace(made_run(), scenario=scenario)


def test_it_names_what_differs():
    refuse_mixture([run_of(96, "a", "b"), run_of(96, "b", "a")])
    with pytest.raises(ScenarioError, match=r"different tasks or sites: task\.dataset\.size; report"):
        refuse_mixture([run_of(96, "a"), run_of(64, "a")])
    with pytest.raises(ScenarioError, match=r"sites \(a \| a b\)"):
        refuse_mixture([run_of(96, "a"), run_of(96, "a", "b")])
