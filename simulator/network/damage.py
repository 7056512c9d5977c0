"""Payloads that arrive damaged: at random everywhere, and on the links that a fault corrupts.

Damage shows at the end of an attempt, by its checksum.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from simulator.network.flow import Flow, LinkState
from simulator.network.window import Draw


class Damage:
    """Decides by chance which attempts are damaged; ``count`` says how many by each cause.

    Args:
        everywhere: the probability for every attempt.
        draw: the stream of a purpose and a pair of nodes.
        links: all links by id.

    """

    def __init__(self, everywhere: float, draw: Draw, links: Mapping[str, LinkState]) -> None:
        self._everywhere, self._draw, self._links = everywhere, draw, links
        self._causes: dict[object, tuple[frozenset[str], float]] = {}
        self.count: Counter[object] = Counter()

    def begin(self, cause: object, links: Iterable[str], probability: float) -> None:
        """Damage what is under way on these links, and what comes, with a probability."""
        self._causes[cause] = frozenset(links), probability
        users = {flow.id: flow for id in links for flow in self._links[id].users.values()}
        for _, flow in sorted(users.items()):
            self._strike(cause, flow)

    def end(self, cause: object) -> None:
        """End what :meth:`begin` began."""
        del self._causes[cause]

    def meet(self, flow: Flow) -> None:
        """An attempt begins."""
        if self._everywhere > 0:  # drawn whatever comes of the attempt, so that faults move no draw
            self._damage(flow, self._chance("damage", flow) / self._everywhere, 0)
        for cause in self._causes:
            self._strike(cause, flow)

    def _strike(self, cause: object, flow: Flow) -> None:
        links, probability = self._causes[cause]
        if any(state.link.id in links for state in flow.path.links):
            chance = self._chance(f"corruption {cause}", flow) / probability
            self.count[cause] += chance < 1
            self._damage(flow, chance, flow.sent_nbytes())

    def _damage(self, flow: Flow, chance: float, sent_nbytes: int) -> None:
        """Below 1 something of what is not sent yet will arrive wrong, and the same draw says where."""
        if chance < 1:
            at = sent_nbytes + chance * (flow.entry.nbytes - sent_nbytes)
            flow.damaged_at = min(flow.damaged_at, at)

    def _chance(self, purpose: str, flow: Flow) -> float:
        return float(self._draw(purpose, flow.transfer.src, flow.transfer.dst).random())
