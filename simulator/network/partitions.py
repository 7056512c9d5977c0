"""Partitions: groups of nodes between which nothing passes, whatever links lie between them."""

from collections.abc import Iterable, Mapping

from simulator.network.flow import Transfer


class Partitions:
    """Those that last now, by cause."""

    def __init__(self) -> None:
        self._groups: dict[object, Mapping[str, int]] = {}

    def part(self, cause: object, groups: Mapping[str, int], open_: Iterable[Transfer]) -> list[Transfer]:
        """Begin one that gives every node its group; return those of the open transfers it comes between."""
        self._groups[cause] = groups
        apart = [transfer for transfer in open_ if _is_apart(transfer, groups)]
        for transfer in apart:
            transfer.was_parted = True
        return apart

    def heal(self, cause: object, open_: Iterable[Transfer]) -> list[Transfer]:
        """End one; return those of the open transfers that it stood between."""
        groups = self._groups.pop(cause)
        return [transfer for transfer in open_ if _is_apart(transfer, groups)]

    def are_between(self, transfer: Transfer) -> bool:
        """Whether any of them keeps a transfer from going on."""
        return bool(self._groups) and any(_is_apart(transfer, groups) for groups in self._groups.values())

    def parts(self, node: str, other: str) -> bool:
        """Whether any of them lies between two nodes."""
        return any(groups[node] != groups[other] for groups in self._groups.values())


def _is_apart(transfer: Transfer, groups: Mapping[str, int]) -> bool:
    """Whether a transfer's ends, or the relay that passes it on, are of different groups."""
    return len({groups[name] for name in transfer.nodes}) > 1
