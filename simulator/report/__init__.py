"""Reports: figures, one HTML file that needs nothing else, and the timeline that Perfetto opens."""

from collections.abc import Sequence
from pathlib import Path


def build(folders: Sequence[Path], out: Path) -> Path:
    """Write ``report.html`` and ``figures/`` into ``out`` and return the report's path.

    Args:
        folders: study folders and run folders, in any mix; they are drawn together.
        out: made if it is not there.

    Raises:
        ScenarioError: a folder is neither, or its files cannot be read.
    """
    from simulator.report.assemble import write_report  # matplotlib takes long to import

    return write_report(folders, out)


def compare(folders: Sequence[Path], out: Path, spec: Path | None = None) -> Path:
    """Write ``compare.html``, ``figures/`` and ``tables/`` into ``out`` and return the page's path.

    Args:
        folders: study folders and run folders, in any mix.
        out: made if it is not there.
        spec: which runs and figures, under which names; by default all runs, and the figures of a report.

    Raises:
        ScenarioError: as :func:`build`; or the selection is wrong, with a line per error.
    """
    from simulator.report.paper import write_paper

    return write_paper(folders, out, spec)
