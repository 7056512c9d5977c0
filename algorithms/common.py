"""What the methods share: the budget of local epochs, and how a model's epochs are numbered."""

import re
from collections.abc import Callable, Collection, Generator, Sequence
from math import ceil
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from simulator.api import Message, Node, Ref, Role, Sending, Settings

Steps = Generator[Any, Any, Any]
"""A part of a role; what it returns is handed to whoever yields from it."""

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


def whole_rounds(epochs: int | None, of_round: int, described: str) -> None:
    """Check that a budget of ``epochs`` is spent after a whole number of rounds of ``of_round`` each.

    Raises:
        ValueError: it is not; names the nearest ones that are.
    """
    if epochs is not None and epochs % of_round:
        below, above = epochs - epochs % of_round, epochs + -epochs % of_round
        nearest = f"{below} or {above}" if below else f"{above}"
        raise ValueError(
            f"epochs {epochs} is not a whole number of rounds of {described}; write epochs: {nearest}"
        )


class Budget(Settings):
    """How much each site trains: the same number of local epochs for every method compared.

    ``epochs`` is the budget per site, a whole number of rounds of ``local_epochs``; ``rounds`` may
    be given instead. After them each site may train its last model ``finetune_epochs`` more on its
    own cases, beyond the budget.
    """

    epochs: Count | None = None
    rounds: Count | None = None
    local_epochs: Count = 1
    finetune_epochs: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _whole_rounds(self) -> "Budget":
        if (self.epochs is None) == (self.rounds is None):
            raise ValueError("give either epochs (the budget of a site) or rounds")
        whole_rounds(self.epochs, self.local_epochs, f"{self.local_epochs} local epochs")
        return self

    @property
    def num_rounds(self) -> int:
        """Rounds of a method that trains ``local_epochs`` in each of them."""
        return self.rounds or (self.epochs or 0) // self.local_epochs

    @property
    def num_epochs(self) -> int:
        """Local epochs of a site in all, without fine-tuning."""
        return self.num_rounds * self.local_epochs

    def first_epoch(self, round_: int) -> int:
        """Number of the first local epoch of a round; batches are drawn by this number."""
        return round_ * self.local_epochs


class Exchanging(Budget):
    """A budget of sites that send models, and how patient their senders are: see
    :class:`simulator.api.Sending`.
    """

    sending: Sending = Sending()


class GossipBudget(Exchanging):
    """A budget of which the first epochs are a warm-up without exchange.

    ``warmup_epochs`` defaults to the whole rounds nearest above 20 % of ``epochs`` (reconstruction:
    that GCML warms up is published, how long is not), and to none where ``rounds`` are given.
    """

    warmup_epochs: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _rounds_left(self) -> "GossipBudget":
        if self.epochs is not None and self.warmup_epochs is not None:
            left, each = self.epochs - self.warmup_epochs, self.local_epochs
            if left < each or left % each:
                fitting = min(self.warmup_epochs, self.epochs - each) // each * each
                raise ValueError(
                    f"a warm-up of {self.warmup_epochs} of {self.epochs} epochs leaves no whole number of "
                    f"rounds of {each} local epochs; write warmup_epochs: {fitting}"
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

    @property
    def num_epochs(self) -> int:
        """Local epochs of a site in all, without fine-tuning."""
        return self.num_warmup_epochs + self.num_rounds * self.local_epochs

    def first_epoch(self, round_: int) -> int:
        """Number of the first local epoch of a round; batches are drawn by this number."""
        return self.num_warmup_epochs + round_ * self.local_epochs


Weights = Literal["cases", "uniform"]

_QUORUM = re.compile(r"n(?: ?- ?(\d+))?|(\d+(?:\.\d+)?) ?%")


def _quorum(value: int | str) -> int | str:
    if isinstance(value, str) and not _QUORUM.fullmatch(value):
        raise ValueError(f'"{value}" is no quorum; write a number of sites, n, n-1 or 60 %')
    if isinstance(value, int) and value < 1:
        raise ValueError(f"a quorum of {value} needs nobody; write 1 or more, n, n-1 or 60 %")
    return value


Quorum = Annotated[int | str, AfterValidator(_quorum)]
"""How many of n are enough: a number, ``n``, ``n-1`` and so on, or a share as ``60 %``, rounded up."""


def needed(quorum: int | str, num_wanted: int) -> int:
    """A quorum as a number of those wanted; below 1 or above their number where it cannot be one."""
    if isinstance(quorum, int):
        return quorum
    found = _QUORUM.fullmatch(quorum)
    assert found is not None  # checked with the settings
    if found[2] is not None:
        return ceil(float(found[2]) / 100 * num_wanted - 1e-9)
    return num_wanted - int(found[1] or 0)


def whose_cases(node: Node, names: Collection[str]) -> dict[str, Any]:
    """What a record says of a model that was made of what these sites trained: whose data went in, and
    what share of all training cases that is.
    """
    total = sum(node.cases_of.values())
    cases = sum(node.cases_of[name] for name in names)
    return {"sites": sorted(names), "cases_share": round(cases / total, 6)}


def not_outdated(messages: Sequence[Message], since_s: float) -> list[Message]:
    """Those with a model, in the order in which they were sent. One that left before ``since_s``, when what
    this site works on did, was overtaken on a line that stood still.
    """
    models = [message for message in messages if message.ref is not None and message.sent_s >= since_s]
    return sorted(models, key=lambda message: message.sent_s)


def train_round(node: Node, cfg: Budget, model: Ref, round_: int) -> Steps:
    """The local epochs of a round."""
    first = cfg.first_epoch(round_)
    return (
        yield node.compute(
            node.learner.train, model, epochs=cfg.local_epochs, first_epoch=first, round=round_
        )
    )


def tune(node: Node, cfg: Any, model: Ref, **epochs: Any) -> Steps:
    """Further local epochs."""
    return (yield node.compute(node.learner.train, model, **epochs))


def fine_tuned(role: Callable[..., Steps], tune: Callable[..., Steps] = tune) -> Callable[..., Role]:
    """Let a site train (``tune``) the model that its role returns for ``finetune_epochs`` more, on batches
    beyond the budget, and use the outcome.
    """

    def site(node: Node, cfg: Any) -> Role:
        model = yield from role(node, cfg)
        if cfg.finetune_epochs and model is not None:
            model = yield from tune(
                node,
                cfg,
                model,
                epochs=cfg.finetune_epochs,
                first_epoch=cfg.num_epochs,
                round=cfg.num_rounds,
            )
            node.record("round", round=cfg.num_rounds, model=model)

    return site
