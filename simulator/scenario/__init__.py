"""What a run is told: typed scenarios, read with the place of every error."""

from simulator.scenario.dump import digest, dump
from simulator.scenario.load import Point, Study, load_study, reload_study

__all__ = ["Point", "Study", "digest", "dump", "load_study", "reload_study"]
