"""What a scenario may say of transmission: how bytes move, and how a model becomes bytes."""

from typing import Annotated, Literal

from pydantic import Field

from simulator.registry import Settings
from simulator.scenario.fields import Positive, Share
from simulator.units import Bytes, BytesPerSecond, Seconds


class TransportSpec(Settings):
    """How bytes move: model of sharing, protocol, patience and what happens after a failure in
    mid-transfer.

    A bulk transfer goes over ``connections`` at once. Each connection and each control message also
    carries ``headers`` of the application, which are overhead, not payload. An attempt that stalls
    fails after ``stall_timeout`` by the application, or after ``give_up`` by TCP (Linux: 924.6 s,
    ``tcp_retries2`` = 15), whichever comes first. Control messages are lost, doubled and held up at
    random; the second of two is dropped unless ``deliver_duplicates``.
    """

    tier: Literal["share", "window", "simgrid", "simgrid-cm02"] = "share"
    preset: Literal["tcp-cubic", "tcp-reno", "tcp-bbr", "vpn-over-tcp", "ideal"] = "tcp-cubic"
    window: Bytes = 4.0 * 2**20
    fairness: Literal["rtt", "equal"] = "rtt"
    stall_timeout: Seconds = 60.0
    retries: Annotated[int, Field(ge=0)] = 2
    backoff: Seconds = 5.0
    restart: Literal["zero", "offset"] = "zero"
    connections: Annotated[int, Field(ge=1, le=64)] = 1
    headers: Bytes = 0.0
    give_up: Seconds = 924.6
    message_loss: Share = 0.0
    damage: Share = 0.0
    message_duplication: Share = 0.0
    message_reordering: Share = 0.0
    deliver_duplicates: bool = False
    control_size: Bytes = 256.0


ValueKind = Literal["fp32", "fp16", "bf16", "int8"]


class Codec(Settings):
    """How a model becomes bytes. ``zstd`` 0 means uncompressed; before it, ``shuffle`` puts the first
    bytes of all values together, then the second ones, and so on.

    ``delta`` codes the difference to the last model that the receiver has from the sender. ``topk``
    keeps the ``fraction`` of such a difference that is largest, as ``values`` (fp32 unless given);
    ``error_feedback`` (unless false) has what was lost travel with the next difference.

    The rates are bytes of an fp32 model per second, "unlimited" for no time at all; where they are
    not given, the time is not modeled and the run says so.
    """

    kind: Literal["fp32", "fp16", "bf16", "int8", "topk"] = "fp32"
    fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    values: ValueKind | None = None
    delta: bool | None = None
    error_feedback: bool | None = None
    zstd: Annotated[int, Field(ge=0, le=19)] = 0
    shuffle: bool = True
    plan_ratio: Positive = 1.0
    encode_rate: BytesPerSecond | None = None
    decode_rate: BytesPerSecond | None = None

    @property
    def value_kind(self) -> ValueKind:
        """How single values are coded."""
        return (self.values or "fp32") if self.kind == "topk" else self.kind

    @property
    def uses_delta(self) -> bool:
        """Whether differences travel; top-k makes sense of nothing else."""
        return bool(self.delta) or self.kind == "topk"
