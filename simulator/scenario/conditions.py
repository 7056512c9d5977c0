"""Lines of ``network.conditions``: what changes on which links, and when."""

from typing import Annotated, Literal

from pydantic import Field

from simulator.registry import Settings
from simulator.scenario.fields import Share
from simulator.scenario.kinds import DrawnRate, Moment, RateLevel, SpeedLevel, Target
from simulator.units import BytesPerSecond, Seconds

LinkName = Annotated[str, Field(pattern=r"^[^\s]+$", max_length=140)]


class Trace(Settings):
    """Bandwidth, latency and loss from a CSV table: of a ``file`` in the scenario's folder, or written
    out as ``csv``. A row holds until the next; at the end of the table the last one is held, or all
    begins again after ``period``, by default one more step as long as the last. ``start`` is where in
    the table the run begins, drawn for each site. ``source`` names a file that was read.
    """

    file: str | None = None
    csv: str | None = None
    source: str | None = None
    at_end: Literal["repeat", "hold"]
    period: Seconds | None = None
    start: Moment = "0 s"


class Mahimahi(Settings):
    """Bandwidth from a packet-delivery trace of mahimahi, as means over steps of ``step``."""

    file: str
    step: Seconds
    at_end: Literal["repeat", "hold"]
    start: Moment = "0 s"


class Background(Settings):
    """Traffic of others, taken off the link, which keeps ``floor`` (or all it has, if that is less):
    all the time, in windows of the day, or now and then (``off`` first, then ``on``, and so on; the
    rate is drawn anew each time).
    """

    rate: DrawnRate
    floor: BytesPerSecond
    daily: tuple[str, ...] = ()
    on: Moment | None = None
    off: Moment | None = None


class Maintenance(Settings):
    """Outages that are planned: in windows of the day or week, or once."""

    daily: tuple[str, ...] = ()
    weekly: tuple[str, ...] = ()
    from_: Seconds | None = Field(default=None, alias="from")
    to: Seconds | None = None


class Rekey(Settings):
    """A tunnel that is made anew: after each pause of ``every`` nothing passes for ``down``, and open
    connections stall, or are ``reset``: their attempts fail at once and are made again by the policy
    of the transport.
    """

    every: Moment
    down: Moment
    connections: Literal["stall", "reset"]


class Where(Settings):
    """Which links: lines of sites (``site``: names or ``tag:…``) in a direction, or links by name."""

    site: Target | tuple[Target, ...] | None = None
    link: LinkName | tuple[LinkName, ...] | None = None
    direction: Literal["up", "down", "both"] = "both"


KINDS = ("trace", "mahimahi", "daily", "background", "maintenance", "rekey")


class Condition(Where):
    """What changes over time on some links, exactly one of: ``trace``, ``mahimahi``, ``daily`` (what
    is left in windows of the day, as a share of the bandwidth or as a rate), ``background``,
    ``maintenance``, ``rekey``. Virtual time begins at ``starts_at`` of day 0.
    """

    trace: Trace | None = None
    mahimahi: Mahimahi | None = None
    daily: dict[str, RateLevel] | None = None
    background: Background | None = None
    maintenance: Maintenance | None = None
    rekey: Rekey | None = None
    starts_at: str | None = None

    @property
    def kind(self) -> str:
        """Which of the kinds it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)


class Corruption(Where):
    """What the fault ``corrupt`` damages: payloads that cross the links, each attempt with a probability."""

    probability: Annotated[float, Field(gt=0, le=1)]


class Setting(Where):
    """What the fault ``set`` changes: of links ``bandwidth``, ``latency`` and ``loss``, of sites the
    ``speed`` of computing, as a share or absolute.
    """

    bandwidth: BytesPerSecond | None = None
    latency: Seconds | None = None
    loss: Share | None = None
    speed: SpeedLevel | None = None
