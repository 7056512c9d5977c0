"""What a node finds on its disk when it starts again after a crash."""

import copy
from typing import Any


class Disk:
    """Keeps what a protocol marks as durable, by the policy of its machine (``checkpoint``).

    ``every mark``: all that was marked. ``every task``: beside that the outcome of every task that was
    finished, so that none is done twice. ``5 rounds``: what was marked when the node had recorded five
    rounds more than the last time; what came after is lost. ``never``: nothing.
    """

    def __init__(self, policy: str) -> None:
        self._keeps_all = policy in {"every mark", "every task"}
        self._keeps_tasks = policy == "every task"
        self._rounds = int(policy.split()[0]) if policy.endswith("rounds") else 0
        self._saved: dict[str, Any] = {}
        self._saved_round = self._round = -1
        self._done: set[str] = set()
        self._found: frozenset[str] = frozenset()

    def has(self, key: str) -> bool:
        """Whether a task's outcome was found at the last start."""
        return key in self._found

    def finished(self, key: str) -> None:
        """A task is done."""
        if self._keeps_tasks:
            self._done.add(key)

    def reached(self, round_: int) -> None:
        """The node has recorded something of a round."""
        self._round = max(self._round, round_)

    def save(self, durable: dict[str, Any]) -> None:
        """The protocol waits: what it has marked is consistent now."""
        if self._rounds and self._round >= self._saved_round + self._rounds:
            self._saved, self._saved_round = copy.deepcopy(durable), self._round

    def after_crash(self, durable: dict[str, Any]) -> dict[str, Any]:
        """What is left of what was marked."""
        self._found = frozenset(self._done)
        if self._keeps_all:
            return durable
        self._round = self._saved_round
        return copy.deepcopy(self._saved)
