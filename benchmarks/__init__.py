"""Side-by-side measurements; REPORT.md holds the last ones, with hardware and date."""
