"""Lines of ``faults``: one verb, a time that fits it, and nodes that exist."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from simulator.scenario.conditions_checks import check_targets, check_where
from simulator.scenario.fault_windows import check_windows
from simulator.scenario.locate import Finding, KeyPath
from simulator.scenario.schema import FAULT_VERBS, NODE_VERBS, Fault
from simulator.scenario.targets import Tags, as_list, members
from simulator.scenario.times import constant, longest
from simulator.scenario.topologies import SERVER

_MEMBERSHIP = ("join", "leave", "churn")
_COMPUTING = (*_MEMBERSHIP, "straggle", "fail_over")
_LASTING = ("leave", "crash", "disconnect", "flap", "churn", "straggle", "partition", "set", "corrupt")
_OF = {"down": "flap", "up": "flap", "rate": "churn", "replacement": "churn", "factor": "straggle"}
"""The verb that a key belongs to."""
_NEEDS = {
    "flap": ("goes down and up by turns", "down and up, durations or distributions"),
    "churn": ("takes a share of the sites over time", 'rate: "5 %/h"'),
    "straggle": ("slows a site down", "factor: 4"),
}
_OPTIONAL = ("replacement",)
_TIMES = ("at", "from", "to", "every", "for")
_VALID = ({"at"}, {"at", "for"}, {"from", "to"}, {"every", "for"})
_REMEDY = "write at, at with for, from with to, or every with for"


def check_faults(
    faults: Sequence[Fault], nodes: Sequence[str], relays: Sequence[str], tags: Tags
) -> Iterator[Finding]:
    """Yield what is wrong with the fault lines of a scenario whose nodes are ``nodes``; ``relays`` can
    fail too, but not join or leave.
    """
    yield from _membership(faults, tags)
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
            if verb in NODE_VERBS:
                known = nodes if verb in _COMPUTING else [*nodes, *relays]
                yield from check_targets(getattr(fault, verb), known, tags, (*path, verb))
        yield from _companions(fault, verbs, path)
        yield from _partition(fault, [*nodes, *relays], tags, path)
        yield from _set(fault, nodes, relays, tags, path)
        yield from _corrupt(fault, [*nodes, *relays], tags, path)
    yield from check_windows(faults, tags)


def groups_of(fault: Fault, tags: Tags) -> tuple[tuple[str, ...], ...]:
    """Return the groups that a partition names, ``"a b; tag:icu"`` or a list of lists."""
    written = fault.partition or ()
    named = [part.split() for part in written.split(";")] if isinstance(written, str) else written
    return tuple(members(group, tags) for group in named)


def joins_and_leaves(faults: Sequence[Fault], node: str, tags: Tags) -> list[tuple[int, str, float | None]]:
    """Return number, verb and first instant (seconds, None if drawn) of a node's joins and leaves."""
    found: list[tuple[int, str, float | None]] = []
    for number, fault in enumerate(faults):
        first = fault.at or fault.from_ or fault.every
        for verb, named in (("join", fault.join), ("leave", fault.leave)):
            if first is not None and named is not None and node in members(named, tags):
                found.append((number, verb, constant(first, "duration")))
    return found


def _membership(faults: Sequence[Fault], tags: Tags) -> Iterator[Finding]:
    """Whether a node is there at the start follows from which comes first, a join or a leave."""
    named = {node for fault in faults for verb in (fault.join, fault.leave) for node in members(verb, tags)}
    for node in sorted(named):
        found = joins_and_leaves(faults, node, tags)
        drawn = [number for number, _, time_s in found if time_s is None]
        if drawn and len({verb for _, verb, _ in found}) > 1:
            message = (
                f"{node} joins and leaves, and this time is drawn, so that which comes first is not "
                f"known; write a constant time, or crash or disconnect instead of leave"
            )
            yield Finding(path=("faults", drawn[0]), message=message)


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
        if name in {"for", "every"} and longest(text, "duration") == 0:
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


