"""What a report says of rogue sites and of privacy, from the manifests of its runs."""

from collections.abc import Mapping, Sequence

from simulator.record.measures_run import Run
from simulator.report.text import listing, plural


def rogue_words(groups: Mapping[str, Sequence[Run]]) -> list[str]:
    """Name the sites that were rogue and how many false models left them, by method."""
    said = []
    for label, runs in groups.items():
        sites = {
            site["name"]: site["rogue"]["kind"]
            for site in runs[0].scenario.get("sites", [])
            if site.get("rogue")
        }
        if not sites:
            continue
        sent = [run.manifest.get("outgoing", {}).get("num_false_models", {}) for run in runs]
        parts = []
        for name, kind in sorted(sites.items()):
            counts = sorted({one.get(name, 0) for one in sent})
            span = "–".join(str(count) for count in ([counts[0], counts[-1]] if len(counts) > 1 else counts))
            how_many = "" if kind == "label-flip" else f", {span} false models"
            parts.append(f"{name} ({kind}{how_many})")
        said.append(f"With {label}, not all sites are honest: {listing(parts)}.")
    return said


def privacy_words(groups: Mapping[str, Sequence[Run]]) -> list[str]:
    """State the privacy loss of the sites, and what it is about, by method."""
    said = []
    for label, runs in groups.items():
        account = runs[0].manifest.get("outgoing", {}).get("privacy")
        if not account:
            continue
        delta = account["delta"]
        sites = {name: one for name, one in account.items() if name != "delta"}
        epsilons = sorted(one["epsilon"] for one in sites.values())
        most = max(one["num_releases"] for one in sites.values())
        span = f"{epsilons[0]:.3g}" + (f" to {epsilons[-1]:.3g}" if epsilons[-1] != epsilons[0] else "")
        said.append(
            f"With {label}, what leaves a site (at most {plural(most, 'model')}) is ε = {span}, "
            f"δ = {delta:g} differentially private about all of its cases together, against whoever sees "
            "every one of them."
        )
    return said
