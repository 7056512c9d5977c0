"""Hospitals and the server: protocols under supervision, processors, faults."""
