"""What a scenario may say: the typed form of the YAML file, unknown keys forbidden.

The parts that registries extend (data set, network, algorithm) are unions over the entries found;
:func:`scenario_model` builds the complete model once per process.
"""

from functools import cache
from types import GenericAlias
from typing import Annotated, Any, Union

from pydantic import Field, create_model

from simulator.errors import SetupError
from simulator.registry import Group, Settings, registry
from simulator.scenario.availability import Availability
from simulator.scenario.conditions import Condition, Corruption, Setting
from simulator.scenario.fields import Name, Share
from simulator.scenario.kinds import ChurnRate, Moment, Target
from simulator.scenario.outgoing import Privacy, Rogue
from simulator.scenario.task import Evaluation, Task
from simulator.scenario.topologies import (
    SERVER,
    STANDBY,
    Complete,
    Core,
    OverlayField,
    Position,
    RouteSpec,
    StarOfAccessLinks,
    UnderlayField,
)
from simulator.scenario.transmission import Codec, TransportSpec
from simulator.units import Bytes, BytesPerSecond, FlopPerSecond, Seconds


class Seed(Settings):
    """Two seeds: ``learning`` enters the keys of tasks, ``network`` does not."""

    learning: int = 1
    network: int = 1


class AccessLink(Settings):
    """A machine's line: asymmetric, with one-way latency to the core of the network.

    ``to`` is the router where it ends, by default that of the topology; ``inbound: false`` means that
    connections are opened from inside only.
    """

    up: BytesPerSecond
    down: BytesPerSecond
    latency: Seconds
    jitter: Seconds = 0.0
    loss: Share = 0.0
    buffer: Bytes | None = None
    to: Name | None = None
    inbound: bool = True


Checkpoint = Annotated[str, Field(pattern=r"^(every mark|every task|[1-9][0-9]{0,5} rounds|never)$")]


class NodeSpec(Settings):
    """A machine and its line. Exactly one of ``device``, ``speed``, ``seconds_per_item`` says how
    fast it computes: a name of the device catalog, sustained FLOP/s of training, or the measured
    time of one training pass over one slice or volume. ``checkpoint`` is what its disk keeps for the
    time after a crash: what its protocol marks as durable (``every mark``), beside that every finished
    task (``every task``), what was marked by every so many rounds (``5 rounds``), or nothing (``never``).
    """

    device: str | None = None
    speed: FlopPerSecond | None = None
    seconds_per_item: Seconds | None = None
    link: AccessLink
    availability: Availability | None = None
    checkpoint: Checkpoint = "every mark"
    position: Position | None = None


class Site(NodeSpec):
    """A hospital. ``data`` holds what its data set knows of sites; ``network`` is its own network where
    that is not the task's; ``tags`` name groups of sites; ``rogue`` says how it harms the others.
    """

    name: Name
    data: Any = None
    network: Any = None
    tags: tuple[Name, ...] = ()
    rogue: Rogue | None = None


class ServerSpec(NodeSpec):
    """The server of methods that have one, and who takes over from it.

    ``standby`` are sites in their order of succession, or :data:`~simulator.scenario.topologies.STANDBY`,
    the machine of that section. Every one of them is sent what the server has made durable. When the
    server has been out of reach for ``detect_after``, the first that is there is the server from then on.
    """

    standby: Name | tuple[Name, ...] = ()
    detect_after: Seconds = 30.0

    @property
    def successors(self) -> tuple[str, ...]:
        """Who takes over, in this order."""
        return (self.standby,) if isinstance(self.standby, str) else self.standby


class Backbone(Settings):
    """The core that all routes cross; unlimited unless said otherwise."""

    bandwidth: BytesPerSecond = float("inf")
    latency: Seconds = 0.0


class LinkSpec(Settings):
    """One link of an explicit graph, both directions; ``down`` is the direction b → a."""

    a: Name
    b: Name
    bandwidth: BytesPerSecond
    bandwidth_back: BytesPerSecond | None = None
    latency: Seconds
    loss: Share = 0.0
    buffer: Bytes | None = None


class Relay(Settings):
    """A machine that takes no part and only passes on: a VPN hub, a gateway."""

    name: Name
    link: AccessLink


class NetworkSpec(Settings):
    """Underlay (links and routes) and overlay (who exchanges with whom)."""

    topology: UnderlayField = StarOfAccessLinks()
    core: Core | None = None
    backbone: Backbone = Backbone()
    links: tuple[LinkSpec, ...] = ()
    relays: tuple[Relay, ...] = ()
    routes: tuple[RouteSpec, ...] = ()
    overlay: OverlayField = Complete()
    transport: TransportSpec = TransportSpec()
    codec: Codec = Codec()
    conditions: tuple[Condition, ...] = ()


