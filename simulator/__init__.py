"""Asynchronous, event-driven simulator of federated and gossip learning in medical imaging."""
