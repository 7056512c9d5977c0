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
