"""Plausible run folders with the real schemas, made from arithmetic instead of training.

Each algorithm has a formula for Dice and a schedule for its messages; times, bytes, faults, tables
and manifests agree with each other, so that measures of them can be computed by hand.
"""

import json
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from simulator.record.tables_io import write_table
from simulator.rng import stream

PAYLOAD = 650_000
EPOCH_S = 60.0
GAIN = {"gcml": 0.16, "gossip-averaging": 0.12, "fedavg": 0.13, "local": 0.04, "pooled": 0.18, "gml": 0.14}


@dataclass(kw_only=True)
class Shape:
    """What the made-up study looks like."""

    num_sites: int = 5
    rounds: int = 12
    structures: tuple[str, ...] = ("tumor",)
    crash_s: float | None = 450.0
    join_s: float | None = None
    plan: bool = False
    overlays: bool = True
    target: float | None = 0.75
    first: int = 10  # training cases of the first site; each further one has one more
    names: tuple[str, ...] = ("north", "river", "hill", "lake", "coast")

    @property
    def sites(self):
        more = [f"hospital{i}" for i in range(len(self.names) + 1, self.num_sites + 1)]
        return [*self.names, *more][: self.num_sites]


@dataclass
class Tables:
    rows: dict = field(
        default_factory=lambda: {
            name: []
            for name in (
                "events",
                "work",
                "transfers",
                "outages",
                "metrics",
                "faults",
                "conditions",
                "sites",
                "skipped_cases",
            )
        }
    )

    def event(self, time_s, node, event, round_=None, peer=None, **detail):
        rows = self.rows["events"]
        text = json.dumps(detail, sort_keys=True) if detail else ""
        rows.append((len(rows), time_s, node, event, round_, peer, text))

    def send(self, start_s, src, dst, round_, crash_s, rate, nbytes=PAYLOAD, control=False):
        """Return when it arrived, or None: broken by the server's crash."""
        end_s, status, carried, reason = start_s + nbytes / rate, "delivered", nbytes, None
        if crash_s is not None and "server" in (src, dst) and end_s > crash_s:
            carried = int(max(0.0, (crash_s - start_s) * rate))
            end_s, status, reason = max(start_s, crash_s), "failed", "peer crashed"
        route = f"{src}.up {dst}.down"
        kind = "request" if control else "model"
        number = len(self.rows["transfers"])
        self.rows["transfers"].append(
            (
                number,
                1,
                src,
                dst,
                kind,
                round_,
                control,
                nbytes,
                carried,
                start_s,
                end_s,
                status,
                reason,
                route,
            )
        )
        return end_s if status == "delivered" else None


def write_study(
    folder, algorithms=("gcml", "gossip-averaging", "fedavg", "local"), *, seeds=(1,), shape=None
):
    """Write a study folder and return it."""
    shape = shape or Shape()
    points = []
    for algorithm in algorithms:
        for seed in seeds:
            label = algorithm if len(seeds) == 1 else f"{algorithm}-seed{seed}"
            write_run(folder / label, algorithm, label=label, seed=seed, shape=shape)
            points.append(label)
    about = {
        "name": "hospitals",
        "description": "Made-up numbers for tests",
        "points": points,
        "command": "medgossip run hospitals",
    }
    (folder / "study.json").write_text(json.dumps(about))
    return folder


SPEEDS = {"1 Mbit/s": 1.0, "4 Mbit/s": 4.0}
DOWNS = ([], [{"every": "exp(2 h)", "crash": "hill"}])


