"""Tiny scenarios for tests: declared data, no training; and an algorithm built on the spot."""

import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import simulator.registry as registries
from simulator.api import Algorithm, Settings
from simulator.scenario import load_study
from simulator.simulation import simulate
from simulator.work.executors import PlanExecutor

SHARED = Path(__file__).parents[2] / "shared"

HEADER = """
name: tiny
task:
  dataset: {name: declared, channels: [t1], structures: [tumor], spatial_dims: 2, item_shape: [32, 32]}
  # in fp32 and with the header of a payload 1,000,000 bytes
  network:
    name: declared
    num_parameters: 249992
    forward_flop: 1.0e9
    parts: {head: [50000, 0], batch_norm: [2000, 0]}
  optimizer: {name: adamw, lr: 1.0e-3}
  batch_size: 4
network: {transport: {preset: ideal}}
"""

SITES = """
sites:
  - name: a
    seconds_per_item: 1 s
    link: {up: 8 Mbit/s, down: 8 Mbit/s, latency: 0 ms}
    data: {train: 10, val: 2, test: 3}
  - name: b
    seconds_per_item: 2 s
    link: {up: 8 Mbit/s, down: 8 Mbit/s, latency: 0 ms}
    data: {train: 20, val: 2, test: 3}
  - name: c
    seconds_per_item: 1 s
    link: {up: 4 Mbit/s, down: 8 Mbit/s, latency: 0 ms}
    data: {train: 30, val: 2, test: 3}
server: {speed: 1 TFLOP/s, link: {up: 8 Mbit/s, down: 8 Mbit/s, latency: 0 ms}}
"""


def study(tmp_path, text, *overrides, sites=SITES):
    path = tmp_path / "tiny.yaml"
    path.write_text(HEADER + sites + textwrap.dedent(text), encoding="utf-8")
    return load_study(str(path), list(overrides))


def run(tmp_path, text, *overrides, sites=SITES):
    """Plan a scenario and return the finished simulation."""
    point = study(tmp_path, text, *overrides, sites=sites).points[0]
    return simulate(point.label, point.scenario, PlanExecutor(), "plan")


class Scripted(Settings):
    """Settings of an algorithm that a test writes inline."""

    name: Literal["scripted"] = "scripted"


@contextmanager
def registered(monkeypatch, algorithm):
    """Make an algorithm known under its settings' name for the time of a test."""
    from simulator.scenario import schema

    real = registries.registry
    name = algorithm.settings.model_fields["name"].default
    known = dict(real("algorithms")) | {name: algorithm}

    def patched(group):
        return known if group == "algorithms" else real(group)

    for module in sorted(sys.modules):
        if module.startswith("simulator.") and getattr(sys.modules[module], "registry", None) is real:
            monkeypatch.setattr(sys.modules[module], "registry", patched)
    schema.scenario_model.cache_clear()
    yield
    schema.scenario_model.cache_clear()


def scripted(monkeypatch, site, server=None):
    """Register ``scripted``, whose roles a test wrote inline."""
    algorithm = Algorithm(settings=Scripted, site=site, server=server, summary="a test", source="this test")
    return registered(monkeypatch, algorithm)
