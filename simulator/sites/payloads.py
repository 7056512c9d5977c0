"""Payloads of a run: what each pair of nodes has of each other, what travels, and the codec's time.

A difference is to the last model that is known to have reached its receiver: one that was delivered
since both ends started, with no loss after it. What a node keeps for that lies in its memory, so a
crash or a leave of either end makes the next payload a whole model, and so do a loss and the first
contact. Models of different kinds of message are kept apart. That the receiver tells the sender what
it has costs nothing: it is part of opening a connection.

Encoding and decoding take their declared time beside the processor: one core per node does one after
another, in the order in which they were asked for, and encodes what is the same for several
receivers once. They go on outside the windows of availability, as sending does.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import simpy

from simulator.api import Bundle, ModelSize, Ref, Task
from simulator.codec import HEADER_NBYTES, MEASURE, TRANSMIT, packing_of, plain_nbytes, values_of
from simulator.errors import NoValue
from simulator.scenario.transmission import Codec
from simulator.work.jobs import MODEL

Way = tuple[str, str, str]
"""Sender, receiver and kind of message."""
_Sizes = tuple[tuple[int, ...], int]
"""Values of each float array, and integers, of an outcome."""

_FLOAT_NBYTES, _COUNTER_NBYTES = 4, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A model as it travels; ``base`` numbers the payload that a difference builds on, None: whole."""

    number: int  # in the order of a run's payloads
    way: Way
    sent: Ref
    received: Ref
    nbytes: int
    base: int | None
    lives: tuple[int, int]  # how often sender and receiver had lost their memory


@dataclass(slots=True, kw_only=True)
class _Core:
    """A node's codec: when it is free, what to call if what it does is lost, and when what it
    encoded last is ready, by content.
    """

    free_s: float = 0.0
    num_jobs: int = 0
    jobs: dict[int, Callable[[], None]] = field(default_factory=dict)
    ready_s: dict[tuple[Ref, ...], float] = field(default_factory=dict)


