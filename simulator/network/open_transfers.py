"""The transfers that have no end yet, by number and by the nodes that they need."""

from collections.abc import Collection

import simpy

from simulator.network.flow import Transfer
from simulator.network.topology import Topology
from simulator.record.ledger import Attempt, Ledger


class OpenTransfers:
    """Numbers transfers, and their attempts in the ledger."""

    def __init__(self, env: simpy.Environment, topology: Topology, ledger: Ledger) -> None:
        self._env, self._topology, self._ledger = env, topology, ledger
        self._transfers: dict[int, Transfer] = {}
        self._at: dict[str, dict[int, Transfer]] = {name: {} for name in topology.nodes}
        self._num = 0

    def new(
        self, nodes: tuple[str, ...], nbytes: int, kind: str, round_: int | None, control: bool
    ) -> Transfer:
        """Return one from the first of ``nodes`` to the second, by way of the third if there is one."""
        self._num += 1
        transfer = Transfer(
            id=self._num, src=nodes[0], dst=nodes[1], nbytes=nbytes, kind=kind, round=round_,
            control=control, event=simpy.Event(self._env), nodes=nodes,
        )  # fmt: skip
        self._transfers[transfer.id] = transfer
        for name in transfer.nodes:
            self._at[name][transfer.id] = transfer
        return transfer

    def attempt(self, transfer: Transfer, nbytes: int) -> Attempt:
        """Open an entry of the ledger for some of a transfer's bytes."""
        transfer.num_attempts += 1
        entry = Attempt(
            transfer=transfer.id,
            attempt=transfer.num_attempts,
            src=transfer.src,
            dst=transfer.dst,
            kind=transfer.kind,
            round=transfer.round,
            control=transfer.control,
            nbytes=nbytes,
            offered_nbytes=transfer.nbytes,
            start_s=self._env.now,
            route=self._topology.route(transfer.src, transfer.dst),
            number_of_try=transfer.num_tries,
        )
        return self._ledger.open(entry)

    def __contains__(self, transfer: Transfer) -> bool:
        """Whether it has no end yet."""
        return transfer.id in self._transfers

    def all(self) -> Collection[Transfer]:
        """Return them in the order in which they began."""
        return self._transfers.values()

    def at(self, node: str) -> list[Transfer]:
        """Return those that need a node, in the order in which they began."""
        return [transfer for _, transfer in sorted(self._at[node].items())]

    def remove(self, transfer: Transfer) -> None:
        """It has ended."""
        del self._transfers[transfer.id]
        for name in transfer.nodes:
            del self._at[name][transfer.id]

    def clear(self) -> None:
        """The run is over for all of them."""
        self._transfers.clear()