def write_swept(folder, algorithms=("gcml", "fedavg", "local"), *, seeds=(1, 2)):
    """Write a study over a line's speed, crashes and seeds; pooled only under the first conditions."""
    points = []
    for algorithm, up, lines, seed in product(algorithms, SPEEDS, DOWNS, seeds):
        if algorithm == "pooled" and (lines or SPEEDS[up] > 1):
            continue
        label = f"{algorithm}-{len(points)}"
        shape = Shape(rounds=3, overlays=False, crash_s=200.0 if lines else None)
        run = write_run(folder / label, algorithm, label=label, seed=seed, shape=shape)
        about = json.loads((run / "manifest.json").read_text())
        about["swept"] = {
            "algorithm": {"name": algorithm}, "faults": lines, "seed.learning": seed, "seed.network": seed,
            "sites.*.link.down": up, "sites.*.link.up": up,
        }  # fmt: skip
        about["virtual_time_s"] /= SPEEDS[up]
        (run / "manifest.json").write_text(json.dumps(about))
        points.append(label)
    (folder / "study.json").write_text(json.dumps({"name": "swept", "points": points}))
    return folder


def write_run(folder, algorithm, *, label=None, seed=1, shape=None, status="ok"):
    """Write one run folder and return it."""
    shape = shape or Shape()
    folder.mkdir(parents=True, exist_ok=True)
    tables = Tables()
    end_s = _happen(tables, algorithm, seed, shape)
    tables.rows["links"] = _links(tables, shape)
    _site_rows(tables, algorithm, shape)
    for name, rows in tables.rows.items():
        write_table(folder, name, rows)
    if shape.overlays and not shape.plan:
        np.savez_compressed(folder / "overlays.npz", **_overlays(algorithm, seed, shape))
    (folder / "scenario.yaml").write_text(
        f"name: hospitals\nalgorithm: {{name: {algorithm}, rounds: {shape.rounds}}}\n"
    )
    (folder / "manifest.json").write_text(
        json.dumps(_manifest(algorithm, label, seed, shape, status, end_s, tables))
    )
    return folder


def _happen(tables, algorithm, seed, shape):
    """Rounds of every site, one after another; return the time of the end."""
    clock = dict.fromkeys(shape.sites, 0.0)
    if shape.join_s is not None:
        clock[shape.sites[-1]] = shape.join_s
        tables.rows["faults"].append(
            (
                1,
                f"{{at: {shape.join_s:g} s, join: {shape.sites[-1]}}}",
                "join",
                shape.sites[-1],
                shape.join_s,
                "fired",
                None,
            )
        )
    crash_s = shape.crash_s if algorithm == "fedavg" else None
    dead, round_ = False, 0
    for round_ in range(shape.rounds):
        if algorithm == "fedavg":
            dead = _fedavg_round(tables, clock, round_, seed, shape)
        else:
            _peer_round(tables, clock, algorithm, round_, seed, shape)
        if dead:
            break
    end_s = max(clock.values())
    _faults(tables, algorithm, shape, crash_s, end_s)
    return end_s


def _fedavg_round(tables, clock, round_, seed, shape):
    crash_s, begin = shape.crash_s, max(clock.values())
    arrived = []
    for index, site in enumerate(shape.sites):
        got = tables.send(begin, "server", site, round_, crash_s, _rate(index, down=True))
        if got is not None:
            trained = got + EPOCH_S * (1 + 0.3 * index)
            _work(tables, site, "train", round_, got, trained)
            arrived.append(tables.send(trained, site, "server", round_, crash_s, _rate(index)))
    if not arrived or None in arrived:
        clock.update(dict.fromkeys(clock, max(begin, crash_s) + 60.0))
        for site in shape.sites:
            tables.event(clock[site], site, "server_lost", round_)
        return True
    end = max(arrived)
    _work(tables, "server", "average", round_, end, end + 1.0)
    for index, site in enumerate(shape.sites):
        clock[site] = end + 1.0
        _measure(tables, "fedavg", site, index, round_, clock[site], seed, shape)
    return False