NODE_VERBS = (
    *("join", "leave", "crash", "recover", "disconnect", "reconnect"),
    *("flap", "churn", "straggle", "fail_over"),
)
"""Verbs that name nodes."""
FAULT_VERBS = (*NODE_VERBS, "partition", "set", "corrupt")


class Fault(Settings):
    """One line of ``faults``: a verb with its node(s), at an instant, from–to, or drawn.

    ``at`` (with ``for`` to undo it), ``from`` and ``to``, or ``every`` with ``for``; durations or
    distributions (``exp(6 h)``, ``uniform(1 h, 2 h)``). With ``jitter`` each time of ``every`` comes that
    much earlier or later at most, and the next one is counted from where it should have been. Nodes are
    names, ``tag:…`` for all sites with a tag, or ``tag:all``. A ``flap`` goes ``down`` and ``up`` again and
    again while it lasts. In a ``churn`` sites leave at a ``rate``, and for each a newcomer comes after
    ``replacement``, if that is given. Who straggles computes at 1/``factor`` of its speed. ``fail_over``
    names the standby that is the server from then on. A ``partition`` is a list of groups, ``"a b; c d"``;
    who is in none of them is in one more.
    """

    at: Moment | None = None
    from_: Moment | None = Field(default=None, alias="from")
    to: Moment | None = None
    every: Moment | None = None
    for_: Moment | None = Field(default=None, alias="for")
    jitter: Moment | None = None
    join: Target | tuple[Target, ...] | None = None
    leave: Target | tuple[Target, ...] | None = None
    crash: Target | tuple[Target, ...] | None = None
    recover: Target | tuple[Target, ...] | None = None
    disconnect: Target | tuple[Target, ...] | None = None
    reconnect: Target | tuple[Target, ...] | None = None
    flap: Target | tuple[Target, ...] | None = None
    down: Moment | None = None
    up: Moment | None = None
    churn: Target | tuple[Target, ...] | None = None
    rate: ChurnRate | None = None
    replacement: Moment | None = None
    straggle: Target | tuple[Target, ...] | None = None
    factor: Annotated[float, Field(gt=1)] | None = None
    fail_over: Target | None = None
    corrupt: Corruption | None = None
    partition: str | tuple[tuple[Target, ...], ...] | None = None
    set: Setting | None = None


class Stop(Settings):
    """When a run ends besides the end of all protocols: drawn faults can keep a site from ever
    finishing, so there is always a limit.
    """

    virtual_time: Annotated[Seconds, Field(gt=0)] = 365 * 86400.0


class ScenarioBase(Settings):
    """A complete scenario, resolved: site generators expanded, one algorithm, no sweep."""

    name: Name
    description: str = ""
    seed: Seed = Seed()
    task: Task
    sites: Annotated[tuple[Site, ...], Field(min_length=1)]
    server: ServerSpec | None = None
    standby: NodeSpec | None = None
    network: NetworkSpec = NetworkSpec()
    algorithm: Any
    faults: tuple[Fault, ...] = ()
    privacy: Privacy | None = None
    stop: Stop = Stop()
    evaluation: Evaluation = Evaluation()

    @property
    def machines(self) -> dict[str, NodeSpec]:
        """The sites in the order listed, then the server and its standby if there are any, by name."""
        specs: dict[str, NodeSpec | None] = {site.name: site for site in self.sites}
        specs |= {SERVER: self.server, STANDBY: self.standby}
        return {name: spec for name, spec in specs.items() if spec is not None}


def _union(group: Group) -> Any:
    """The registered settings of a group, told apart by ``name``."""
    members = tuple(entry.settings for entry in registry(group).values())
    if not members:
        raise SetupError(f"no {group} are registered; install medgossip again, its entry points are missing")
    if len(members) == 1:
        return members[0]
    return Annotated[Union[members], Field(discriminator="name")]  # noqa: UP007 - built at run time


@cache
def scenario_model() -> type[ScenarioBase]:
    """Return the complete scenario model over everything that is registered."""
    network = _union("networks")
    task = create_model("Task", __base__=Task, dataset=(_union("datasets"), ...), network=(network, ...))
    site = create_model("Site", __base__=Site, network=(network | None, None))
    sites: Any = GenericAlias(tuple, (site, ...))
    return create_model(
        "Scenario",
        __base__=ScenarioBase,
        task=(task, ...),
        sites=(sites, Field(min_length=1)),
        algorithm=(_union("algorithms"), ...),
    )
