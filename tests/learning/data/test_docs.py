"""The stanzas of docs/data.md say what the data sets understand."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from simulator.registry import registry
from simulator.scenario.messages import validate

TEXT = (Path(__file__).parents[3] / "docs/data.md").read_text(encoding="utf-8")
STANZAS = [YAML(typ="safe").load(text) for text in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]


@pytest.mark.parametrize(
    "stanza", STANZAS, ids=lambda one: one.get("task", {"dataset": {"name": "any"}})["dataset"]["name"]
)
def test_every_stanza_is_valid(stanza):
    dataset = stanza.get("task", {}).get("dataset", {"name": "brats2021"})
    entry = registry("datasets")[dataset["name"]]
    if "root" in dataset:
        validate(entry.settings, dataset)
        assert "patch_size" in stanza["task"] or {"size", "crop"} & set(dataset), (
            "a training step has no size"
        )
    for site in stanza["sites"]:
        validate(entry.site_settings, site["data"])


def test_every_data_set_is_described():
    assert [name for name in registry("datasets") if name not in TEXT] == []
