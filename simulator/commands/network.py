"""``medgossip network``: how good the network model is, and what it says of a scenario's network."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from simulator.commands.endings import errors_shown
from simulator.commands.options import Overrides, Scenario, Verbose, one_of, words
from simulator.errors import ExitCode, ScenarioError
from simulator.units import parse

network = typer.Typer(
    help="Check the network model, or ask it about a scenario's network.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Tier(StrEnum):
    """The tiers of the network model."""

    SHARE = "share"
    WINDOW = "window"
    SIMGRID = "simgrid"
    SIMGRID_CM02 = "simgrid-cm02"


class CaseKind(StrEnum):
    """Kinds of reference cases; see :data:`simulator.network.scores.KINDS`."""

    SINGLE = "single"
    SEVERAL = "several"
    LOSS = "loss"
    OUTAGE = "outage"
    TRACE = "trace"


Only = Annotated[
    str | None,
    typer.Option(
        "--only", metavar="RUN", help="which run of a sweep, by label or id; needed if networks differ"
    ),
]
From = Annotated[
    list[str] | None, typer.Option("--from", metavar="NODE", help="sender; repeatable; default: all nodes")
]
To = Annotated[
    list[str] | None, typer.Option("--to", metavar="NODE", help="receiver; repeatable; default: all nodes")
]
Pair = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FROM TO]", help="one pair, short for --from FROM --to TO", show_default=False),
]
At = Annotated[
    float,
    typer.Option(
        "--at",
        parser=lambda text: _read_quantity(text, "duration"),
        metavar="TIME",
        show_default="0 s",
        help="virtual time, as 3h; faults and conditions are those of then",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of tables")]


def _read_quantity(text: str | float, dimension: str) -> float:
    if isinstance(text, float):
        return text  # typer parses defaults too
    try:
        return parse(text, dimension)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _read_share(text: str) -> float:
    number, percent, rest = text.partition("%")
    try:
        share = float(number) / 100
    except ValueError:
        share = -1.0
    if not percent or rest.strip() or not share >= 0:
        raise typer.BadParameter(f'"{text}" is not a limit; write for example 3%')
    return share


def _ends(
    pair: list[str] | None, senders: list[str] | None, receivers: list[str] | None
) -> tuple[list[str], list[str]]:
    """Senders and receivers, of both ways to name them; none: all nodes."""
    if not pair:
        return senders or [], receivers or []
    if len(pair) != 2 or senders or receivers:
        raise ScenarioError(
            f"{' '.join(pair)}: a pair is two nodes; name more with --from and --to, both repeatable"
        )
    return pair[:1], pair[1:]


def _limit(measure: str, which: str) -> typer.models.OptionInfo:
    words = {"flow": "per flow", "mean": "of case means", "makespan": "of makespans"}[measure]
    name = {"median": "median", "p90": "90th percentile", "max": "worst"}[which]
    help_ = f"limit of the {name} error {words}"
    option: typer.models.OptionInfo = typer.Option(
        f"--{measure}-{which}", parser=_read_share, metavar="PERCENT", help=help_
    )
    return option


@network.command()
def check(
    cases: Annotated[Path, typer.Argument(help="a JSON file of reference cases")],
    tiers: Annotated[
        list[Tier] | None,
        typer.Option(
            "--tier",
            parser=one_of(Tier),
            metavar=words(Tier),
            help="tier to check; repeatable; default: share",
        ),
    ] = None,
    systems: Annotated[
        list[str] | None,
        typer.Option("--system", metavar="COLUMN", help="another system to check; repeatable"),
    ] = None,
    against: Annotated[
        str, typer.Option(metavar="COLUMN", help="system whose times are the truth")
    ] = "linux",
    kinds: Annotated[
        list[CaseKind] | None,
        typer.Option(
            "--kind",
            parser=one_of(CaseKind),
            metavar=words(CaseKind),
            help="only cases of this kind; repeatable",
        ),
    ] = None,
    groups: Annotated[
        list[str] | None, typer.Option("--group", help="only cases of this group; repeatable")
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="runs of a case in which chance decides; default: 5 to 60, until their mean is known to 3 %",
        ),
    ] = None,
    flow_median: Annotated[float | None, _limit("flow", "median")] = None,
    flow_p90: Annotated[float | None, _limit("flow", "p90")] = None,
    flow_max: Annotated[float | None, _limit("flow", "max")] = None,
    mean_median: Annotated[float | None, _limit("mean", "median")] = None,
    mean_p90: Annotated[float | None, _limit("mean", "p90")] = None,
    mean_max: Annotated[float | None, _limit("mean", "max")] = None,
    makespan_median: Annotated[float | None, _limit("makespan", "median")] = None,
    makespan_p90: Annotated[float | None, _limit("makespan", "p90")] = None,
    makespan_max: Annotated[float | None, _limit("makespan", "max")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="write everything, also by flow")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="print tables that compare systems")] = False,
    verbose: Verbose = False,
) -> None:
    """Tell how far predicted completion times are from measured ones.

    Limits hold for all cases chosen; exit code 1 says that one is exceeded.
    """
    given = {
        ("flow", "median"): flow_median,
        ("flow", "p90"): flow_p90,
        ("flow", "max"): flow_max,
        ("mean", "median"): mean_median,
        ("mean", "p90"): mean_p90,
        ("mean", "max"): mean_max,
        ("makespan", "median"): makespan_median,
        ("makespan", "p90"): makespan_p90,
        ("makespan", "max"): makespan_max,
    }
    with errors_shown(verbose):
        from simulator.commands.network_check import Choice, check_cases

        if not tiers and not systems:
            tiers = [Tier.SHARE]
        choice = Choice(
            tiers=tuple(dict.fromkeys(tier.value for tier in tiers or ())),
            systems=tuple(dict.fromkeys(systems or ())),
            against=against,
            kinds=tuple(kind.value for kind in kinds or ()),
            groups=tuple(groups or ()),
            seeds=seeds,
        )
        if against in choice.systems:
            raise ScenarioError(f"--system {against}: compared with itself; name another with --against")
        limits = {key: limit for key, limit in given.items() if limit is not None}
        kept = check_cases(cases, choice, limits, json_file=json_file, markdown=markdown)
    if not kept:
        raise typer.Exit(int(ExitCode.NO))


@network.command()
def ping(
    scenario: Scenario,
    pair: Pair = None,
    senders: From = None,
    receivers: To = None,
    at_s: At = 0.0,
    overrides: Overrides = None,
    only: Only = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Tell routes, round trips and bottlenecks between nodes.

    One pair link by link, or a table of pairs. Exit code 1: the one pair asked for is cut.
    """
    with errors_shown(verbose):
        from simulator.commands.network_probe import load, ping_nodes

        ends = _ends(pair, senders, receivers)
        study = load(scenario, overrides or (), only)
    with errors_shown(verbose, study):
        reached = ping_nodes(study, *ends, at_s, as_json)
    if not reached:
        raise typer.Exit(int(ExitCode.NO))


@network.command()
def transfer(
    scenario: Scenario,
    size: Annotated[
        float,
        typer.Option(
            parser=lambda text: _read_quantity(text, "size"), metavar="SIZE", help="payload, as 500MB"
        ),
    ],
    pair: Pair = None,
    senders: From = None,
    receivers: To = None,
    at_s: At = 0.0,
    concurrent: Annotated[int, typer.Option(min=1, help="transfers of each pair at once")] = 1,
    overrides: Overrides = None,
    only: Only = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Tell how long a transfer between nodes takes.

    With senders and receivers named, all at once; otherwise a table of pairs, each alone on the
    network. Exit code 1: one of those named fails.
    """
    with errors_shown(verbose):
        from simulator.commands.network_probe import load, transfer_between

        ends = _ends(pair, senders, receivers)
        study = load(scenario, overrides or (), only)
    with errors_shown(verbose, study):
        arrived = transfer_between(
            study,
            *ends,
            nbytes=round(size),
            at_s=at_s,
            concurrent=concurrent,
            as_json=as_json,
        )
    if not arrived:
        raise typer.Exit(int(ExitCode.NO))