def _peer_round(tables, clock, algorithm, round_, seed, shape):
    order = list(stream(seed, "pairs", round_).permutation(len(shape.sites)))
    pairs = {} if algorithm in {"local", "pooled"} else dict(zip(order[1::2], order[::2], strict=False))
    sent = {
        s: tables.send(clock[shape.sites[s]], shape.sites[s], shape.sites[r], round_, None, _rate(s))
        for r, s in pairs.items()
    }
    for s in sent:
        r = next(r for r, other in pairs.items() if other == s)
        tables.send(
            clock[shape.sites[r]], shape.sites[r], shape.sites[s], round_, None, 1e5, 256, control=True
        )
    for index, site in enumerate(shape.sites):
        begin, factor, task = clock[site], 1.0, "train"
        if index in pairs:
            begin = max(begin, sent[pairs[index]])
            if algorithm in {"gcml", "gml"}:
                factor, task = 2.0, "mutual"
        end = begin + factor * EPOCH_S * (1 + 0.3 * index)
        _work(tables, site, task, round_, begin, end)
        if task == "mutual":
            tables.event(end, site, "mutual_outcome", None, accepted=round_ % 4 != 3)
        clock[site] = end
        _measure(tables, algorithm, site, index, round_, end, seed, shape)


def _faults(tables, algorithm, shape, crash_s, end_s):
    if shape.crash_s is None:
        return
    text = f"{{at: {shape.crash_s:g} s, crash: server}}"
    if crash_s is None:
        reason = "this algorithm has no server"
        tables.rows["faults"].append((0, text, "crash", "server", None, "not applicable", reason))
    else:
        tables.rows["faults"].append((0, text, "crash", "server", crash_s, "fired", None))
        tables.rows["outages"].append(("server", "crash", crash_s, end_s))
        tables.event(crash_s, "server", "crash", fault=0)
        tables.rows["work"].append(
            ("server", "average", "k", 99, crash_s - 5.0, crash_s, "lost", 1e9, 0.0, 0.0)
        )
    late = "{at: 99 d, disconnect: hill}"
    tables.rows["faults"].append(
        (2, late, "disconnect", "hill", None, "never fired", f"the run ended at {end_s:g} s")
    )
    outage = (shape.sites[1], "disconnect", 200.0, 260.0)
    tables.rows["outages"].append(outage)
    tables.rows["faults"].append(
        (3, "{from: 200 s, to: 260 s, disconnect: river}", "disconnect", shape.sites[1], 200.0, "fired", None)
    )


def _work(tables, node, task, round_, start_s, end_s):
    flop = (end_s - start_s) * 1e12
    extra = flop / 2 if task == "mutual" else 0.0
    key = f"{node}-{task}-{round_}"
    tables.rows["work"].append((node, task, key, round_, start_s, end_s, "done", flop, extra, 0.0))


def dice_of(algorithm, index, round_, seed, case=0):
    """The made-up Dice of a site's case after a round."""
    noise = stream(seed, algorithm, index, case).normal(0, 0.02)
    start = 0.72 - 0.05 * index % 0.4
    return float(np.clip(start + GAIN[algorithm] * (1 - np.exp(-(round_ + 1) / 4)) + noise, 0, 1))


def _measure(tables, algorithm, site, index, round_, time_s, seed, shape):
    tables.event(time_s, site, "round", round_)
    if shape.plan:
        return
    last = round_ == shape.rounds - 1 or algorithm == "fedavg"
    choices = [("round", "val"), ("round", "test")] + ([("selected", "test")] if last else [])
    if algorithm == "fedavg":  # the selected model is the last that arrived
        tables.rows["metrics"] = [
            row for row in tables.rows["metrics"] if (row[0], row[1]) != (site, "selected")
        ]
    for selection, split in choices:
        for case in range(2 + index):
            for number, structure in enumerate(shape.structures):
                value = dice_of(algorithm, index, round_, seed, case) - 0.06 * number
                missed = algorithm == "local" and case == 0 and index == 4 and selection == "selected"
                status = "missed" if missed else "ok"
                row = (site, selection, round_, time_s, split, f"case{case}", structure)
                tables.rows["metrics"].append((*row, "dice", 0.0 if missed else value, status, "k"))
                if selection == "selected":
                    distance = None if missed else 20 * (1 - value)
                    tables.rows["metrics"].append((*row, "hd95_mm", distance, status, "k"))
                    tables.rows["metrics"].append((*row, "assd_mm", distance and distance / 4, status, "k"))


