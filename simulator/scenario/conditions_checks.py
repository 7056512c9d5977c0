"""Lines of ``network.conditions``: one kind, links that exist, times and windows that fit together."""

from collections.abc import Callable, Iterator, Sequence

from simulator.registry import suggest
from simulator.scenario import clock
from simulator.scenario.conditions import KINDS, Condition, Trace, Where
from simulator.scenario.locate import Finding, KeyPath
from simulator.scenario.targets import TAG, Tags, as_list, members
from simulator.scenario.times import longest
from simulator.scenario.traces import Table, parse_csv


def check_conditions(conditions: Sequence[Condition], nodes: Sequence[str], tags: Tags) -> Iterator[Finding]:
    """Yield what is wrong with the conditions of a scenario whose nodes are ``nodes``."""
    taken: dict[tuple[str, str, str], int] = {}  # (line, direction, quantity) -> line of conditions
    for number, condition in enumerate(conditions):
        path: KeyPath = ("network", "conditions", number)
        yield from check_where(condition, nodes, tags, path)
        kinds = [kind for kind in KINDS if getattr(condition, kind) is not None]
        if len(kinds) != 1:
            message = f"{' and '.join(kinds)} in one line; write one line for each"
            yield Finding(
                path=path, message=message if kinds else f"no kind; write one of {', '.join(KINDS)}"
            )
            continue
        yield from _KIND_CHECKS[kinds[0]](condition, (*path, kinds[0]))
        yield from _starts_at(condition, path)
        yield from _twice(condition, number, tags, taken)


def check_where(where: Where, nodes: Sequence[str], tags: Tags, path: KeyPath) -> Iterator[Finding]:
    """Yield what is wrong with the sites and links that a line names; whether its links exist is known
    when the network is built.
    """
    if (where.site is None) == (where.link is None):
        problem = "no site and no link" if where.site is None else "a site and a link"
        yield Finding(path=path, message=f"{problem}; name one or the other")
    if where.link is not None and where.direction != "both":
        message = "a link has one direction; remove it, and name the link that goes there"
        yield Finding(path=(*path, "direction"), message=message, of_key=True)
    yield from check_targets(where.site, nodes, tags, (*path, "site"))


def check_targets(
    named: str | Sequence[str] | None, nodes: Sequence[str], tags: Tags, path: KeyPath
) -> Iterator[Finding]:
    """Yield the names that are no node and the tags that no site has."""
    if named is None:
        return
    if not named:
        yield Finding(path=path, message="no node; name at least one")
    for number, name in enumerate(as_list(named)):
        where = path if isinstance(named, str) else (*path, number)
        tag = name.removeprefix(TAG)
        if tag != name and tag not in tags:
            hint = suggest(tag, list(tags)) if len(tags) > 1 else "; add it to the tags of sites"
            yield Finding(path=where, message=f'no site has the tag "{tag}"{hint}')
        elif tag == name and name not in nodes:
            yield Finding(path=where, message=f'no node "{name}"{suggest(name, list(nodes))}')


def _trace(condition: Condition, path: KeyPath) -> Iterator[Finding]:
    trace = condition.trace
    assert trace is not None
    table = None
    if (trace.file is None) == (trace.csv is None):
        problem = "no table" if trace.file is None else "file and csv"
        yield Finding(path=path, message=f"{problem}; write file, or the table itself as csv")
    elif trace.csv is not None:
        try:
            table = parse_csv(trace.csv)
        except ValueError as error:
            yield Finding(path=(*path, "csv"), message=f"line {error}")
    if trace.at_end == "hold" and trace.period is not None:
        message = "nothing repeats; remove it or write at_end: repeat"
        yield Finding(path=(*path, "period"), message=message, of_key=True)
    elif table is not None and trace.at_end == "repeat":
        yield from _period(trace, table, path)


def _period(trace: Trace, table: Table, path: KeyPath) -> Iterator[Finding]:
    if len(table.times) == 1:
        yield Finding(path=(*path, "at_end"), message="one row has nothing to repeat; write hold")
    if trace.period is not None and trace.period <= table.times[-1]:
        message = f"{trace.period:.10g} s is not after the last row, at {table.times[-1]:.10g} s; write more"
        yield Finding(path=(*path, "period"), message=message)


def _mahimahi(condition: Condition, path: KeyPath) -> Iterator[Finding]:
    """Files are read before the types are checked, unless the step cannot be used."""
    if condition.mahimahi is not None and condition.mahimahi.step == 0:
        yield Finding(path=(*path, "step"), message="must be above zero; write for example 1 s")


def _daily(condition: Condition, path: KeyPath) -> Iterator[Finding]:
    yield from _windows(tuple(condition.daily or ()), path, weekly=False)


