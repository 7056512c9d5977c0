"""The trace of a run: typed rows of what protocols, processors and faults did, in virtual time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.api import Ref

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """A model that a site uses from now on (``site`` None: all sites), to be evaluated afterwards."""

    site: str | None
    round: int
    time_s: float
    model: Ref
    predictor: str = ""  # how it predicts, where not by one forward pass
    predictor_params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Trace:
    """Rows by table, see :data:`simulator.record.tables.TABLES`."""

    events: list[Row] = field(default_factory=list)
    work: list[Row] = field(default_factory=list)
    faults: list[Row] = field(default_factory=list)
    outages: list[Row] = field(default_factory=list)
    conditions: list[Row] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)

    def event(
        self,
        time_s: float,
        node: str,
        event: str,
        round_: int | None,
        peer: str | None,
        detail: dict[str, Any],
    ) -> None:
        """Append a row; ``detail`` becomes JSON."""
        text = json.dumps(detail, sort_keys=True, default=str) if detail else ""
        self.events.append((len(self.events), time_s, node, event, round_, peer, text))

    def text(self) -> str:
        """The events as lines, for golden traces that people read in review."""
        lines = []
        for _, time_s, node, event, round_, peer, detail in self.events:
            parts = [f"{time_s:12.3f}", f"{node:8}", f"{event:12}"]
            parts += [f"round {round_}"] if round_ is not None else []
            parts += [f"<-> {peer}"] if peer is not None else []
            parts += [detail] if detail else []
            lines.append(" ".join(parts).rstrip())
        return "\n".join(lines) + "\n"
