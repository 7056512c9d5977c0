"""TensorBoard: an event file per run; its clock is virtual time, so that "relative" shows that.

Format: event files of the package tensorboard (github.com/tensorflow/tensorboard); no TensorFlow needed.
"""

from collections.abc import Sequence
from pathlib import Path

from simulator.report.exporters.content import Content


def write(runs: Sequence[Content], out: Path, project: str) -> Path:
    """Write ``<out>/<run>/events.out.tfevents…``, one folder per run, and return ``out``."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    for run in runs:
        writer = EventFileWriter(str(out / run.name), filename_suffix=f".{project}")
        ends = max([one.time_s for one in run.values], default=0.0)
        last = max([one.round for one in run.values], default=0)
        points = [(one.name, one.round, one.time_s, one.value) for one in run.values]
        points += [(f"final/{name}", last, ends, value) for name, value in sorted(run.final.items())]
        for name, round_, time_s, value in points:
            summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
            writer.add_event(Event(wall_time=time_s, step=round_, summary=summary))
        writer.close()
    return out
