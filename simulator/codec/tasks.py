"""What a codec does to a model, as tasks: the model that the receiver gets, and its size on the wire.

zstd and the byte shuffle change the size alone, so they are no part of the first: training depends
on what a difference leaves out, never on how it was packed.
"""

from collections.abc import Mapping
from typing import Any

import zstandard

from simulator.api import Bundle, Cost, ModelSize, SiteData, Task, TaskContext
from simulator.codec.wire import decode, encode, form_of
from simulator.scenario.transmission import Codec


def _free(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """Its time is that of the declared rates, beside the processor, see :mod:`simulator.sites.payloads`."""
    return Cost()


TRANSMIT = Task(
    name="transmit", function="simulator.codec.tasks:transmit", version=4, cost=_free, stateful=False
)
"""The model as its receiver decodes it: ``(model, base, past)`` and what :func:`values_of` says."""

MEASURE = Task(
    name="measure", function="simulator.codec.tasks:measure", version=3, cost=_free, stateful=False
)
"""No model, but its size on the wire as ``meta["nbytes"]``; with what :func:`packing_of` says too."""


def values_of(codec: Codec, *, delta: bool) -> dict[str, Any]:
    """Return the settings that decide what is decoded."""
    if not delta:
        return {"kind": codec.value_kind}
    sparse = {"fraction": codec.fraction, "values": codec.value_kind} if codec.kind == "topk" else {}
    return {"kind": codec.kind, **sparse}


def packing_of(codec: Codec) -> dict[str, Any]:
    """Return what decides the size beside :func:`values_of`; other libraries pack otherwise."""
    library = ".".join(str(number) for number in zstandard.ZSTD_VERSION)
    return {"zstd": codec.zstd, "shuffle": codec.shuffle, "library": library}


def transmit(ctx: TaskContext, model: Bundle, *bases: Bundle, **values: Any) -> Bundle:
    """Encode and decode a model.

    Args:
        ctx: where it runs.
        model: what is sent.
        bases: for a difference, ``base`` and possibly ``past``, see :func:`simulator.codec.wire.encode`.
        values: see :func:`values_of`.
    """
    payload = encode(model, Codec(**values), **_named(bases))
    return decode(payload, form_of(model), base=bases[0] if bases else None)


def measure(ctx: TaskContext, model: Bundle, *bases: Bundle, library: str, **settings: Any) -> Bundle:
    """Encode and pack a model as :func:`transmit` does, for its size."""
    return Bundle(arrays={}, meta={"nbytes": len(encode(model, Codec(**settings), **_named(bases)))})


def _named(bases: tuple[Bundle, ...]) -> dict[str, Bundle]:
    return dict(zip(("base", "past"), bases, strict=False))