def _companions(fault: Fault, verbs: Sequence[str], path: KeyPath) -> Iterator[Finding]:
    """Keys that belong to one verb are there with it, and only with it."""
    for name, verb in _OF.items():
        value = getattr(fault, name)
        if verb not in verbs and value is not None:
            yield Finding(path=(*path, name), message=f"belongs to {verb}; remove it", of_key=True)
        elif verb in verbs and value is None and name not in _OPTIONAL:
            does, remedy = _NEEDS[verb]
            yield Finding(path=(*path, name), message=f"a {verb} {does}; add {remedy}")
        elif name in {"down", "up", "replacement"} and value is not None and longest(value, "duration") == 0:
            yield Finding(path=(*path, name), message=f'"{value}" must be above zero; write how long')
    if "churn" in verbs and fault.every is not None:
        message = "a churn is drawn by its rate; write from with to, or at with for"
        yield Finding(path=(*path, "every"), message=message, of_key=True)
    if SERVER in as_list(fault.churn):
        message = "the server is no site, and nobody takes its place; write crash or leave"
        yield Finding(path=(*path, "churn"), message=message)
    yield from _jitter(fault, path)


def _jitter(fault: Fault, path: KeyPath) -> Iterator[Finding]:
    here = (*path, "jitter")
    if fault.jitter is None:
        return
    if fault.every is None:
        yield Finding(path=here, message="belongs to every; remove it", of_key=True)
    else:
        most, pause = longest(fault.jitter, "duration"), constant(fault.every, "duration")
        if most == 0:
            yield Finding(path=here, message=f'"{fault.jitter}" must be above zero; write how long')
        elif pause is not None and most > pause:
            message = f'"{fault.jitter}" may exceed every, "{fault.every}"; write at most that'
            yield Finding(path=here, message=message)


def _corrupt(fault: Fault, nodes: Sequence[str], tags: Tags, path: KeyPath) -> Iterator[Finding]:
    if fault.corrupt is not None:
        yield from check_where(fault.corrupt, nodes, tags, (*path, "corrupt"))


def _partition(fault: Fault, nodes: Sequence[str], tags: Tags, path: KeyPath) -> Iterator[Finding]:
    if fault.partition is None:
        return
    here, written = (*path, "partition"), fault.partition
    if isinstance(written, str):
        names = written.replace(";", " ").split()
        found = [replace(one, path=here) for one in check_targets(names, nodes, tags, here)]
    else:
        found = [
            finding
            for number, group in enumerate(written)
            for finding in check_targets(group, nodes, tags, (*here, number))
        ]
    yield from found
    if found:
        return
    groups = [group for group in groups_of(fault, tags) if group]
    everybody = [name for group in groups for name in group]
    double = sorted({name for name in everybody if everybody.count(name) > 1})
    if double:
        yield Finding(path=here, message=f"{double[0]} is in two groups; name it once")
    elif not groups or (len(groups) == 1 and set(everybody) == set(nodes)):
        yield Finding(path=here, message='parts nobody; write for example "a b; c d"')


def _set(
    fault: Fault, nodes: Sequence[str], relays: Sequence[str], tags: Tags, path: KeyPath
) -> Iterator[Finding]:
    if fault.set is None:
        return
    here, what = (*path, "set"), fault.set
    yield from check_where(what, [*nodes, *relays], tags, here)
    of_link = [name for name in ("bandwidth", "latency", "loss") if getattr(what, name) is not None]
    if not of_link and what.speed is None:
        message = "nothing to set; write bandwidth, latency, loss or speed"
        yield Finding(path=here, message=message)
    idle = [*as_list(what.link), *(name for name in as_list(what.site) if name in relays)]
    if what.speed is not None and idle:
        yield Finding(path=(*here, "speed"), message=f"{idle[0]} computes nothing; name a site", of_key=True)
    if what.bandwidth == 0:
        message = "carries nothing; write a rate above zero, or disconnect"
        yield Finding(path=(*here, "bandwidth"), message=message)
    if what.loss == 1:
        message = "lets nothing pass; write a loss below 1, or disconnect"
        yield Finding(path=(*here, "loss"), message=message)
    if what.direction != "both" and not of_link and what.link is None:
        message = "nothing of a link is set; remove it"
        yield Finding(path=(*here, "direction"), message=message, of_key=True)
