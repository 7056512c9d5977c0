"""Advice from many plans: how a scenario fares when lines, machines and settings are other than declared."""
