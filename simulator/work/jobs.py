"""From a task to a job: a pure function with everything that goes into it, and its key.

The key is a digest of function name and version, parameters, input keys, data, learning seed,
recipe and numeric mode. It is known before the work is done, so equal work is done once: within a
run, between runs, between the points of a sweep.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.api import Ref, Task
from simulator.registry import DataMeta

MODEL = "#model"
"""Suffix of an input key: only the model of that outcome is handed in, not its optimizer's state."""


def digest(content: Any) -> str:
    """Return a short digest of JSON-like ``content``; equal for equal content."""
    return _digest_of(_text(content))


def _digest_of(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


_text = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work, complete: a worker needs nothing else but the store.

    ``inputs`` and ``data`` are keys (an input may end in :data:`MODEL`); ``recipe`` is the
    scenario's ``task`` section as JSON, with the network of the outcome; ``networks`` holds those of
    the inputs, None where it is the same; ``flop`` orders the work, longest first; ``stateful`` says
    whether the outcome may hold an optimizer's state.
    """

    key: str
    task: str
    function: str
    inputs: tuple[str, ...]
    data: tuple[str, ...]
    params: Mapping[str, Any]
    site: str
    seed: int
    recipe: Mapping[str, Any] = field(repr=False)
    networks: tuple[Mapping[str, Any] | None, ...] = field(default=(), repr=False)
    flop: float = 0.0
    stateful: bool = True

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys that must be in the store before this job can run."""
        return tuple(key.removesuffix(MODEL) for key in self.inputs) + self.data

    def describe(self) -> str:
        """What it takes to run this job again, in one line, for error messages."""
        return f"{self.function} key={self.key} site={self.site} seed={self.seed} params={dict(self.params)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Namer:
    """Names the work of one scenario.

    Args:
        recipe: the scenario's ``task`` section as JSON.
        meta: what the data set says of its cases.
        mode: the numeric mode (versions, precision, device) that decides bits.
        seed: the learning seed.
        prepared: key of the prepared cases of each site.
        own: name of the network of each site that has another one than the recipe's, whose name is
            empty.
        networks: the network's section as JSON, by these names.
    """

    recipe: Mapping[str, Any]
    meta: DataMeta
    mode: str
    seed: int
    prepared: Mapping[str, str]
    own: Mapping[str, str] = field(default_factory=dict)
    networks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    _network_of: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    _stateless: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    _parts: dict[tuple[object, ...], tuple[str, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )  # what many keys have in common, written as JSON once

    def job(
        self, task: Task, site: str, refs: tuple[Ref, ...], params: Mapping[str, Any], flop: float
    ) -> Job:
        """Return the job of ``task`` at ``site``; its key holds all that can change its bits."""
        data = {
            "none": (),
            "own": (self.prepared.get(site, ""),),
            "all": tuple(self.prepared[name] for name in sorted(self.prepared)),
        }[task.data]
        inputs = tuple(ref.key for ref in refs)
        networks = [self.network_of(key) for key in inputs]
        network = self._network_of_outcome(task, site, networks)
        before, between, after = self._common(task, site, data, network)
        written = ",".join(f'"{one}"' for one in inputs)  # as JSON: keys need no escaping
        key = _digest_of(f'{before}"inputs":[{written}]{between}"params":{_text(params)}{after}')
        # what comes from no model and no cases, as initial weights do, has not been trained yet
        stateful = task.stateful and bool(inputs or data)
        if not stateful:
            self._stateless.add(key)
        if network:
            self._network_of[key] = network
        others = tuple(None if name == network else self._recipe_with(name)["network"] for name in networks)
        return Job(
            key=key, task=task.name, function=task.function, inputs=inputs, data=data, params=params,
            site=site, seed=self.seed, recipe=self._recipe_with(network), networks=others,
            flop=flop, stateful=stateful,
        )  # fmt: skip

    def network_of(self, key: str) -> str:
        """Return the name of the network whose model an outcome is, empty for the recipe's."""
        return self._network_of.get(key.removesuffix(MODEL), "")

    def _network_of_outcome(self, task: Task, site: str, inputs: list[str]) -> str:
        if task.network_of is None and inputs:
            return inputs[0]
        return self.own.get(site if task.network_of is None else task.network_of, "")

    def _common(self, task: Task, site: str, data: tuple[str, ...], network: str) -> tuple[str, ...]:
        """What a key is a digest of, as JSON with sorted names: what stands before the inputs, between
        these and the params, and after them.
        """
        place = (task.name, task.function, task.version, task.seeded, site, data, network)
        if place not in self._parts:
            # the root of a data set on disk may move; what lies there is named by the prepared cases
            unkeyed = {"dataset", "strict"}
            whole = self._recipe_with(network)
            meta = [self.meta.channels, self.meta.structures, self.meta.spatial_dims]
            owner = {"no": None, "run": self.seed, "site": [self.seed, site]}[task.seeded]
            recipe = {name: value for name, value in whole.items() if name not in unkeyed}
            self._parts[place] = (
                f'{{"data":{_text(data)},',
                f',"meta":{_text(meta)},"mode":{_text(self.mode)},"owner":{_text(owner)},',
                f',"recipe":{_text(recipe)},"task":{_text([task.name, task.function, task.version])}}}',
            )
        return self._parts[place]

    def _recipe_with(self, network: str) -> Mapping[str, Any]:
        return {**self.recipe, "network": self.networks[network]} if network else self.recipe

    def model_only(self, ref: Ref) -> Ref:
        """Return the reference to the model of an outcome, as it travels between sites.

        An outcome that holds nothing else keeps its key, so that training from it is the same work
        at the site that has it and at one that received it.
        """
        if ref.key in self._stateless or ref.key.endswith(MODEL):
            return ref
        return Ref(ref.key + MODEL, ref.task, ref.node)
