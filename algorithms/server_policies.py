"""How patient a server is: whom it asks, how long it waits, what a round needs, who is left out.

The settings of all methods with rounds and a server; :mod:`algorithms.server_answers` acts on them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from algorithms.common import Count, Exchanging, Quorum, needed
from algorithms.defenses import Defended, too_few
from simulator.api import ModelSize, Seconds, SiteData, refuse_idle


class WithServer(Exchanging):
    """What sites do when their server is gone.

    A site that hears nothing for ``server_patience`` keeps its last model and stops, trains on alone,
    goes on by gossip averaging with its peers, or has a successor elected among the sites: whoever has
    the newest state, the first by name of these. Candidates have ``election_timeout`` to answer.
    """

    server_patience: Seconds = 7200.0
    when_server_lost: Literal["stop", "train_alone", "gossip", "elect"] = "stop"
    election_timeout: Seconds = 60.0

    @model_validator(mode="after")
    def _elects(self) -> "WithServer":
        if self.when_server_lost != "elect":
            refuse_idle(self, ["election_timeout"], "nobody is elected; write when_server_lost: elect")
        return self


class ServerBased(WithServer):
    """Settings of rounds with a server.

    A round is one download and one upload per site of the cohort; after the last round every site
    downloads the final state. ``cohort`` is the share of sites whose answers are wanted in a round;
    ``over_selection`` times as many are asked, and the first count. The server waits for answers until
    ``round_deadline`` after it sent its state, or until ``grace`` after the ``quorum`` came, whichever
    is first (no ``grace``: it waits for all), and ``site_grace`` longer for the sites named there. With
    fewer than the ``quorum`` the state stays as it is and the round is recorded as empty. Updates that
    come after their round are discarded; with ``late_updates: accept`` the newest counts for a site
    that gives no newer one, but for no quorum. A site from which nothing came for ``prune_after`` rounds
    in a row is asked no more, until it is heard of again. Answers are weighted by training cases, by
    optimizer steps of the round, or alike. Sites start each round with a fresh optimizer, or go on with
    their own (``optimizer_state: persistent``).
    """

    cohort: Annotated[float, Field(gt=0, le=1)] = 1.0
    over_selection: Annotated[float, Field(ge=1)] = 1.0
    sender_weights: Literal["cases", "steps", "uniform"] = "cases"
    round_deadline: Seconds = 3600.0
    quorum: Quorum = 1
    grace: Seconds | None = None
    site_grace: Mapping[str, Seconds] = Field(default_factory=dict)
    late_updates: Literal["discard", "accept"] = "discard"
    prune_after: Count | None = None
    optimizer_state: Literal["reset", "persistent"] = "reset"

    def answers_needed(self, num_wanted: int) -> int:
        """Answers without which a round counts for nothing, of those wanted."""
        return max(1, needed(self.quorum, num_wanted))

    def cohort_size(self, num_listed: int) -> int:
        """How many answers are wanted from so many sites."""
        return max(1, round(self.cohort * num_listed))

    @model_validator(mode="after")
    def _patient(self) -> "ServerBased":
        longest = self.round_deadline + max(self.site_grace.values(), default=0.0)
        if self.server_patience <= longest:
            raise ValueError(
                f"server_patience ({self.server_patience:g} s) must exceed round_deadline and site_grace "
                f"({longest:g} s), or sites give up while the server waits for others"
            )
        return self

    @model_validator(mode="after")
    def _useful(self) -> "ServerBased":
        if self.over_selection > 1 and self.cohort == 1:
            raise ValueError(
                "over_selection: all sites are in the cohort, there is nobody more; lower cohort"
            )
        return self


def check(cfg: ServerBased, data: Mapping[str, SiteData], model: ModelSize, task: Any) -> str:
    """A quorum that a cohort can reach, and sites that exist."""
    size = cfg.cohort_size(len(data))
    if not 1 <= needed(cfg.quorum, size) <= size:
        return f"algorithm.quorum: {cfg.quorum} is not between 1 and the {size} site(s) of a cohort"
    unknown = sorted(set(cfg.site_grace) - set(data))
    if unknown:
        return f"algorithm.site_grace: no site {unknown[0]} takes part; there are {', '.join(sorted(data))}"
    return too_few(cfg.defense, size) if isinstance(cfg, Defended) else ""
