"""Entries of installed packages that cannot be used: whoever names one is told, nobody else is disturbed."""

import sys
from importlib.metadata import EntryPoint

import pytest

from simulator import registry as registries
from simulator.api import Algorithm, Settings
from simulator.errors import ScenarioError
from simulator.scenario import schema
from tests.support import study

GROUP = "medgossip.algorithms"
MODULE = """
from typing import Literal
from simulator.api import Algorithm, Settings
class Other(Settings):
    name: Literal["other"] = "other"
OTHER = Algorithm(settings=Other, site=lambda node, cfg: None, summary="", source="")
{line}
"""


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Declares ``name = plugin_of_a_test:value`` beside what is installed; ``line`` ends the module."""
    real = registries.entry_points

    def declare(name, value, line=""):
        (tmp_path / "plugin_of_a_test.py").write_text(MODULE.format(line=line))
        ours = EntryPoint(name, f"plugin_of_a_test:{value}", GROUP)
        monkeypatch.setattr(
            registries,
            "entry_points",
            lambda group: [*real(group=group), *([ours] if group == GROUP else [])],
        )

    def forget():
        sys.modules.pop("plugin_of_a_test", None)
        registries.registry.cache_clear()
        schema.scenario_model.cache_clear()

    monkeypatch.syspath_prepend(tmp_path)
    forget()
    yield declare
    monkeypatch.undo()
    forget()


@pytest.mark.parametrize(
    ("name", "value", "line", "why"),
    [
        ("mine", "OTHER", "def f(:", "plugin_of_a_test:OTHER cannot be loaded (SyntaxError: "),
        ("mine", "OTHER", "import nowhere", "(ModuleNotFoundError: No module named 'nowhere')"),
        ("mine", "MINE", "", "(AttributeError: module 'plugin_of_a_test' has no attribute 'MINE')"),
        ("mine", "Other", "", "plugin_of_a_test:Other is no Algorithm, but of type ModelMetaclass"),
        ("mine", "OTHER", "", "settings of plugin_of_a_test:OTHER are named other; give both the same name"),
        ("fedavg", "OTHER", "", "algorithms.fedavg:FEDAVG and plugin_of_a_test:OTHER have this name; rename"),
    ],
)
def test_what_cannot_be_used_is_told_to_who_names_it(installed, tmp_path, name, value, line, why):
    installed(name, value, line)
    assert "local" in registries.registry("algorithms")
    assert why in registries.unusable("algorithms")[name]
    assert study(tmp_path, "algorithm: {name: local, rounds: 1}\n").points
    with pytest.raises(ScenarioError, match=f'algorithm.name: algorithm "{name}" cannot be used: ') as error:
        study(tmp_path, f"algorithm: {{name: {name}, rounds: 1}}\n")
    assert why in str(error.value)


def test_what_is_whole_is_used(installed):
    installed("other", "OTHER")
    found = registries.registry("algorithms")["other"]
    assert isinstance(found, Algorithm)
    assert issubclass(found.settings, Settings)
    assert not registries.unusable("algorithms")
