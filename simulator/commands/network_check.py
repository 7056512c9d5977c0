"""What ``medgossip network check`` does and prints."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from simulator.commands.endings import reader_may_leave
from simulator.commands.tables import MISSING, print_table
from simulator.errors import ScenarioError, SetupError
from simulator.network.cases import Case, read
from simulator.network.scores import (
    KINDS,
    MEASURES,
    Score,
    Spread,
    as_json,
    by_column,
    by_tier,
    kind_of,
    obstacle,
    parts,
    score,
    summarize,
)
from simulator.registry import suggest

Limits = Mapping[tuple[str, str], float]
"""Largest errors by (measure, a field of :class:`Spread`)."""
_WORDS = {"flow": "per flow", "mean": "case mean", "makespan": "makespan"}
_ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is compared: tiers of ours and columns of others, against a column, on which cases."""

    tiers: tuple[str, ...]
    systems: tuple[str, ...]
    against: str
    kinds: tuple[str, ...]
    groups: tuple[str, ...]
    seeds: int | None


def check_cases(
    path: Path, choice: Choice, limits: Limits, *, json_file: Path | None, markdown: bool
) -> bool:
    """Score, print and write; return whether all limits are kept.

    Raises:
        ScenarioError: not such a file, no case to score, or a column that no case has.
        SetupError: the JSON file cannot be written.
    """
    cases = _chosen(read(path), choice)
    skipped = {case["id"]: obstacle(case, choice.systems, choice.against) for case in cases}
    usable = [case for case in cases if not skipped[case["id"]]]
    if not usable:
        reasons = "; ".join(f"{n} x: {text}" for text, n in Counter(skipped.values()).items())
        reasons = reasons or "none is of this kind and group"
        raise ScenarioError(f"{path}: no case can be scored ({reasons}); choose others")
    predictors = {f"tier {tier}": by_tier(tier, seeds=choice.seeds) for tier in choice.tiers}
    predictors |= {system: by_column(system) for system in choice.systems}
    found = {
        name: [score(case, predictor, choice.against) for case in usable]
        for name, predictor in predictors.items()
    }
    skipped = {id: reason for id, reason in skipped.items() if reason}
    if json_file is not None:
        _write(json_file, path, choice, found, skipped)
    with reader_may_leave():
        print("\n".join(_markdown(found, choice)) if markdown else "", end="")
        if not markdown:
            _print(found, choice)
    _print_skipped(skipped)
    exceeded = [line for name, scores in found.items() for line in _exceeded(name, scores, limits)]
    for line in exceeded:
        print(line, file=sys.stderr)
    return not exceeded


def _chosen(cases: Sequence[Case], choice: Choice) -> list[Case]:
    groups = sorted({case["group"] for case in cases})
    columns = sorted({column for case in cases for column in case["reference"]})
    for option, names, known in (
        ("--group", choice.groups, groups),
        ("--system", choice.systems, columns),
        ("--against", (choice.against,), columns),
    ):
        for name in names:
            if name not in known:
                raise ScenarioError(f'{option} {name}: no case has "{name}"{suggest(name, known)}')
    return [
        case
        for case in cases
        if (not choice.kinds or kind_of(case) in choice.kinds)
        and (not choice.groups or case["group"] in choice.groups)
    ]


def _print(found: Mapping[str, Sequence[Score]], choice: Choice) -> None:
    headings = {"of": "cases", "num": "number", "flows": "flows"} | {m: _WORDS[m] for m in MEASURES}
    for name, scores in found.items():
        rows = []
        for (of, part), some in parts(scores).items():
            rows.append(
                {
                    "of": f"{of} {part}" if of == "group" else KINDS.get(part, part),
                    "num": len(some),
                    "flows": sum(len(one.flows) for one in some),
                    **{measure: _spread(one) for measure, one in summarize(some).items()},
                }
            )
        print(f"{name} against {choice.against}: relative error, median / 90th percentile")
        print_table(rows, headings)
        print()


def _print_skipped(skipped: Mapping[str, str]) -> None:
    for reason, num in Counter(skipped.values()).items():
        ids = [id for id, why in skipped.items() if why == reason]
        more = f" and {num - 5} more" if num > 5 else ""
        print(f"skipped {num}: {reason}: {', '.join(ids[:5])}{more}", file=sys.stderr)


def _markdown(found: Mapping[str, Sequence[Score]], choice: Choice) -> Iterator[str]:
    """One table per measure: kinds down, systems across."""
    tables = {name: parts(scores) for name, scores in found.items()}
    first = next(iter(tables.values()))
    rows = [key for key in first if key[0] != "group"]
    for measure in MEASURES:
        yield f"{_WORDS[measure].capitalize()} against {choice.against}, median / 90th percentile:"
        yield ""
        yield f"| cases | number | flows | {' | '.join(tables)} |"
        yield "|---|---|---|" + "---|" * len(tables)
        for key in rows:
            num_flows = sum(len(one.flows) for one in first[key])
            cells = [_spread(summarize(table[key])[measure]) for table in tables.values()]
            yield f"| {KINDS.get(key[1], _ALL)} | {len(first[key])} | {num_flows} | {' | '.join(cells)} |"
        yield ""


def _spread(spread: Spread) -> str:
    return f"{_percent(spread.median)} / {_percent(spread.p90)} %"


def _percent(share: float) -> str:
    if not isfinite(share):
        return MISSING
    if 0 < share < 5e-5:
        return f"{100 * share:.0e}"
    return f"{100 * share:.1f}" if share < 0.1 else f"{100 * share:.0f}"


def _exceeded(name: str, scores: Sequence[Score], limits: Limits) -> Iterator[str]:
    summary = summarize(scores)
    for (measure, which), limit in limits.items():
        value: float = getattr(summary[measure], which)
        if value > limit:
            words = {"median": "median", "p90": "90th percentile", "max": "worst"}[which]
            yield f"{name}: {_WORDS[measure]}, {words}: {100 * value:.4g} % is above {100 * limit:.4g} %"


def _write(
    file: Path,
    path: Path,
    choice: Choice,
    found: Mapping[str, Sequence[Score]],
    skipped: Mapping[str, str],
) -> None:
    content = {
        "file": str(path),
        "against": choice.against,
        "seeds": choice.seeds,
        "systems": [{"name": name, **as_json(scores)} for name, scores in found.items()],
        "skipped": [{"id": id, "reason": reason} for id, reason in skipped.items()],
    }
    try:
        file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise SetupError(f"cannot write {file}: {error.strerror}; choose another file with --json") from None
