"""Statistics of studies: intervals, paired tests, times to a target, Pareto fronts; without tables."""
