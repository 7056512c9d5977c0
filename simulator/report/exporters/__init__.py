"""Runs in the formats of experiment trackers. Everything stays on this machine; nothing is sent anywhere."""
