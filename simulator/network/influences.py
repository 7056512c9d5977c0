"""From the lines of ``network.conditions`` to influences on links."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np

from simulator.network.conditions import Influence
from simulator.network.timelines import DOWN, NONE, Alternating, Effect, Steps, Timeline
from simulator.scenario.clock import DAY_S, WEEK_S, Span, instant, window
from simulator.scenario.conditions import KINDS, Background, Condition, Maintenance, Rekey, Trace, Where
from simulator.scenario.targets import Tags, as_list, members
from simulator.scenario.times import parse_distribution
from simulator.scenario.traces import parse_csv
from simulator.units import parse

Stream = Callable[[str], np.random.Generator]
WAYS = {"up": ("up",), "down": ("down",), "both": ("up", "down")}


def links_of(where: Where, tags: Tags, links: Collection[str]) -> dict[str, list[str]]:
    """Return the ids of links by the site or link that ``where`` names; of who takes no part, none.

    Whether there are such links at all is checked with the wiring.
    """
    found: dict[str, list[str]] = {}
    for site in members(where.site, tags):
        found[site] = [f"{site}.{way}" for way in WAYS[where.direction] if f"{site}.{way}" in links]
    for name in as_list(where.link):
        found[name] = [name] if name in links else []
    return found


def build_influences(
    conditions: Sequence[Condition], tags: Tags, links: Mapping[str, object], stream: Stream
) -> Iterator[Influence]:
    """Yield the influences on links: traces first, then what is a share of them, then what is taken
    off. Chance is named by the line and the site or link it names, so that both directions of a line
    meet the same outages and the same part of a trace; background traffic is drawn for each link.
    """
    numbered = sorted(enumerate(conditions), key=lambda one: KINDS.index(one[1].kind))
    for number, condition in numbered:
        for owner, ids in links_of(condition, tags, links).items():
            for link in ids:
                subject = link if condition.background is not None else owner
                rng = stream(f"condition {number} {subject}")
                yield Influence(
                    number=number,
                    link=link,
                    owner=owner,
                    timeline=_timeline(condition, rng),
                    resets=condition.rekey is not None and condition.rekey.connections == "reset",
                )


def _timeline(condition: Condition, rng: np.random.Generator) -> Timeline:
    offset_s, _ = instant(condition.starts_at or "00:00")
    if condition.trace is not None:
        return _trace(condition.trace, rng)
    if condition.daily is not None:
        levels = {span: _left(level) for text, level in condition.daily.items() for span in _spans([text])}
        return _cycle(levels, DAY_S, offset_s)
    if condition.background is not None:
        return _background(condition.background, offset_s, rng)
    if condition.maintenance is not None:
        return _maintenance(condition.maintenance, offset_s)
    assert condition.rekey is not None  # the scenario was checked
    return _rekey(condition.rekey, rng)


def _spans(texts: Sequence[str], *, weekly: bool = False) -> list[Span]:
    return [span for text in texts for span in window(text, weekly=weekly)]


def _left(level: float | str) -> Effect:
    return Effect(share=level) if isinstance(level, float) else Effect(bytes_per_s=parse(level, "rate"))


def _trace(trace: Trace, rng: np.random.Generator) -> Steps:
    assert trace.csv is not None  # files were read with the scenario
    table = parse_csv(trace.csv)
    columns = [table.values.get(name) for name in ("bandwidth", "latency", "loss")]
    effects = []
    for row in range(len(table.times)):
        rate, latency_s, loss = (column[row] if column else None for column in columns)
        is_down = rate == 0
        effects.append(
            Effect(bytes_per_s=None if is_down else rate, latency_s=latency_s, loss=loss, down=is_down)
        )
    offset_s = parse_distribution(trace.start, "duration")(rng)
    if trace.at_end == "hold":
        return Steps(table.times, effects, offset_s=offset_s)
    last, before = table.times[-1], table.times[-2]
    return Steps(table.times, effects, period_s=trace.period or 2 * last - before, offset_s=offset_s)


def _cycle(effects: Mapping[Span, Effect], period_s: float, offset_s: float) -> Steps:
    """Effects in windows that do not overlap, nothing in between."""
    steps = {0.0: NONE} | {end % period_s: NONE for _, end in effects}
    steps |= {begin: effect for (begin, _), effect in effects.items()}
    times = sorted(steps)
    return Steps(times, [steps[time] for time in times], period_s=period_s, offset_s=offset_s)


def _background(background: Background, offset_s: float, rng: np.random.Generator) -> Timeline:
    draw = parse_distribution(background.rate, "rate")

    def taken(chance: np.random.Generator) -> Effect:
        return Effect(taken=draw(chance), floor=background.floor)

    if background.on is not None and background.off is not None:
        off, on = (parse_distribution(text, "duration") for text in (background.off, background.on))
        return Alternating(off, on, taken, rng, cuts=False)
    effect = taken(rng)
    if background.daily:
        return _cycle(dict.fromkeys(_spans(background.daily), effect), DAY_S, offset_s)
    return Steps((0.0,), (effect,))


def _maintenance(maintenance: Maintenance, offset_s: float) -> Steps:
    if maintenance.from_ is not None and maintenance.to is not None:
        times = (0.0, maintenance.from_, maintenance.to)
        return Steps(times, (NONE, DOWN, NONE)) if maintenance.from_ else Steps(times[1:], (DOWN, NONE))
    if maintenance.weekly:
        return _cycle(dict.fromkeys(_spans(maintenance.weekly, weekly=True), DOWN), WEEK_S, offset_s)
    return _cycle(dict.fromkeys(_spans(maintenance.daily), DOWN), DAY_S, offset_s)


def _rekey(rekey: Rekey, rng: np.random.Generator) -> Alternating:
    off, on = (parse_distribution(text, "duration") for text in (rekey.every, rekey.down))
    return Alternating(off, on, lambda _: DOWN, rng, cuts=True)
