"""Federated and gossip learning methods, one page each, on the door that ``simulator.api`` opens."""
