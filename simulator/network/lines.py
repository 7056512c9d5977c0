"""The links of a network as they are now, and the paths over them."""

from collections.abc import Callable, Iterable
from functools import partial

from simulator.network.flow import LinkState, Path, measure
from simulator.network.simgrid import MODELS
from simulator.network.simgrid import measure as measure_simgrid
from simulator.network.topology import Topology
from simulator.network.window import EFFICIENCY, Control
from simulator.scenario.transmission import TransportSpec


class Lines:
    """What is true of links and paths under present conditions.

    ``states`` are the links' by id, ``efficiency`` is payload per byte on the wire, and ``on_use`` what
    is called once, by link, before the next transfer that needs it. ``control`` is None for the ideal
    transport and under SimGrid's models.
    """

    def __init__(self, topology: Topology, spec: TransportSpec, control: Control | None) -> None:
        self._topology, self._window = topology, spec.window
        self._model = MODELS.get(spec.tier)
        self.efficiency = EFFICIENCY * control.tunnel_share if control else 1.0
        if self._model is not None:
            self.efficiency = self._model.bandwidth_factor
        self._measure = partial(
            measure,
            ideal=control is None,
            rtt_bias=control.rtt_bias if control and spec.fairness == "rtt" else 0.0,
            repeats=bool(control and not control.loss_based),
        )
        self.states = {
            id: LinkState.of(link, efficiency=self.efficiency) for id, link in topology.links.items()
        }
        self.on_use: dict[str, Callable[[], None]] = {}
        self._paths: dict[tuple[str, str], Path] = {}

    def of_node(self, name: str) -> list[LinkState]:
        """Return the states of a node's access links."""
        return [self.states[id] for id in self._topology.access_links(name)]

    def path(self, src: str, dst: str) -> Path:
        """Return the way from ``src`` to ``dst``, idle links brought up to date.

        Raises:
            ScenarioError: an unknown node, or no route.
        """
        if self.on_use:
            for link_id in (*self._topology.route(src, dst), *self._topology.route(dst, src)):
                action = self.on_use.pop(link_id, None)
                if action is not None:
                    action()
        return self.known_path(src, dst)

    def known_path(self, src: str, dst: str) -> Path:
        """Return the way from ``src`` to ``dst`` by what is known of its links.

        Raises:
            ScenarioError: an unknown node, or no route.
        """
        path = self._paths.get((src, dst))
        if path is None:
            there = [self.states[id] for id in self._topology.route(src, dst)]
            back = [self.states[id] for id in self._topology.route(dst, src)]
            if self._model is None:
                path = self._measure(there, back, pulled=self._topology.passage.is_pulled(src, dst))
            else:
                path = measure_simgrid(there, back, model=self._model, window=self._window)
            self._paths[src, dst] = path
        return path

    def change(
        self, state: LinkState, *, bytes_per_s: float | None, latency_s: float | None, loss: float | None
    ) -> bool:
        """Change what is not None of a link; return whether that was anything.

        Raises:
            ValueError: no capacity, a negative latency, a loss outside [0, 1).
        """
        name = state.link.id
        if bytes_per_s is not None:
            if not bytes_per_s > 0:
                raise ValueError(f"{name}: {bytes_per_s} bytes/s; write up=False for an outage")
            state.bytes_per_s = bytes_per_s
            state.capacity = bytes_per_s * self.efficiency
        if latency_s is not None:
            if not latency_s >= 0:
                raise ValueError(f"{name}: a latency of {latency_s} s")
            state.latency_s = latency_s
        if loss is not None:
            if not 0 <= loss < 1:
                raise ValueError(f"{name}: loss {loss} is outside [0, 1); write up=False for an outage")
            state.loss = loss
        if (bytes_per_s, latency_s, loss) == (None, None, None):
            return False
        self._paths.clear()
        return True

    def set_down(self, states: Iterable[LinkState], cause: str, down: bool, now: float) -> list[LinkState]:
        """Begin or end a cause for which links are down; return those that it takes down or brings up."""
        changed = []
        for state in states:
            was_down = bool(state.down)
            (state.down.add if down else state.down.discard)(cause)
            if was_down != bool(state.down):
                changed.append(state)
                state.cut_s = now if down else state.cut_s
        return changed
