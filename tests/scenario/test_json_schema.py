import json

import pytest
from ruamel.yaml import YAML

from simulator.scenario.files import bundled
from simulator.scenario.json_schema import DIALECT, json_schema
from tests.scenario.conftest import BASE

GENERATED = "{generate: 3, device: t4, link: {up: 1 B/s}, data: {cases: 3}}"


@pytest.fixture
def validator():
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def read(text):
    return YAML(typ="safe", pure=True).load(text)


def test_it_is_json_of_the_dialect_and_knows_every_registered_name():
    text = json.dumps(json_schema())
    schema = json.loads(text)
    assert schema["$schema"] == DIALECT
    assert {"sweep", "include", "algorithm", "sites", "faults"} <= schema["properties"].keys()
    assert schema["additionalProperties"] is False
    names = schema["properties"]["algorithm"]["discriminator"]["mapping"]
    assert {"gcml", "fedavg", "gossip-averaging", "local"} <= names.keys()


@pytest.mark.parametrize("name", list(bundled()))
def test_every_bundled_scenario_validates(name, validator):
    validator.validate(read(bundled()[name].read_text(encoding="utf-8")))


def test_generators_sweeps_and_errors(registered, validator):
    validator.validate(read(BASE))
    head = BASE[: BASE.index("sites:")] + "algorithm: {name: gossip, rounds: 1}\n"
    validator.validate(read(f"{head}sites: {GENERATED}\n"))
    validator.validate(read(f"{head}sites: [{GENERATED}]\nsweep: {{seed.network: 6 seeds}}\n"))
    for bad in (BASE + "zzz: 1\n", BASE.replace("latency: 8 ms", "latency: 8"), head):
        assert not validator.is_valid(read(bad))