class Payloads:
    """Encodes and decodes for all nodes of a run.

    Args:
        env: virtual time.
        codec: as the scenario says.
        model: sizes of the network that is trained.
        submit: makes a task known: ``(task, node, inputs, params)``.
        value: the outcome of a task; a plan has none and raises :class:`~simulator.errors.NoValue`.
        model_only: the reference to a model as it travels.
    """

    def __init__(
        self,
        *,
        env: simpy.Environment,
        codec: Codec,
        model: ModelSize,
        submit: Callable[[Task, str, tuple[Ref, ...], Mapping[str, Any]], Ref],
        value: Callable[[Ref], Bundle],
        model_only: Callable[[Ref], Ref],
    ) -> None:
        self._env, self._codec = env, codec
        self._submit, self._value, self._model_only = submit, value, model_only
        self._one_model = (model.num_parameters, model.num_buffers), model.num_counters
        self._declared: dict[str, _Sizes] = {}  # of outcomes that are not one model
        self._apart: dict[str, dict[str, float]] = {}  # shares of outcomes that the account shows apart
        self._nbytes: dict[tuple[_Sizes, bool], int] = {}  # of payloads before zstd
        self._held: dict[Way, Payload] = {}  # the last that is known to have arrived
        self._cores: dict[str, _Core] = {}
        self._lives: Counter[str] = Counter()  # how often each node lost its memory
        self.count: Counter[str] = Counter()  # payloads by what travels: whole, delta
        self.seconds = {"encode": 0.0, "decode": 0.0}  # virtual time spent
        self.apart_nbytes: Counter[str] = Counter()  # of payloads that arrived, by what is shown apart

    def declare(
        self,
        key: str,
        counts: tuple[int, ...],
        num_counters: int = 0,
        apart: Mapping[str, int] | None = None,
    ) -> None:
        """Note how many values the float arrays of an outcome have, and its integers, where that is
        not one model of the usual network; and how many of these the account shows apart, by name.
        """
        self._declared[key] = counts, num_counters
        if apart:
            self._apart[key] = {name: values / sum(counts) for name, values in apart.items()}

    def declare_like(self, key: str, other: Ref) -> None:
        """Note that an outcome is as large as another, and shown apart in the same shares."""
        origin = other.key.removesuffix(MODEL)
        self._declared[key] = self._counts(other)
        if origin in self._apart:
            self._apart[key] = self._apart[origin]

    def _counts(self, ref: Ref) -> _Sizes:
        return self._declared.get(ref.key.removesuffix(MODEL), self._one_model)

    def raw_nbytes(self, ref: Ref) -> int:
        """Bytes of an outcome as it is, before any codec."""
        counts, num_counters = self._counts(ref)
        return _FLOAT_NBYTES * sum(counts) + _COUNTER_NBYTES * num_counters

    # -- encoding ---------------------------------------------------------------------------------

    def encode(
        self, way: Way, ref: Ref, ready: Callable[[Payload], None], dropped: Callable[[], None]
    ) -> None:
        """Encode a model and hand the payload to ``ready``, at once where that takes no time; call
        ``dropped`` instead if the sender crashes meanwhile.
        """
        sent, base, lives = self._model_only(ref), self._held.get(way), self._lives_of(way)
        inputs = (sent,) if base is None else (sent, *self._bases(base))

        def done() -> None:
            if base is None or lives == self._lives_of(way):
                ready(self._payload(way, inputs, base))
            else:  # the receiver has lost what this is a difference to
                self.encode(way, ref, ready, dropped)

        self._work(way[0], "encode", self.raw_nbytes(sent), done, dropped, inputs)

    def _bases(self, base: Payload) -> tuple[Ref, ...]:
        """What a difference is to: the receiver's model, and what it forgets of the sender's."""
        if self._codec.error_feedback is False and base.received != base.sent:
            return base.received, base.sent
        return (base.received,)

    def _payload(self, way: Way, inputs: tuple[Ref, ...], base: Payload | None) -> Payload:
        """Name the work of a payload and find its size."""
        delta, node = base is not None, inputs[0].node
        values = values_of(self._codec, delta=delta)
        received, sizes = inputs[0], self._counts(inputs[0])
        nbytes = self._plain_nbytes(sizes, delta=delta)
        if values["kind"] != "fp32":
            received = self._submit(TRANSMIT, node, inputs, values)
            self._declared[received.key] = sizes
        if self._codec.zstd:
            size = self._submit(MEASURE, node, inputs, values | packing_of(self._codec))
            try:
                nbytes = int(self._value(size).meta["nbytes"])
            except NoValue:
                nbytes = round(nbytes * self._codec.plan_ratio)
        self.count["delta" if delta else "whole"] += 1
        return Payload(
            number=self.count.total(),
            way=way,
            sent=inputs[0],
            received=received,
            nbytes=nbytes,
            base=base.number if base else None,
            lives=self._lives_of(way),
        )

    def _plain_nbytes(self, sizes: _Sizes, *, delta: bool) -> int:
        """Bytes before zstd, worked out once."""
        if (sizes, delta) not in self._nbytes:
            self._nbytes[sizes, delta] = plain_nbytes(self._codec, *sizes, delta=delta)
        return self._nbytes[sizes, delta]

    def is_remembered(self, payload: Payload) -> bool:
        """Whether its sender has not lost its memory since it was encoded."""
        return payload.lives[0] == self._lives[payload.way[0]]

    def is_readable(self, payload: Payload) -> bool:
        """Whether its receiver still has what it builds on."""
        return payload.base is None or payload.lives[1] == self._lives[payload.way[1]]

    def _lives_of(self, way: Way) -> tuple[int, int]:
        return self._lives[way[0]], self._lives[way[1]]

    # -- arriving ---------------------------------------------------------------------------------

    def settle(self, payload: Payload, *, arrived: bool) -> None:
        """Note that a payload is there, or that its sender knows no longer what the receiver has."""
        shares = self._apart.get(payload.sent.key.removesuffix(MODEL), {}) if arrived else {}
        for name, share in shares.items():
            self.apart_nbytes[name] += round(share * (payload.nbytes - HEADER_NBYTES))
        held = self._held.get(payload.way)
        newer = held is not None and held.number > payload.number
        if not self._codec.uses_delta or newer or payload.lives != self._lives_of(payload.way):
            return
        if arrived:
            self._held[payload.way] = payload
        else:
            self._held.pop(payload.way, None)

    def decode(self, payload: Payload, ready: Callable[[], None], dropped: Callable[[], None]) -> None:
        """Decode what has arrived, then call ``ready``, or ``dropped`` if the receiver crashes first."""
        self._work(payload.way[1], "decode", self.raw_nbytes(payload.sent), ready, dropped, ())

    def forget(self, node: str) -> None:
        """A node lost its memory: what it has of others, they of it, and what its codec was doing."""
        self._lives[node] += 1
        for way in [way for way in self._held if node in way[:2]]:
            del self._held[way]
        core = self._cores.pop(node, _Core())
        while core.jobs:
            core.jobs.pop(min(core.jobs))()

    def account(self) -> dict[str, Any]:
        """Return what the manifest says of a run's payloads."""
        timed = {"encode": self._codec.encode_rate, "decode": self._codec.decode_rate}
        return {
            "payloads": {what: self.count[what] for what in ("whole", "delta")},
            "apart_nbytes": dict(sorted(self.apart_nbytes.items())),
            "seconds": {
                stage: None if rate is None else self.seconds[stage] for stage, rate in timed.items()
            },
        }

    def remarks(self) -> list[str]:
        """Return a warning where packing or choosing values takes time that is not modeled."""
        codec = self._codec
        missing = [name for name in ("encode_rate", "decode_rate") if getattr(codec, name) is None]
        if not missing or not self.count or not (codec.zstd or codec.uses_delta):
            return []
        what = f"{codec.kind}{' with zstd' if codec.zstd else ''}"
        return [f"codec time not modeled: {what} takes time; give network.codec.{' and '.join(missing)}"]

    # -- time -------------------------------------------------------------------------------------

    def _work(
        self,
        node: str,
        stage: Literal["encode", "decode"],
        raw_nbytes: int,
        done: Callable[[], None],
        dropped: Callable[[], None],
        content: tuple[Ref, ...],
    ) -> None:
        """Have a node's codec work through one model, the same content once."""
        bytes_per_s = self._codec.encode_rate if stage == "encode" else self._codec.decode_rate
        if bytes_per_s is None or bytes_per_s == math.inf:
            done()
            return
        core, now = self._cores.setdefault(node, _Core()), float(self._env.now)
        ready_s = core.ready_s.get(content)
        if ready_s is None:
            seconds = raw_nbytes / bytes_per_s
            ready_s = core.free_s = max(core.free_s, now) + seconds
            self.seconds[stage] += seconds
        if content:  # what is ready is kept until something else is encoded
            core.ready_s = {key: at_s for key, at_s in core.ready_s.items() if at_s > now}
            core.ready_s[content] = ready_s
        core.num_jobs += 1
        number = core.num_jobs
        core.jobs[number] = dropped

        def finish(_: simpy.Event) -> None:
            if core.jobs.pop(number, None) is not None:
                done()

        self._env.timeout(max(0.0, ready_s - now)).callbacks.append(finish)