def _rate(index, *, down=False):
    return (4e5 if down else 1e5) / (1 + index % 3)  # bytes per second


def _links(tables, shape):
    carried = {}
    for row in tables.rows["transfers"]:
        for link in row[13].split(" "):
            carried[link] = carried.get(link, 0) + row[8]
    rows = []
    for index, node in enumerate([*shape.sites, "server"]):
        rates = (_rate(index), _rate(index, down=True)) if node != "server" else (None, None)
        for link, src, dst, rate in (
            (f"{node}.up", node, "@core", rates[0]),
            (f"{node}.down", "@core", node, rates[1]),
        ):
            rows.append((link, src, dst, rate, 0.01, 0, carried.get(link, 0)))
    return rows


def _site_rows(tables, algorithm, shape):
    for index, site in enumerate(shape.sites):
        tables.rows["sites"].append(
            (
                site,
                "site",
                "rtx-3090",
                1e12,
                _rate(index),
                _rate(index, down=True),
                0.01,
                shape.first + index,
                2,
                2 + index,
            )
        )
    if algorithm == "fedavg":
        tables.rows["sites"].append(
            ("server", "server", "cpu-16-core", 1e12, None, None, 0.005, None, None, None)
        )
    tables.rows["skipped_cases"].append((shape.sites[0], "case17", "label is not finite"))


def _overlays(algorithm, seed, shape):
    arrays = {}
    y, x = np.mgrid[:64, :64]
    for index, site in enumerate(shape.sites):
        for case in range(2):
            rng = stream(seed, "overlay", site, case)
            cy, cx = rng.uniform(24, 40, 2)
            head = (np.hypot(y - 32, x - 32) < 28).astype(float)
            distance = np.hypot(y - cy, x - cx)
            image = head * (0.4 + 0.1 * rng.normal(size=head.shape)) + 0.5 * (distance < 9)
            shift = 4 * (1 - dice_of(algorithm, index, 11, seed))
            radii = [9 - 2.5 * k for k in range(len(shape.structures))]
            key = f"{site}/case{case}"
            arrays[f"{key}/image"] = image
            arrays[f"{key}/truth"] = np.stack([distance < r for r in radii]).astype(np.uint8)
            moved = np.hypot(y - cy - shift, x - cx + shift)
            empty = algorithm == "local" and index == 4 and case == 0
            arrays[f"{key}/prediction"] = np.stack([(moved < r) & (not empty) for r in radii]).astype(
                np.uint8
            )
    return arrays


def _manifest(algorithm, label, seed, shape, status, end_s, tables):
    warnings = [
        f"fault {row[1]} never fired for {row[3]}: {row[6]}"
        for row in tables.rows["faults"]
        if row[5] == "never fired"
    ]
    return {
        "run_id": label or algorithm,
        "label": label or algorithm,
        "scenario": "hospitals",
        "algorithm": algorithm,
        "seed": {"learning": seed, "network": seed},
        "status": status,
        "plan": shape.plan,
        "simulated_data": True,
        "virtual_time_s": end_s,
        "end_reason": "all protocols ended",
        "tasks": {"executed": 60, "reused": 4},
        "error": None if status == "ok" else "train at north gave a value that is not finite",
        "wall_s": {"simulate": 0.4, "total": 61.0},
        "versions": {"python": "3.11", "medgossip": "0.1.0"},
        "hardware": {"processor": "test processor", "cores": 2},
        "warnings": warnings,
        "command": "medgossip run hospitals",
        "model": {"num_parameters": 162_000, "payload_nbytes": PAYLOAD},
        "dataset": "brainsim",
        "structures": list(shape.structures),
        "target_dice": shape.target,
        "notes": [],
    }
