"""The window tier: every flow's congestion window, moved once per round trip, and the queues it makes."""
