"""How hierarchical FedAvg is set, and which site belongs to which region."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import model_validator

from algorithms.common import Count, needed, whole_rounds
from algorithms.server_policies import ServerBased, check
from simulator.api import ModelSize, Node, Seconds, Settings, SiteData, refuse_idle


class Region(Settings):
    """Sites that average among themselves at one of them: ``edge``, by default the first listed."""

    sites: tuple[str, ...]
    edge: str | None = None

    @property
    def heirs(self) -> list[str]:
        """Who aggregates, and who takes over in turn."""
        first = self.edge or self.sites[0]
        return [first, *(name for name in self.sites if name != first)]


class Hierarchical(ServerBased):
    """Hierarchical FedAvg: a round has ``edge_rounds`` of ``local_epochs``, each followed by the mean of
    the region; after the last one the server averages regions by the cases that went into them.

    Sites belong to ``regions``; without them, sorted by name, to ``num_regions`` as equal as possible. An
    edge waits for its sites at most ``edge_deadline``. If it gives the server no answer in a round, the
    next site of its region takes over (``when_edge_lost: replace``), or the region stands still until it
    is back (``keep``).
    """

    name: Literal["hierarchical-fedavg"] = "hierarchical-fedavg"
    when_server_lost: Literal["stop", "train_alone"] = "stop"
    edge_rounds: Count = 2
    regions: tuple[Region, ...] = ()
    num_regions: Count = 2
    edge_deadline: Seconds = 1200.0
    when_edge_lost: Literal["replace", "keep"] = "replace"
    sender_weights: Literal["cases"] = "cases"

    @model_validator(mode="after")
    def _in_time(self) -> "Hierarchical":
        if self.cohort != 1:
            raise ValueError("cohort: every region takes part in every round; leave it out")
        if self.regions:
            refuse_idle(self, ["num_regions"], "the regions are listed; remove it, or regions")
        if self.prune_after is not None:
            raise ValueError("prune_after: a silent edge has an heir; leave it out, and see when_edge_lost")
        if self.edge_rounds * self.edge_deadline > self.round_deadline:
            raise ValueError(
                f"round_deadline ({self.round_deadline:g} s) must allow {self.edge_rounds} edge rounds of "
                f"edge_deadline ({self.edge_deadline:g} s); write edge_deadline: "
                f"{self.round_deadline / self.edge_rounds:g} s, or a longer round_deadline"
            )
        described = f"{self.edge_rounds} edge rounds of {self.local_epochs} local epochs"
        whole_rounds(self.epochs, self.edge_rounds * self.local_epochs, described)
        return self

    @property
    def num_rounds(self) -> int:
        """Rounds of the server."""
        return self.rounds or (self.epochs or 0) // (self.local_epochs * self.edge_rounds)

    @property
    def num_epochs(self) -> int:
        """Local epochs of a site in all, without fine-tuning."""
        return self.num_rounds * self.edge_rounds * self.local_epochs


def regions_of(node: Node, cfg: Hierarchical) -> list[list[str]]:
    """The sites of each region that take part, the edge first, then its heirs in turn."""
    if cfg.regions:
        listed = [[name for name in region.heirs if name in node.sites] for region in cfg.regions]
        return [names for names in listed if names]
    size, count = len(node.sites), min(cfg.num_regions, len(node.sites))
    return [list(node.sites[size * i // count : size * (i + 1) // count]) for i in range(count)]


def check_regions(cfg: Hierarchical, data: Mapping[str, SiteData], model: ModelSize, task: Any) -> str:
    """Every site in one region, and edges among their sites."""
    listed = [name for region in cfg.regions for name in region.sites]
    for i, region in enumerate(cfg.regions):
        if not region.sites:
            return f"algorithm.regions.{i}.sites: is empty; list the sites of the region"
        if region.edge is not None and region.edge not in region.sites:
            return f"algorithm.regions.{i}.edge: {region.edge} is not among the sites of its region"
    twice = sorted({name for name in listed if listed.count(name) > 1})
    if twice:
        return f"algorithm.regions: {', '.join(twice)} is in more than one region"
    left = sorted(set(data) - set(listed))
    if cfg.regions and left:
        return f"algorithm.regions: {', '.join(left)} is in no region"
    count = len(cfg.regions) or min(cfg.num_regions, len(data))
    if not 1 <= needed(cfg.quorum, count) <= count:
        return f"algorithm.quorum: {cfg.quorum} is not between 1 and the {count} region(s)"
    return check(cfg, data, model, task)