def _background(condition: Condition, path: KeyPath) -> Iterator[Finding]:
    background = condition.background
    assert background is not None
    if background.floor == 0:
        yield Finding(path=(*path, "floor"), message="must be above zero; a link that is full still carries")
    if longest(background.rate, "rate") == 0:
        yield Finding(path=(*path, "rate"), message="takes nothing; write a rate above zero")
    if (background.on is None) != (background.off is None):
        given, other = ("on", "off") if background.off is None else ("off", "on")
        yield Finding(path=(*path, given), message=f"without {other}; write both", of_key=True)
    if background.daily:
        yield from _windows(background.daily, (*path, "daily"), weekly=False)
        if background.on is not None:
            yield Finding(path=(*path, "on"), message="windows of the day say when; keep one", of_key=True)
    for name in ("on", "off"):
        yield from _above_zero(getattr(background, name), (*path, name))


def _maintenance(condition: Condition, path: KeyPath) -> Iterator[Finding]:
    plan = condition.maintenance
    assert plan is not None
    given = [name for name in ("daily", "weekly") if getattr(plan, name)]
    given += ["from and to"] if plan.from_ is not None or plan.to is not None else []
    if len(given) != 1:
        message = (
            f"{' and '.join(given)}; keep one" if given else "no time; write daily, weekly or from with to"
        )
        yield Finding(path=path, message=message)
    for name in ("daily", "weekly"):
        if getattr(plan, name):
            yield from _windows(getattr(plan, name), (*path, name), weekly=name == "weekly")
    if (plan.from_ is None) != (plan.to is None):
        there, other = ("from", "to") if plan.to is None else ("to", "from")
        yield Finding(path=(*path, there), message=f"without {other}; write both", of_key=True)
    elif plan.from_ is not None and plan.to is not None and plan.from_ >= plan.to:
        yield Finding(path=(*path, "to"), message="is not after from; write a later time")


def _rekey(condition: Condition, path: KeyPath) -> Iterator[Finding]:
    assert condition.rekey is not None
    for name in ("every", "down"):
        yield from _above_zero(getattr(condition.rekey, name), (*path, name))


_KIND_CHECKS: dict[str, Callable[[Condition, KeyPath], Iterator[Finding]]] = {
    "trace": _trace,
    "mahimahi": _mahimahi,
    "daily": _daily,
    "background": _background,
    "maintenance": _maintenance,
    "rekey": _rekey,
}


def _above_zero(text: str | None, path: KeyPath) -> Iterator[Finding]:
    if text is not None and longest(text, "duration") == 0:
        yield Finding(path=path, message=f'"{text}" must be above zero; write how long')


def _windows(texts: Sequence[str], path: KeyPath, *, weekly: bool) -> Iterator[Finding]:
    if not texts:
        yield Finding(path=path, message="no window; write at least one")
    wrong = False
    for number, text in enumerate(texts):
        try:
            clock.window(text, weekly=weekly)
        except ValueError as error:
            wrong = True
            is_key = isinstance(path[-2], int)  # of a mapping from windows to what is left
            yield Finding(path=(*path, text if is_key else number), message=str(error), of_key=is_key)
    both = None if wrong else clock.overlap(texts, weekly=weekly)
    if both is not None:
        yield Finding(path=path, message=f'"{both[0]}" and "{both[1]}" overlap; join or part them')


def _starts_at(condition: Condition, path: KeyPath) -> Iterator[Finding]:
    plan, background = condition.maintenance, condition.background
    weekly = plan is not None and bool(plan.weekly)
    of_day = condition.daily is not None or (plan is not None and bool(plan.daily))
    of_day = of_day or (background is not None and bool(background.daily))
    here = (*path, "starts_at")
    if condition.starts_at is None:
        if weekly:
            yield Finding(path=path, message='no starts_at; write on which day it begins, "Mon 00:00"')
        return
    try:
        _, has_day = clock.instant(condition.starts_at)
    except ValueError as error:
        yield Finding(path=here, message=str(error))
        return
    if not weekly and not of_day:
        message = "nothing here goes by the time of day; remove it"
        yield Finding(path=here, message=message, of_key=True)
    elif weekly and not has_day:
        yield Finding(path=here, message=f'"{condition.starts_at}" has no day; write "Mon 00:00"')
    elif of_day and has_day:
        yield Finding(path=here, message=f'"{condition.starts_at}" has a day; write the time alone')


def _twice(
    condition: Condition, number: int, tags: Tags, taken: dict[tuple[str, str, str], int]
) -> Iterator[Finding]:
    """A link cannot follow two lines that both say what its bandwidth, latency or loss is."""
    ways = ("up", "down") if condition.direction == "both" else (condition.direction,)
    owners = [*members(condition.site, tags), *as_list(condition.link)]
    for quantity in _says(condition):
        for owner in owners:
            clash = [taken[owner, way, quantity] for way in ways if (owner, way, quantity) in taken]
            if clash:
                other = f"network.conditions.{clash[0]}"
                message = f"{other} says the {quantity} of {owner} already; keep one of them"
                yield Finding(path=("network", "conditions", number), message=message)
                break
            taken.update({(owner, way, quantity): number for way in ways})


def _says(condition: Condition) -> tuple[str, ...]:
    if condition.daily is not None:
        return ("bandwidth",) if any(isinstance(level, str) for level in condition.daily.values()) else ()
    if condition.trace is None or condition.trace.csv is None:
        return ()
    try:
        return tuple(parse_csv(condition.trace.csv).values)
    except ValueError:
        return ()  # told already
