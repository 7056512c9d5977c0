"""Lines of ``faults``: one verb, a time that fits it, and nodes that exist."""

from collections.abc import Iterator, Sequence

from simulator.registry import suggest
from simulator.scenario.locate import Finding, KeyPath
from simulator.scenario.schema import FAULT_VERBS, Fault
from simulator.scenario.times import constant

_MEMBERSHIP = ("join", "leave")
_LASTING = ("leave", "crash", "disconnect")
_TIMES = ("at", "from", "to", "every", "for")
_VALID = ({"at"}, {"at", "for"}, {"from", "to"}, {"every", "for"})
_REMEDY = "write at, at with for, from with to, or every with for"


def check_faults(faults: Sequence[Fault], nodes: Sequence[str], relays: Sequence[str]) -> Iterator[Finding]:
    """Yield what is wrong with the fault lines of a scenario whose nodes are ``nodes``; ``relays`` can
    fail too, but not join or leave.
    """
    yield from _membership(faults)
    for number, fault in enumerate(faults):
        path: KeyPath = ("faults", number)
        verbs = [verb for verb in FAULT_VERBS if getattr(fault, verb) is not None]
        if not verbs:
            yield Finding(path=path, message=f"no verb; write one of {', '.join(FAULT_VERBS)}")
        elif len(verbs) > 1:
            joined = " and ".join(verbs)
            yield Finding(path=path, message=f"{joined} in one line; write one line for each")
        yield from _times(fault, verbs, path)
        for verb in verbs:
            known = nodes if verb in _MEMBERSHIP else [*nodes, *relays]
            yield from _nodes(getattr(fault, verb), known, (*path, verb))


def joins_and_leaves(faults: Sequence[Fault], node: str) -> list[tuple[int, str, float | None]]:
    """Return number, verb and first instant (seconds, None if drawn) of a node's joins and leaves."""
    found: list[tuple[int, str, float | None]] = []
    for number, fault in enumerate(faults):
        first = fault.at or fault.from_ or fault.every
        for verb, named in (("join", fault.join), ("leave", fault.leave)):
            if first is not None and named is not None and node in _as_list(named):
                found.append((number, verb, constant(first, "duration")))
    return found


def _membership(faults: Sequence[Fault]) -> Iterator[Finding]:
    """Whether a node is there at the start follows from which comes first, a join or a leave."""
    named = {node for fault in faults for node in (*_as_list(fault.join), *_as_list(fault.leave))}
    for node in sorted(named):
        found = joins_and_leaves(faults, node)
        drawn = [number for number, _, time_s in found if time_s is None]
        if drawn and len({verb for _, verb, _ in found}) > 1:
            message = (
                f"{node} joins and leaves, and this time is drawn, so that which comes first is not "
                f"known; write a constant time, or crash or disconnect instead of leave"
            )
            yield Finding(path=("faults", drawn[0]), message=message)


def _as_list(named: str | Sequence[str] | None) -> list[str]:
    if named is None:
        return []
    return [named] if isinstance(named, str) else list(named)


def _times(fault: Fault, verbs: Sequence[str], path: KeyPath) -> Iterator[Finding]:
    given = {
        name: text
        for name, text in zip(_TIMES, (fault.at, fault.from_, fault.to, fault.every, fault.for_), strict=True)
        if text is not None
    }
    if not given:
        yield Finding(path=path, message=f"no time; {_REMEDY}")
    elif set(given) not in _VALID:
        yield Finding(path=path, message=f"{' with '.join(given)} is no time; {_REMEDY}")
    elif set(given) != {"at"} and len(verbs) == 1 and verbs[0] not in _LASTING:
        message = f"{verbs[0]} happens at an instant; write at alone"
        yield Finding(path=path, message=message)
    for name, text in given.items():
        if name in {"for", "every"} and constant(text, "duration") == 0:
            message = f'"{text}" must be above zero; write how long'
            yield Finding(path=(*path, name), message=message)
    if set(given) == {"from", "to"}:
        start, end = (constant(given[name], "duration") for name in ("from", "to"))
        for name, value in (("from", start), ("to", end)):
            if value is None:
                message = f'"{given[name]}" is drawn, so to may come before from; write at with for instead'
                yield Finding(path=(*path, name), message=message)
        if start is not None and end is not None and start >= end:
            message = f'"{given["to"]}" is not after from, "{given["from"]}"; write a later time'
            yield Finding(path=(*path, "to"), message=message)


def _nodes(named: str | Sequence[str], nodes: Sequence[str], path: KeyPath) -> Iterator[Finding]:
    is_one = isinstance(named, str)
    targets = _as_list(named)
    if not targets:
        yield Finding(path=path, message="no node; name at least one")
    for number, name in enumerate(targets):
        if name not in nodes:
            where = path if is_one else (*path, number)
            yield Finding(path=where, message=f'no node "{name}"{suggest(name, list(nodes))}')
