"""What the methods share: the budget of local epochs, and how a model's epochs are numbered."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from simulator.api import Settings

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Budget(Settings):
    """How much each site trains: the same number of local epochs for every method compared.

    ``epochs`` is the budget per site, a whole number of rounds of ``local_epochs``; ``rounds`` may
    be given instead.
    """

    epochs: Count | None = None
    rounds: Count | None = None
    local_epochs: Count = 1

    @model_validator(mode="after")
    def _whole_rounds(self) -> "Budget":
        if (self.epochs is None) == (self.rounds is None):
            raise ValueError("give either epochs (the budget of a site) or rounds")
        if self.epochs is not None and self.epochs % self.local_epochs:
            raise ValueError(
                f"epochs {self.epochs} is not a whole number of rounds of {self.local_epochs} local epochs"
            )
        return self

    @property
    def num_rounds(self) -> int:
        """Rounds of a method that trains ``local_epochs`` in each of them."""
        return self.rounds or (self.epochs or 0) // self.local_epochs


class GossipBudget(Budget):
    """A budget of which the first epochs are a warm-up without exchange.

    ``warmup_epochs`` defaults to the whole rounds nearest above 20 % of ``epochs`` (reconstruction:
    that GCML warms up is published, how long is not), and to none where ``rounds`` are given.
    """

    warmup_epochs: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _rounds_left(self) -> "GossipBudget":
        if self.epochs is not None and self.warmup_epochs is not None:
            left = self.epochs - self.warmup_epochs
            if left < self.local_epochs or left % self.local_epochs:
                raise ValueError(
                    f"a warm-up of {self.warmup_epochs} of {self.epochs} epochs leaves no whole number of "
                    f"rounds of {self.local_epochs} local epochs"
                )
        return self

    @property
    def num_warmup_epochs(self) -> int:
        """Epochs before the first exchange."""
        if self.warmup_epochs is not None:
            return self.warmup_epochs
        return (self.epochs or 0) - self.num_rounds * self.local_epochs if self.epochs else 0

    @property
    def num_rounds(self) -> int:
        """Rounds after the warm-up."""
        if self.rounds is not None:
            return self.rounds
        assert self.epochs is not None  # checked by Budget
        if self.warmup_epochs is not None:
            return (self.epochs - self.warmup_epochs) // self.local_epochs
        return max(1, (4 * self.epochs) // (5 * self.local_epochs))

    def first_epoch(self, round_: int) -> int:
        """Number of the first local epoch of a round; batches are drawn by this number."""
        return self.num_warmup_epochs + round_ * self.local_epochs


Weights = Literal["cases", "uniform"]
