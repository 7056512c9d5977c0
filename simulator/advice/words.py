"""Advice in words and tables, the same for a terminal and a page."""

from collections.abc import Callable, Iterator

from simulator.advice.advice import Advice, Option
from simulator.advice.limits import Limit
from simulator.advice.measure import Outlook, Range, Risk
from simulator.advice.upgrades import Upgrade
from simulator.report.tables import Table
from simulator.report.text import MISSING, duration, listing, natural, percent, plural, size
from simulator.scenario.advise import Advise
from simulator.scenario.topologies import SERVER
from simulator.units import show

MEANING = (
    "Every plan draws each site's line, latency and speed anew, by the factors above, and lets lines and "
    "machines fail as above; all settings are tried under the same draws. A plan fails if a site does not "
    "get as far as it does when nothing goes wrong, if it takes longer than allowed, or if more of a "
    "site's training than allowed goes unused: others' last models do not hold it."
)


def sentences(advice: Advice) -> list[str]:
    """What a planner should know first."""
    outlook = advice.outlook
    said = [
        f"{plural(advice.num_plans, 'plan')} of {plural(advice.num_sites, 'site')}. When nothing goes wrong "
        f"it takes {duration(advice.nothing_wrong.seconds)}; else {_hours(outlook)}.",
        f"The risk of abort is {_risk(outlook.aborts)}; {_risk(outlook.fails)} of the plans fail in any way.",
        _never_used(advice),
        _unused(advice),
        *([_limit(one) for one in advice.limits] or [_NO_LIMITS]),
        _upgrade(advice),
        _change(advice),
    ]
    return [text for text in said if text]


def _hours(outlook: Outlook) -> str:
    if outlook.hours is None:
        return "no plan came to an end"
    low, mid, high = (
        duration(3600 * one) for one in (outlook.hours.low, outlook.hours.median, outlook.hours.high)
    )
    return f"{mid} in the middle and {low} to {high} in nine of ten plans"


def _risk(risk: Risk) -> str:
    return f"{percent(risk.share)} (95 % interval {percent(risk.low)} to {percent(risk.high)})"


def _never(advice: Advice) -> list[str]:
    """Sites of which nobody has anything although nothing goes wrong; without exchange all are alike."""
    trained = advice.nothing_wrong.trained
    never = sorted((name for name, share in trained.items() if not share), key=natural)
    return never if len(never) < len(trained) else []


def _never_used(advice: Advice) -> str:
    never = _never(advice)
    return f"Even when nothing goes wrong, nobody uses the training of {listing(never)}." if never else ""


def _unused(advice: Advice) -> str:
    lost = {name: share for name, share in advice.outlook.unused.items() if share >= 0.005}
    if not lost:
        return "" if _never_used(advice) else "All sites' training is used."
    most = sorted(lost, key=lambda name: (-lost[name], natural(name)))
    return (
        f"Training that goes unused, on average: {listing([f'{one} {percent(lost[one])}' for one in most])}."
    )


_NO_LIMITS = (
    "How slow lines and how long outages may be cannot be told: more than half of the plans fail without "
    "any of that."
)


def _limit(limit: Limit) -> str:
    if limit.what == "bandwidth":
        return _slowest(limit)
    what = f"One more {limit.what}"
    if limit.works is None:
        return f"{what} makes plans fail however short it is."
    if limit.fails is None:
        return f"{what} may last {duration(limit.works)}, the longest that was tried."
    return f"{what} may last {duration(limit.works)}; one of {duration(limit.fails)} makes plans fail."


def _slowest(limit: Limit) -> str:
    works, fails = (
        None if value is None else show(float(f"{value:.3g}"), "rate") for value in (limit.works, limit.fails)
    )
    if works is None:
        return "Sites' lines as declared are too slow: more plans fail than allowed."
    if fails is None:
        return f"Sites' lines of {works} still work, the slowest that was tried."
    return f"Sites' lines of {works} still work; with {fails} plans fail."


def _upgrade(advice: Advice) -> str:
    if not advice.upgrades:
        return "No line and no machine alone, twice as fast, saves time worth telling."
    best = advice.upgrades[0]
    return (
        f"The {_part(best)} is worth most: twice as fast, and when nothing goes wrong, it takes "
        f"{duration(best.seconds)} instead of {duration(advice.nothing_wrong.seconds)}."
    )


def _part(one: Upgrade) -> str:
    whose = "the server" if one.part.node == SERVER else one.part.node
    return f"{one.part.what} of {whose}"


def _change(advice: Advice) -> str:
    best = advice.best
    if best is None:
        tried = plural(len(advice.options), "setting")
        return f"No setting to change: none of {tried} that were tried makes it safer or faster."
    return f"Setting to change: {best.setting}. {bought(best)}"


