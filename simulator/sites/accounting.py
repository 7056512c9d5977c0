"""What concealed updates still tell about a site's cases, as differential privacy measures it."""

from functools import cache

from simulator.errors import SetupError

INSTALL = 'pip install "medgossip[privacy]"'


def need_accountant() -> None:
    """Raise where the accountant is missing.

    Raises:
        SetupError: the extra ``privacy`` is not installed.
    """
    try:
        import dp_accounting.gaussian_mechanism  # noqa: F401
    except ImportError:
        raise SetupError(f"privacy: needs the package dp-accounting; install it with {INSTALL}") from None


@cache
def epsilon(num_releases: int, noise: float, delta: float) -> float:
    """Return the ε at which all of a site's releases together are (ε, ``delta``)-private.

    Two data sets of one site give updates that both lie within ``clip`` of the same point, so they
    are at most 2·clip apart, against noise of deviation ``noise``·clip: the Gaussian mechanism with
    multiplier noise/2. ``num_releases`` of them are one with noise/(2·√num_releases). Exact: B. Balle,
    Y.-X. Wang, "Improving the Gaussian mechanism for differential privacy", ICML 2018.
    """
    from dp_accounting.gaussian_mechanism import get_epsilon_gaussian

    if num_releases == 0:
        return 0.0
    return float(get_epsilon_gaussian(noise / (2 * num_releases**0.5), delta))
