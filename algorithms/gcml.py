"""GCML, gossip contrastive mutual learning, and its predecessor GML as a setting of it.

J. Chen, Y. Yuan, "Decentralized Personalization for Federated Medical Image Segmentation via Gossip
Contrastive Mutual Learning", IEEE Trans. Medical Imaging 44(7), 2025, doi 10.1109/TMI.2025.3549292.
GML: arXiv 2401.06180 (SPIE Medical Imaging 2024) and arXiv 2401.15434 (IEEE EMBS DSE-HMB 2023).

**A GCML-style method.** Published: no server; a warm-up; some sites send their model one way to one
random peer; the receiver trains the incoming and its local model together on its own cases, coupled
through their predictions. **Our reconstruction**, because neither the paper's equations nor its
federated code were available: the contrastive term, the region it acts on, the merge and its gate,
the schedules' details, the length of the warm-up and the behavior under failures. Nothing here may
be quoted as an equation of the paper.
"""

from collections.abc import Mapping
from functools import partial
from math import log
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from algorithms.common import Positive, Steps, fine_tuned
from algorithms.gossip_rounds import Gossip, settled, vetted
from algorithms.gossip_sites import gossip_site
from algorithms.tasks import EXTRA_STAGE, STAGE
from simulator.api import Algorithm, Message, ModelSize, Node, Ref, SiteData, only_with, refuse_idle


class Gcml(Gossip):
    """GCML.

    A receiver trains both models for ``mutual_epochs`` (by default its local epochs). Each one's
    loss is the supervised loss plus ``lam`` times the coupling: follow the other model where it is
    right (within ``region``), and, weighted by ``beta``, keep a Bernoulli divergence of at least
    ``margin`` nats from it where it is wrong; of the main head, or of ``heads: all`` where a network has
    auxiliary ones. ``merge`` says how the two become one model;
    ``gate`` accepts the merged model only if it validates no worse than the local one.
    """

    name: Literal["gcml"] = "gcml"
    mutual_epochs: Annotated[int, Field(ge=1)] | None = None
    contrast: Literal["correct_wrong", "correct_wrong_unguarded", "difference", "fg_bg", "off"] = (
        "correct_wrong"
    )
    region: Literal["label", "union", "dilated_label", "all"] = "union"
    dilation: Annotated[int, Field(ge=1)] = 1
    lam: Annotated[float, Field(ge=0)] = 1.0
    beta: Annotated[float, Field(ge=0)] = 1.0
    margin: Positive = log(2)
    b: Annotated[float, Field(ge=0)] = 0.0
    temperature: Positive = 1.0
    lambda_schedule: Literal["const", "linear_rampup"] = "const"
    rampup_rounds: Annotated[int, Field(ge=1)] = 10
    heads: Literal["main", "all"] = "main"
    update: Literal["simultaneous", "alternating"] = "simultaneous"
    merge: Literal[
        "keep_local", "keep_incoming", "mean", "case_weighted", "val_weighted", "dice_weighted", "best_val"
    ] = "val_weighted"
    gate: bool = True
    optimizer_after_merge: Literal["keep", "reset"] = "keep"

    @model_validator(mode="after")
    def _bounded(self) -> "Gcml":
        if self.contrast == "difference" and self.beta > 0 and not self.gate:
            raise ValueError('contrast "difference" is unbounded below; use it with gate: true')
        return self

    @model_validator(mode="after")
    def _of_this_coupling(self) -> "Gcml":
        guarded = ("correct_wrong", "correct_wrong_unguarded")
        users = {"beta": (*guarded, "difference"), "margin": guarded, "b": ("fg_bg",)}
        only_with(self, "contrast", users)
        if self.merge == "keep_local":
            refuse_idle(self, ["gate"], "merge keep_local leaves nothing to refuse; remove it")
        only_with(self, "region", {"dilation": ("dilated_label",)})
        only_with(self, "lambda_schedule", {"rampup_rounds": ("linear_rampup",)})
        return self

    def coupling_weight(self, exchange_round: int) -> float:
        """λ in this round, counted from the first exchange."""
        if self.lambda_schedule == "const":
            return self.lam
        return self.lam * min(1.0, (exchange_round + 1) / self.rampup_rounds)


class Gml(Gcml):
    """GML: mutual learning without contrast, on the label's region."""

    name: Literal["gml"] = "gml"  # type: ignore[assignment]
    contrast: Literal["off"] = "off"
    region: Literal["label", "union", "dilated_label", "all"] = "label"


