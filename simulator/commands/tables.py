"""Tables for people: drawn in a terminal, aligned plain text elsewhere; missing numbers are "–"."""

import sys
from collections.abc import Mapping, Sequence

from simulator.units import short

MISSING = "–"
_DIMENSIONS = {"_s": "duration", "nbytes": "size", "bytes_per_s": "rate", "flop_per_s": "speed"}


def print_table(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str]) -> None:
    """Print ``rows`` on standard output; ``columns`` maps their keys to headings."""
    cells = [[cell(name, row.get(name)) for name in columns] for row in rows]
    if sys.stdout.isatty():
        _draw(list(columns.values()), cells)
        return
    table = [list(columns.values()), *cells]
    widths = [max(len(line[place]) for line in table) for place in range(len(columns))]
    for line in table:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())


def cell(name: str, value: object) -> str:
    """Return a value as a table shows it; the suffix of its name says the unit."""
    if value is None or value == "":
        return MISSING
    if isinstance(value, int | float) and not isinstance(value, bool):
        for suffix, dimension in reversed(_DIMENSIONS.items()):
            if name.endswith(suffix):
                return short(float(value), dimension)
        return f"{value:.3f}" if isinstance(value, float) else f"{value:,}"
    return str(value)


def _draw(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for line in cells:
        table.add_row(*(Text(text) for text in line))
    Console().print(table)
