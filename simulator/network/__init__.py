"""Bytes in virtual time: topology, fair sharing, transport, conditions."""
