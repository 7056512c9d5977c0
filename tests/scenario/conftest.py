import textwrap

import pytest

from simulator.scenario import load_study, schema
from tests.scenario import toy

BASE = """\
name: tiny
task:
  dataset: {name: counts}
  network: {name: net}
  optimizer: {lr: 0.1}
  batch_size: 2
sites:
  - name: north
    device: t4
    link: {up: 20 Mbit/s, down: 20 Mbit/s, latency: 8 ms}
    data: {cases: 4}
  - name: south
    speed: 1 TFLOP/s
    link: {up: 20 Mbit/s, down: 20 Mbit/s, latency: 8 ms}
    data: {cases: 4}
algorithm: {name: gossip, rounds: 2}
"""


@pytest.fixture
def registered(monkeypatch):
    """Toy entries instead of the registered ones."""
    toy.register(monkeypatch)
    yield
    schema.scenario_model.cache_clear()


@pytest.fixture
def load(registered, tmp_path, monkeypatch):
    """Write ``x.yaml`` and load it with ``--set`` options."""
    monkeypatch.chdir(tmp_path)

    def write_and_load(text, *overrides):
        (tmp_path / "x.yaml").write_text(textwrap.dedent(text), encoding="utf-8")
        return load_study("x.yaml", overrides)

    return write_and_load
