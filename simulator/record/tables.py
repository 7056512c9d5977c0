"""The tables of a run folder: names, columns and types, in one place for writers and readers."""

from typing import Literal

Type = Literal["int", "float", "str", "bool"]

TABLES: dict[str, dict[str, Type]] = {
    # what protocols and faults did; detail is JSON
    "events": {
        "seq": "int",
        "time_s": "float",
        "node": "str",
        "event": "str",
        "round": "int",
        "peer": "str",
        "detail": "str",
    },
    # every piece of work in virtual time; status: done | lost | running (when the run ended); paused_s of
    # its span the machine was not available
    "work": {
        "node": "str",
        "task": "str",
        "key": "str",
        "round": "int",
        "start_s": "float",
        "end_s": "float",
        "status": "str",
        "flop": "float",
        "extra_flop": "float",
        "paused_s": "float",
    },
    # every attempt to move bytes; status: delivered | failed | in_flight.
    # carried_nbytes left the sender and crossed the links: = nbytes if delivered, wasted if failed
    "transfers": {
        "transfer": "int",
        "attempt": "int",
        "src": "str",
        "dst": "str",
        "kind": "str",
        "round": "int",
        "control": "bool",
        "nbytes": "int",
        "carried_nbytes": "int",
        "start_s": "float",
        "end_s": "float",
        "status": "str",
        "reason": "str",
        "route": "str",
    },
    # totals per directed link; capacity at the start, null: unlimited; headers are overhead of the
    # application, not part of what was carried
    "links": {
        "link": "str",
        "src": "str",
        "dst": "str",
        "bytes_per_s": "float",
        "latency_s": "float",
        "header_nbytes": "int",
        "carried_nbytes": "int",
    },
    # link states over time: up/down and capacity changes
    "outages": {"node": "str", "what": "str", "start_s": "float", "end_s": "float"},
    # per case and structure; selection: round | selected | unseen (a selected model at a hospital
    # that took no part in training, one block of rows per model); status: ok | both_empty | missed |
    # false_alarm (distances are null unless ok); time_s: when the site had this model
    "metrics": {
        "site": "str",
        "selection": "str",
        "round": "int",
        "time_s": "float",
        "split": "str",
        "case": "str",
        "structure": "str",
        "metric": "str",
        "value": "float",
        "status": "str",
        "key": "str",
    },
    "sites": {
        "site": "str",
        "role": "str",
        "device": "str",
        "flop_per_s": "float",
        "up_bytes_per_s": "float",
        "down_bytes_per_s": "float",
        "latency_s": "float",
        "num_train": "int",
        "num_val": "int",
        "num_test": "int",
    },
    # each declared fault, with each time it fired; status: fired | no effect (its target was gone, or
    # nothing met it) | never fired | not applicable
    "faults": {
        "fault": "int",
        "text": "str",
        "verb": "str",
        "node": "str",
        "time_s": "float",
        "status": "str",
        "reason": "str",
    },
    # each line of network.conditions on each link; time_s: when it first had an effect;
    # status: fired | never fired | not applicable
    "conditions": {
        "condition": "int",
        "text": "str",
        "kind": "str",
        "link": "str",
        "time_s": "float",
        "status": "str",
        "reason": "str",
    },
    "skipped_cases": {"site": "str", "case": "str", "reason": "str"},
}
"""Columns and types by table; every column but ``seq`` and the keys of a row may be null."""
