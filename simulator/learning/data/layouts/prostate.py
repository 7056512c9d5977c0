"""Prostate in T2 MRI of several sites: the set of SAML, and the one that FedSM and NVFlare use.

``<site>/Case<n>.nii.gz`` with ``<site>/Case<n>_segmentation.nii.gz`` (RUNMC, BMC, I2CVB, UCL, BIDMC, HK), or
``<site>/Image/<case>.nii.gz`` with ``<site>/Mask/<case>.nii.gz``. Source: Liu, Dou, Heng, "Shape-aware
meta-learning for generalizing prostate MRI segmentation to unseen domains", MICCAI 2020.
"""

from typing import Any, Literal

from pydantic import Field

from simulator.learning.data.disk import Contents
from simulator.learning.data.layouts.declare import Layout, declare
from simulator.learning.data.layouts.gather import Listing, gather, rules
from simulator.learning.data.layouts.settings import Channels, ImageSet, Structures

_SUFFIX = r"\.nii(?:\.gz)?"
_RULES = rules(
    rf"(?:.*/)?(?P<center>[^/]+)/Image/(?P<case>[^/]+){_SUFFIX}",
    rf"(?:.*/)?(?P<center>[^/]+)/(?P<case>Case[^/]*){_SUFFIX}",
    labels=[
        rf"(?:.*/)?(?P<center>[^/]+)/Mask/(?P<case>[^/]+){_SUFFIX}",
        rf"(?:.*/)?(?P<center>[^/]+)/(?P<case>[^/]+)_segmentation{_SUFFIX}",
    ],
)


class Prostate(ImageSet):
    """Multi-site prostate; any label above 0 is prostate."""

    name: Literal["prostate"]
    dims: Literal[2, 3] = 2
    channels: Channels = ("t2",)
    structures: Structures = Field(default={"prostate": (1,)})
    mask_threshold: float | None = 0.0


def _find(settings: Any, contents: Contents) -> Listing:
    return gather(contents.root, _RULES)


PROSTATE = declare(
    Layout(
        name="prostate",
        expects="<site>/Case00{,_segmentation}.nii.gz or <site>/{Image,Mask}/<case>.nii.gz",
        find=_find,
    ),
    settings=Prostate,
    summary="multi-site prostate T2 MRI; a site is a folder (RUNMC, BMC, I2CVB, UCL, BIDMC, HK)",
    source="Liu, Dou, Heng, MICCAI 2020",
)
"""The data set ``prostate``."""