def bought(option: Option) -> str:
    """What a setting buys, under the same draws."""
    mine, other = option.outlook, option.unchanged
    said = [f"Plans that fail: {other.fails.count} → {mine.fails.count} of {mine.num}"]
    if option.better + option.worse:
        doubt = "which may be chance" if option.chance >= 0.05 else "which is hardly chance"
        said[0] += f", {doubt} (sign test, p = {option.chance:.2g})"
    if mine.hours and other.hours:
        said.append(f"median {duration(3600 * other.hours.median)} → {duration(3600 * mine.hours.median)}")
    said.append(f"sent {size(1e9 * other.gigabytes.median)} → {size(1e9 * mine.gigabytes.median)}")
    before, after = (max(one.unused.values(), default=0.0) for one in (other, mine))
    if max(before, after) >= 0.005:
        said.append(f"training unused at the worst site {percent(before)} → {percent(after)}")
    return "; ".join(said) + "."


def tables(advice: Advice) -> list[Table]:
    """What to expect, whose training is lost, and what every setting does."""
    return [_expected(advice), _by_site(advice), *_upgrades(advice), *_settings(advice)]


def _expected(advice: Advice) -> Table:
    outlook = advice.outlook
    risks: list[tuple[str, Risk | None]] = [
        ("no site gets to the end (abort)", outlook.aborts),
        ("some sites do not get to the end", outlook.incomplete),
        ("training unused beyond what is allowed", outlook.too_unused),
        ("it takes longer than allowed", outlook.late),
        ("any of these", outlook.fails),
    ]
    ranges: list[tuple[str, Range | None, Callable[[float], str]]] = [
        ("time", outlook.hours, lambda hours: duration(3600 * hours)),
        ("machine time of all sites", outlook.gpu_hours, _gpu_hours),
        ("of it for nothing", outlook.wasted_gpu_hours, _gpu_hours),
        ("machines wait", outlook.idle_gpu_hours, _gpu_hours),
        ("sent", outlook.gigabytes, lambda value: size(1e9 * value)),
        ("of it for nothing", outlook.wasted_gigabytes, lambda value: size(1e9 * value)),
    ]
    rows: list[tuple[str, ...]] = [
        (what, percent(one.share), percent(one.low), percent(one.high))
        for what, one in risks
        if one is not None
    ]
    for what, found, write in ranges:
        values = (found.median, found.low, found.high) if found else (None, None, None)
        rows.append((what, *(MISSING if value is None else write(value) for value in values)))
    return Table(
        title="What to expect",
        head=("what", "value", "from", "to"),
        rows=tuple(rows),
        note=f"{plural(outlook.num, 'draw')}. Risks have 95 % intervals; all else its median, and the span "
        "of nine plans in ten.",
    )


def _gpu_hours(hours: float) -> str:
    return f"{hours:.3g} GPU h"


def _by_site(advice: Advice) -> Table:
    never = _never(advice)
    rows = [
        (name, "always" if name in never else percent(share)) for name, share in advice.outlook.unused.items()
    ]
    ordered = tuple(sorted(rows, key=lambda row: natural(row[0])))
    return Table(title="Training that goes unused", head=("site", "share"), rows=ordered)


def _upgrades(advice: Advice) -> Iterator[Table]:
    """Lines and machines that would save time."""
    before_s = advice.nothing_wrong.seconds
    rows = [
        (_part(one), duration(one.seconds), percent(1 - one.seconds / before_s)) for one in advice.upgrades
    ]
    if rows:
        note = "One at a time, when nothing goes wrong; what saves less than 1 % is left out."
        yield Table(title="Twice as fast", head=("what", "time", "saves"), rows=tuple(rows), note=note)


def _settings(advice: Advice) -> Iterator[Table]:
    """Settings that change something, and in one row those that do not."""
    idle = [one.setting for one in advice.options if _same(one)]
    rows = [_setting(one) for one in advice.options if not _same(one)]
    if rows:
        head = ("setting", "plans that fail", "median time", "sent", "most training unused")
        yield Table(title="Settings that were tried", head=head, rows=tuple(rows))
    if idle:
        title = "Settings that change nothing here"
        yield Table(title=title, head=("setting",), rows=tuple((one,) for one in idle))


def _setting(option: Option) -> tuple[str, ...]:
    pair = option.unchanged, option.outlook
    return (
        option.setting,
        f"{pair[0].fails.count} → {pair[1].fails.count} of {pair[1].num}",
        " → ".join(duration(3600 * one.hours.median) if one.hours else MISSING for one in pair),
        " → ".join(size(1e9 * one.gigabytes.median) for one in pair),
        " → ".join(percent(max(one.unused.values(), default=0.0)) for one in pair),
    )


def _same(option: Option) -> bool:
    mine, other = option.outlook, option.unchanged
    return (mine.fails, mine.hours, mine.gigabytes, mine.unused) == (
        other.fails, other.hours, other.gigabytes, other.unused,
    )  # fmt: skip


def assumed(advise: Advise) -> Table:
    """What was assumed, as one would write it."""
    tree = advise.model_dump(mode="json", by_alias=True, exclude={"choices"})
    rows = []
    for name, value in tree.items():
        shown = f"every {value['every']} for {value['for']}" if isinstance(value, dict) else value
        if name == "within" and advise.within is not None:
            shown = duration(advise.within)
        rows.append((name, "none" if shown is None else str(shown)))
    return Table(title="Section advise", head=("key", "value"), rows=tuple(rows))
