"""What becomes of a model as it leaves its site: concealed where the scenario asks for privacy, then
falsified where the site is rogue. The site itself goes on with what it has.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from simulator.api import Ref, Task
from simulator.scenario.outgoing import Privacy, Rogue
from simulator.sites.accounting import epsilon
from simulator.sites.falsifying import CONCEAL, FALSIFY


class Outgoing:
    """What leaves the sites of one run.

    Args:
        rogues: how sites harm the others, by name.
        privacy: what every site does to its updates, if anything.
        submit: makes a task known: ``(task, node, inputs, params)``; its outcome is as large as the
            first input.
        initial: the initial model of a site.
        model_only: the reference to a model as it travels.
    """

    def __init__(
        self,
        *,
        rogues: Mapping[str, Rogue],
        privacy: Privacy | None,
        submit: Callable[[Task, str, tuple[Ref, ...], Mapping[str, Any]], Ref],
        initial: Callable[[str], Ref],
        model_only: Callable[[Ref], Ref],
    ) -> None:
        self._rogues, self._privacy = rogues, privacy
        self._submit, self._initial, self._model_only = submit, initial, model_only
        self._heard: dict[str, Ref] = {}  # the last model that each site received
        self._first: dict[tuple[str, str], Ref] = {}  # the first that it sent of a kind of message
        self._released: dict[tuple[str, str], Ref] = {}  # what was concealed, by site and key
        self._false: dict[tuple[str, str], Ref] = {}  # what was falsified, likewise
        self.num_releases: Counter[str] = Counter()
        self.num_false: Counter[str] = Counter()

    def heard(self, site: str, ref: Ref) -> None:
        """Note the model that a site has received: its next update starts from there."""
        if self._privacy is not None or site in self._rogues:
            self._heard[site] = ref

    def leave(self, site: str, kind: str, ref: Ref, *, is_change: bool, now_s: float) -> tuple[Ref, str]:
        """Return what really leaves, and what was done to it: concealed, falsified or nothing (empty)."""
        done = ""
        if self._privacy is not None:
            ref, done = self._conceal(site, ref, is_change, self._privacy), "concealed"
        rogue = self._rogues.get(site)
        if rogue is None:
            return ref, done
        first = self._first.setdefault((site, kind), ref)
        if not rogue.acts_at(now_s):
            return ref, done
        self.num_false[site] += 1
        if rogue.kind == "replay":
            return first, "falsified"
        if (site, ref.key) not in self._false:
            number = sum(one == site for one, _ in self._false)
            params = {"kind": rogue.kind, "strength": rogue.strength, "number": number}
            inputs = self._inputs(site, ref, is_change)
            self._false[site, ref.key] = self._submit(FALSIFY, site, inputs, params)
        return self._false[site, ref.key], "falsified"

    def _conceal(self, site: str, ref: Ref, is_change: bool, privacy: Privacy) -> Ref:
        """The same model goes to any number of receivers with the same noise: that is one release."""
        if (site, ref.key) not in self._released:
            self.num_releases[site] += 1
            params = {"clip": privacy.clip, "noise": privacy.noise, "number": self.num_releases[site]}
            inputs = self._inputs(site, ref, is_change)
            self._released[site, ref.key] = self._submit(CONCEAL, site, inputs, params)
        return self._released[site, ref.key]

    def _inputs(self, site: str, ref: Ref, is_change: bool) -> tuple[Ref, ...]:
        sent = self._model_only(ref)
        if is_change:
            return (sent,)
        return sent, self._model_only(self._heard.get(site) or self._initial(site))

    def epsilon_of(self, site: str) -> float | None:
        """Return a site's privacy loss so far, None without privacy."""
        if self._privacy is None:
            return None
        return epsilon(self.num_releases[site], self._privacy.noise, self._privacy.delta)

    def account(self, sites: tuple[str, ...]) -> dict[str, Any]:
        """Return what the manifest says: releases and privacy loss, false models sent, by site."""
        found: dict[str, Any] = {}
        if self._privacy is not None:
            found["privacy"] = {
                name: {"num_releases": self.num_releases[name], "epsilon": self.epsilon_of(name)}
                for name in sites
            } | {"delta": self._privacy.delta}
        if self._rogues:
            found["num_false_models"] = {name: self.num_false[name] for name in sorted(self._rogues)}
        return found

    def remarks(self) -> list[str]:
        """Return a warning for every rogue site that sent nothing while it was to send false models."""
        return [
            f"{name} was to send {rogue.kind} models and sent none: no model left it in that time"
            for name, rogue in sorted(self._rogues.items())
            if rogue.kind != "label-flip" and not self.num_false[name]
        ]
