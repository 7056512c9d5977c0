"""Statistics of a study as tables: methods with intervals and ranks, pairs with tests or a refusal."""

from simulator.record.measures_standing import METRICS, Standing, Standings
from simulator.report.quantities import show_of, words_of
from simulator.report.tables import Table
from simulator.report.text import MISSING, listing, number, plural, signed, spread
from simulator.statistics.intervals import MIN_RESAMPLED, Interval


def methods(found: Standings) -> Table:
    """A row per method: each metric with its interval over seeds, Dice also over sites and cases."""
    rows = [
        (
            one.method,
            *(spread(one.over_seeds[metric], show_of(metric)) for metric in METRICS),
            _range(one.over_sites),
            _range(one.over_cases),
            MISSING if one.rank is None else f"{one.rank:.2f}",
        )
        for one in found.methods
    ]
    averaged = (
        f" Averaged over {found.num_conditions} conditions that all methods share."
        if found.num_conditions > 1
        else ""
    )
    missing = f" Left out, under other conditions: {listing(found.left_out)}." if found.left_out else ""
    return Table(
        title="Methods with intervals and ranks",
        head=("method", *map(words_of, METRICS), "Dice over sites", "Dice over cases", "rank"),
        rows=tuple(rows),
        note=f"In parentheses: 95 % interval over {_counts(found.methods)} {found.unit}s ({method_note()}); "
        "then the interval of mean Dice over sites (another hospital) and over test cases within sites "
        f"(another patient). Rank: of mean Dice, 1 is best, mean over seeds.{averaged}{missing}",
    )


def pairs(found: Standings) -> Table | None:
    """A row per pair: paired difference, signs, probability of improvement, p; None for one method."""
    verdict = found.verdict
    if verdict is None:
        return None
    rows = []
    for pair in verdict.pairs:
        one, chance = pair.comparison, found.improvement.get((pair.first, pair.second))
        rows.append(
            (
                f"{pair.first} − {pair.second}",
                spread(one.difference, signed),
                f"{one.better} / {one.worse} / {one.equal}",
                spread(chance, lambda value: number(value, 2)),
                MISSING if pair.p_adjusted is None else p_value(pair.p_adjusted),
            )
        )
    overall = verdict.refusal or (
        f"Friedman's test over all methods: p = {p_value(verdict.friedman_p)}."
        if verdict.friedman_p is not None
        else ""
    )
    return Table(
        title="Methods in pairs, mean Dice over sites",
        head=("pair", "difference", "seeds better / worse / equal", "P(improvement)", "p (Wilcoxon, Holm)"),
        rows=tuple(rows),
        note=f"{overall} {plural(verdict.num_blocks, found.unit)}, paired: the same seeds for both. In "
        f"parentheses: 95 % intervals over them ({method_note()}; percentiles for P(improvement), the chance "
        "that a run of the first has the higher Dice at a site than one of the second).".strip(),
    )


def method_note() -> str:
    """How intervals are found, in words."""
    return f"BCa bootstrap, Student's t below {MIN_RESAMPLED} values"


def p_value(p: float | None) -> str:
    """``0.031``, ``< 0.001``."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _range(found: Interval | None) -> str:
    if found is None or found.low is None:
        return MISSING
    return f"{number(found.low)} to {number(found.high)}"


def _counts(rows: tuple[Standing, ...]) -> str:
    counts = sorted({one.count for row in rows if (one := row.over_seeds["dice_mean"]) is not None})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
