"""Golden traces: the events of tiny scenarios, one behavior each, reviewed as text.

A change of any line is a change of behavior. After a deliberate one, write them anew with
``MEDGOSSIP_WRITE_GOLDEN=1 pytest tests/test_golden.py`` and read the difference before committing.
"""

import os
from pathlib import Path

import pytest

from tests.support import run

FOLDER = Path(__file__).parent / "golden"

SCENARIOS = {
    "gcml-pairs": ("algorithm: {name: gcml, rounds: 4, warmup_epochs: 1}\n", ()),
    "gml": ("algorithm: {name: gml, rounds: 2, warmup_epochs: 1}\n", ()),
    "gcml-bernoulli": ("algorithm: {name: gcml, rounds: 3, schedule: bernoulli}\n", ()),
    "gcml-async": ("algorithm: {name: gcml, rounds: 4, schedule: async}\n", ()),
    "gcml-crash-and-recovery": (
        "algorithm: {name: gcml, rounds: 6}\nfaults: [{at: 35 s, crash: a, for: 60 s}]\n",
        (),
    ),
    "gcml-adopting-newcomer": (
        "algorithm: {name: gcml, rounds: 6, newcomer: first-model}\nfaults: [{at: 60 s, join: b}]\n",
        (),
    ),
    "gossip-averaging-outage": (
        "algorithm: {name: gossip-averaging, rounds: 3}\nfaults: [{from: 72 s, to: 75 s, disconnect: c}]\n",
        ("network.transport.preset=tcp-cubic",),
    ),
    "gossip-vpn-hub-crash": (
        "algorithm: {name: gossip-averaging, rounds: 3}\n"
        "faults: [{at: 41 s, crash: hub, for: 20 s}, {from: 72.5 s, to: 78 s, disconnect: hub}]\n",
        (
            "network.relays=[{name: hub, link: {up: 4 Mbit/s, down: 8 Mbit/s, latency: 0 ms}}]",
            "network.routes=[{via: hub, between: sites}]",
        ),
    ),
    "gossip-proxy-server-death": (
        "algorithm: {name: gossip-averaging, rounds: 3}\nfaults: [{at: 41.5 s, crash: server}]\n",
        (
            "network.routes=[{via: server, between: outbound-only, forward: store-and-forward}]",
            "sites.*.link.inbound=false",
        ),
    ),
    "gossip-averaging-windows": (
        "algorithm: {name: gossip-averaging, rounds: 3}\nfaults: [{from: 72 s, to: 75 s, disconnect: c}]\n",
        ("network.transport.preset=tcp-cubic", "network.transport.tier=window"),
    ),
    "fedavg": ("algorithm: {name: fedavg, rounds: 2}\n", ()),
    "fedavg-server-crash": (
        "algorithm: {name: fedavg, rounds: 3}\nfaults: [{at: 60 s, crash: server, for: 100 s}]\n",
        (),
    ),
    "fedavg-server-death": (
        "algorithm: {name: fedavg, rounds: 3, round_deadline: 200 s, server_patience: 5 min}\n"
        "faults: [{at: 60 s, crash: server}]\n",
        (),
    ),
    "fedprox-partial-work": (
        "algorithm: {name: fedprox, rounds: 2, local_epochs: 3, work_deadline: 1 min}\n",
        (),
    ),
    "fedyogi-late-update": (
        "algorithm: {name: fedyogi, rounds: 2, round_deadline: 35 s, late_updates: accept}\n",
        (),
    ),
    "fedprox-quorum": ("algorithm: {name: fedprox, rounds: 2, quorum: 2, grace: 1 s}\n", ()),
    "fedbn": ("algorithm: {name: fedbn, rounds: 2, finetune_epochs: 1}\n", ()),
    "fedrep-newcomer": (
        "algorithm: {name: fedrep, rounds: 3}\nfaults: [{at: 70 s, join: b}]\n",
        (),
    ),
    "ditto": ("algorithm: {name: ditto, rounds: 2}\n", ()),
    "apfl-server-death": (
        "algorithm: {name: apfl, rounds: 3, when_server_lost: train_alone, round_deadline: 200 s,"
        " server_patience: 5 min}\nfaults: [{at: 180 s, crash: server}]\n",
        (),
    ),
    "moon": ("algorithm: {name: moon, rounds: 2}\n", ()),
    "scaffold-lost-update": (
        "algorithm: {name: scaffold, rounds: 3}\nfaults: [{from: 82 s, to: 95 s, disconnect: c}]\n",
        (
            "network.transport.stall_timeout=5 s",
            "network.transport.retries=0",
            "task.optimizer={name: sgd, lr: 0.1}",
        ),
    ),
    "fedasync": ("algorithm: {name: fedasync, rounds: 2}\n", ()),
    "fedasync-silent-site": (
        "algorithm: {name: fedasync, rounds: 3, concurrency: 2, site_timeout: 60 s}\n"
        "faults: [{at: 15 s, crash: b}]\n",
        (),
    ),
    "fedbuff-server-crash": (
        "algorithm: {name: fedbuff, rounds: 3}\nfaults: [{at: 60 s, crash: server, for: 30 s}]\n",
        (),
    ),
    "fedadam": ("algorithm: {name: fedadam, rounds: 2}\n", ()),
    "fedavg-topk-crash": (
        "algorithm: {name: fedavg, rounds: 4, round_deadline: 120 s}\n"
        "faults: [{at: 145 s, crash: b, for: 10 s}]\n",
        ("network.codec={kind: topk, fraction: 0.01, encode_rate: 2 MB/s, decode_rate: 4 MB/s}",),
    ),
    "gossip-averaging-damage": (
        "algorithm: {name: gossip-averaging, rounds: 4}\n",
        ("network.transport.damage=0.5", "network.transport.retries=1"),
    ),
    "gossip-averaging-flap": (
        "algorithm: {name: gossip-averaging, rounds: 3}\n"
        "faults: [{from: 71.5 s, to: 90 s, flap: c, down: 2 s, up: 5 s}]\n",
        ("network.transport.preset=tcp-cubic",),
    ),
    "gossip-averaging-partition": (
        "algorithm: {name: gossip-averaging, rounds: 3}\n"
        'faults: [{from: 40.5 s, to: 60 s, partition: "b"}]\n',
        ("network.transport.preset=tcp-cubic",),
    ),
    "fedavg-slow-site": (
        "algorithm: {name: fedavg, rounds: 2}\n"
        "faults: [{at: 10 s, for: 60 s, set: {site: c, speed: 0.5, bandwidth: 1 Mbit/s}}]\n",
        (),
    ),
    "fedavg-timed-out": (
        "algorithm: {name: fedavg, rounds: 1, round_deadline: 200 s}\n"
        "faults: [{at: 11.5 s, for: 60 s, disconnect: server}]\n",
        (
            "network.transport.stall_timeout=20 s",
            "network.transport.restart=offset",
            "network.transport.connections=2",
        ),
    ),
    "fedavg-leave": (
        "algorithm: {name: fedavg, rounds: 2, round_deadline: 100 s}\nfaults: [{at: 31.5 s, leave: c}]\n",
        (),
    ),
    "fedavg-fail-over": (
        "algorithm: {name: fedavg, rounds: 2}\nfaults: [{at: 50 s, fail_over: a}]\n",
        ("server.standby=[a]", "server.detect_after=5 s"),
    ),
    "gossip-averaging-churn": (
        "algorithm: {name: gossip-averaging, rounds: 4}\n"
        "faults: [{from: 30 s, to: 90 s, churn: [a, c], rate: 100 %/min, replacement: 10 s}]\n",
        (),
    ),
    "gossip-averaging-straggler": (
        "algorithm: {name: gossip-averaging, rounds: 3}\n"
        "faults: [{from: 5 s, to: 40 s, straggle: a, factor: 4}]\n",
        (),
    ),
    "gossip-averaging-corrupt-line": (
        "algorithm: {name: gossip-averaging, rounds: 3}\n"
        "faults: [{from: 40.5 s, to: 60 s, corrupt: {site: c, direction: down, probability: 1.0}}]\n",
        ("network.transport.backoff=7 s",),
    ),
    "gossip-averaging-restart-zero": (
        "algorithm: {name: gossip-averaging, rounds: 3}\n"
        "faults: [{from: 40.5 s, to: 46 s, disconnect: b}, {from: 71.5 s, to: 200 s, disconnect: c}]\n",
        ("network.transport.stall_timeout=2 s", "network.transport.backoff=1 s"),
    ),
    "gossip-averaging-restart-offset": (
        "algorithm: {name: gossip-averaging, rounds: 3}\n"
        "faults: [{from: 40.5 s, to: 46 s, disconnect: b}, {from: 71.5 s, to: 200 s, disconnect: c}]\n",
        (
            "network.transport.stall_timeout=2 s",
            "network.transport.backoff=1 s",
            "network.transport.restart=offset",
        ),
    ),
    "gossip-averaging-line-changes": (
        "algorithm: {name: gossip-averaging, rounds: 3}\n"
        "faults: [{from: 40.5 s, to: 50 s, set: {site: b, bandwidth: 2 Mbit/s}}, "
        "{from: 70 s, to: 90 s, set: {site: c, latency: 100 ms, loss: 0.02}}]\n",
        ("network.transport.preset=tcp-cubic",),
    ),
    "epidemic-messages-lost": (
        "algorithm: {name: epidemic, rounds: 2, num_peers: 1}\n",
        (
            "network.transport.message_loss=0.2",
            "network.transport.message_duplication=0.3",
            "network.transport.message_reordering=0.3",
        ),
    ),
    "fedavg-conditions": (
        "algorithm: {name: fedavg, rounds: 2}\n",
        (
            "network.conditions=[{site: c, rekey: {every: 30 s, down: 2 s, connections: reset}}, "
            "{site: a, maintenance: {from: 0.5 s, to: 1.5 s}}, "
            "{site: server, direction: down, background: {rate: 6 Mbit/s, floor: 1 Mbit/s}}]",
        ),
    ),
    "fedgs-missing-discarded": (
        "algorithm: {name: fedgs, rounds: 2, local_epochs: 1, missing: discard, round_deadline: 100 s}\n"
        "faults: [{at: 50 s, crash: c}]\n",
        (),
    ),
    "fedsm": ("algorithm: {name: fedsm, rounds: 2, selector: linear}\n", ()),
    "fedsm-missing-site": (
        "algorithm: {name: fedsm, rounds: 3, selector: linear, round_deadline: 150 s}\n"
        "faults: [{at: 80 s, crash: b, for: 200 s}]\n",
        (),
    ),
    "dpsgd-silent-neighbor": (
        "algorithm: {name: dpsgd, rounds: 3, peer_timeout: 1 min}\n"
        "faults: [{from: 50 s, to: 100 s, disconnect: c}]\n",
        ("network.transport.stall_timeout=5 s", "network.transport.retries=0"),
    ),
    "sgp-returned-share": (
        "algorithm: {name: sgp, rounds: 3, peer_timeout: 60 s}\nfaults: [{at: 31 s, crash: c, for: 15 s}]\n",
        (),
    ),
    "adpsgd": ("algorithm: {name: adpsgd, rounds: 3}\n", ()),
    "epidemic": ("algorithm: {name: epidemic, rounds: 2, num_peers: 1}\n", ()),
    "gossip-exchange": ("algorithm: {name: gossip-averaging, rounds: 2, form: exchange}\n", ()),
    "defkt-networks": (
        "algorithm: {name: defkt, rounds: 3}\n",
        (
            "sites.0.network={name: declared, num_parameters: 24990, num_buffers: 2, num_counters: 3, "
            "forward_flop: 1.0e8}",
        ),
    ),
    "defkt-idle": ("algorithm: {name: defkt, rounds: 2, others: idle}\n", ()),
    "avgpush": ("algorithm: {name: avgpush, rounds: 2}\n", ()),
    "proxyfl-crash": (
        "algorithm: {name: proxyfl, rounds: 3, peer_timeout: 2 min}\n"
        "faults: [{at: 65 s, crash: b, for: 20 s}]\n",
        (),
    ),
    "fml": ("algorithm: {name: fml, rounds: 2}\n", ()),
    "swarm-leader-crash": (
        "algorithm: {name: swarm, rounds: 3}\nfaults: [{at: 43.5 s, crash: c, for: 60 s}]\n",
        (),
    ),
    "cyclic-skipped-site": (
        "algorithm: {name: cyclic, rounds: 2, hop_timeout: 2 min}\n"
        "faults: [{at: 20 s, crash: b, for: 4 min}]\n",
        (),
    ),
    "hierarchical-edge-death": (
        "algorithm: {name: hierarchical-fedavg, rounds: 3, edge_deadline: 1 min, round_deadline: 3 min,"
        " regions: [{sites: [a, b], edge: b}, {sites: [c]}]}\nfaults: [{at: 60 s, crash: b}]\n",
        (),
    ),
    "dml": ("algorithm: {name: dml, rounds: 2, num_networks: 3}\n", ()),
    "local": ("algorithm: {name: local, rounds: 2}\n", ()),
    "pooled": ("algorithm: {name: pooled, rounds: 2}\n", ()),
}


def story(result):
    lines = ["# events", result.world.trace.text(), "# transfers"]
    for row in result.ledger.rows("transfers"):
        transfer, attempt, src, dst, kind, round_, _, nbytes, carried, start, end, status, reason, _ = row
        what = f"{transfer}.{attempt} {src}->{dst} {kind} round {round_}"
        lines.append(f"{start:12.3f} {end:12.3f} {what} {carried}/{nbytes} {status} {reason}".rstrip())
    return "\n".join([*lines, f"# end: {result.end_reason} at {result.virtual_time_s:.3f} s", ""])


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_trace_is_the_golden_one(tmp_path, name):
    text, overrides = SCENARIOS[name]
    got = story(run(tmp_path, text, *overrides))
    path = FOLDER / f"{name}.txt"
    if os.environ.get("MEDGOSSIP_WRITE_GOLDEN"):
        path.write_text(got, encoding="utf-8")
    assert got == path.read_text(encoding="utf-8")