def absorb(node: Node, cfg: Gcml, model: Ref, messages: list[Message], round_: int) -> Steps:
    """Mutual learning with each incoming model in place of the round's local epochs, merge and gate."""
    model = yield from settled(node, cfg, model)
    for turn, message in enumerate(messages):
        incoming = yield from vetted(node, cfg, model, message, round_)
        # a second stage of a round sees batches of its own, from beyond the budget
        settings = stage_settings(node, cfg, message, round_, first=round_ + turn * cfg.num_rounds)
        model = yield node.compute(STAGE if turn == 0 else EXTRA_STAGE, model, incoming, **settings)
    return model


def stage_settings(node: Node, cfg: Gcml, message: Message, round_: int, *, first: int) -> dict[str, Any]:
    """What a stage of mutual learning is told; its batches are those of round ``first``."""
    return {
        "epochs": cfg.mutual_epochs or cfg.local_epochs,
        "first_epoch": cfg.first_epoch(first),
        "contrast": cfg.contrast,
        "region": cfg.region,
        "dilation": cfg.dilation,
        "lam": cfg.coupling_weight(round_),
        "beta": cfg.beta,
        "margin": cfg.margin,
        "b": cfg.b,
        "temperature": cfg.temperature,
        "heads": cfg.heads,
        "update": cfg.update,
        "merge": cfg.merge,
        "gate": cfg.gate,
        "optimizer_after_merge": cfg.optimizer_after_merge,
        "num_cases_local": node.num_cases,
        "num_cases_incoming": message.header["num_cases"],
        "round": round_,
    }


def check(cfg: Gcml, data: Mapping[str, SiteData], model: ModelSize, task: Any) -> str:
    """The gate and the merges by validation need validation cases at every site."""
    needs_them = cfg.merge in {"val_weighted", "dice_weighted", "best_val"}
    blind = sorted(name for name, site in data.items() if not site.num_val)
    if blind and (needs_them or (cfg.gate and cfg.merge != "keep_local")):
        return (
            f"algorithm.merge: {cfg.merge} with gate {str(cfg.gate).lower()} needs validation cases, and "
            f"{', '.join(blind)} has none; use merge: keep_local, or mean with gate: false"
        )
    return check_heads(cfg, model, task)


def check_heads(cfg: Gcml, model: ModelSize, task: Any) -> str:
    """``heads: all`` needs more heads than one, and a loss that uses them."""
    if cfg.heads == "all" and (model.num_heads == 1 or task.loss not in {"jaccard_focal", "jaccard_ce"}):
        return (
            "algorithm.heads: all needs a network with auxiliary heads (sanet) and a loss that uses them "
            "(jaccard_focal or jaccard_ce); use heads: main"
        )
    return ""


def needs_equal(cfg: Gcml) -> str:
    """What compares two models part by part, whatever becomes of them."""
    if cfg.heads == "all":
        return "algorithm.heads: all pairs equal heads, and sites have different networks; use heads: main"
    if cfg.defense is not None:
        return "algorithm.defense: compares the values of two models of the same network; remove it"
    return ""


def mixed_networks(cfg: Gcml) -> str:
    """Models of different networks have no common parameters to merge."""
    if cfg.merge == "keep_local":
        return needs_equal(cfg)
    return needs_equal(cfg) or (
        f"algorithm.merge: {cfg.merge} joins the parameters of two models, and sites have different "
        "networks; use merge: keep_local, or give all sites the same network"
    )


_GML = "arXiv 2401.06180 (SPIE MI 2024), arXiv 2401.15434 (DSE-HMB 2023)"
GCML = Algorithm(
    settings=Gcml,
    site=fine_tuned(partial(gossip_site, absorb=absorb)),
    check=check,
    mixed_networks=mixed_networks,
    summary="peers push models; a receiver learns mutually from right and wrong predictions (GCML-style)",
    source="Chen and Yuan, IEEE TMI 2025; contrast and merge are our reconstruction",
)
GML = Algorithm(
    settings=Gml,
    site=fine_tuned(partial(gossip_site, absorb=absorb)),
    check=check,
    mixed_networks=mixed_networks,
    summary="GCML without contrast: regional mutual learning on the label",
    source=f"Chen et al., {_GML}; region and merge are our reconstruction",
)
