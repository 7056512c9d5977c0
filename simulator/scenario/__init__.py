"""What a run is told: typed scenarios, read with the place of every error."""
