"""Tables as files: long ones as Parquet and CSV, those for a paper as LaTeX too."""

from pathlib import Path

import polars as pl

from simulator.record.measures_frames import Frames
from simulator.record.measures_standing import METRICS, Standings
from simulator.report.tables import Table
from simulator.statistics.intervals import Interval

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "−": "$-$",
    "±": r"$\pm$", "≤": r"$\le$", "–": "--", "“": "``", "”": "''", "\N{NO-BREAK SPACE}": "~",
}  # fmt: skip


def write_frames(folder: Path, found: Frames) -> None:
    """Write ``runs``, ``sites``, ``cases`` and ``curves``, from which every figure is drawn."""
    for name in ("runs", "sites", "cases", "curves"):
        write_frame(folder, name, getattr(found, name))


def write_frame(folder: Path, name: str, table: pl.DataFrame) -> None:
    """Write a table as Parquet and CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    table.write_parquet(folder / f"{name}.parquet", compression="zstd")
    table.write_csv(folder / f"{name}.csv")


def methods_frame(found: Standings) -> pl.DataFrame:
    """Return a row per method: ``<metric>_mean, _low, _high`` over seeds, Dice over sites and cases, rank."""
    rows = []
    for one in found.methods:
        row: dict[str, object] = {"method": one.method, "seeds": _count(one.over_seeds["dice_mean"])}
        for metric in METRICS:
            row |= _columns(metric, one.over_seeds[metric])
        row |= _columns("dice_over_sites", one.over_sites) | _columns("dice_over_cases", one.over_cases)
        rows.append(row | {"rank": one.rank})
    return pl.DataFrame(rows, infer_schema_length=None)


def pairs_frame(found: Standings) -> pl.DataFrame:
    """Return a row per pair; ``p`` and ``p_adjusted`` are null where seeds are too few for a test."""
    rows = []
    verdict = found.verdict
    for pair in verdict.pairs if verdict is not None else ():
        one, tested = pair.comparison, pair.p_adjusted is not None
        row: dict[str, object] = {"first": pair.first, "second": pair.second}
        row |= _columns("difference", one.difference)
        row |= {"better": one.better, "worse": one.worse, "equal": one.equal}
        row |= _columns("improvement", found.improvement.get((pair.first, pair.second)))
        rows.append(row | {"p": one.p if tested else None, "p_adjusted": pair.p_adjusted})
    return pl.DataFrame(rows, infer_schema_length=None)


def _columns(name: str, found: Interval | None) -> dict[str, float | None]:
    ends = (None, None, None) if found is None else (found.mean, found.low, found.high)
    return dict(zip((f"{name}_mean", f"{name}_low", f"{name}_high"), ends, strict=True))


def _count(found: Interval | None) -> int:
    return 0 if found is None else found.count


def latex(table: Table, label: str) -> str:
    """Return a table for a document with the packages booktabs and graphicx; its note is the caption."""
    rows = [" & ".join(_escaped(cell) for cell in row) + r" \\" for row in (table.head, *table.rows)]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_escaped(f'{table.title}. {table.note}'.strip())}}}",
            rf"\label{{tab:{label}}}",
            r"\resizebox{\linewidth}{!}{%",
            rf"\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}",
            r"\toprule",
            rows[0],
            r"\midrule",
            *rows[1:],
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)
