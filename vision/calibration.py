"""Which distance may identify? From the false accepts an estate will bear to a threshold, by measured pairs.

A stranger who shows their face is compared with every template searched, and one accident is enough. With `p(t)` the
part of impostor pairs nearer than t, and N templates, a stranger is accepted with probability 1 - (1 - p(t))^N: for one
in ten thousand against 5,000 templates p has to be 2e-8, which no set of photographs shows directly. So the near tail
of the impostor distances is modelled. A squared L2 distance is a sum of many squared differences, near to a scaled
chi-square, and the cube root of one of those is near to normal (Wilson and Hilferty, 1931): we fit a normal
distribution to d^(2/3) over the nearest quarter of the pairs. Pictures of the same two people repeat each other, so
the spread is widened by one standard error, counting pairs of people, not of pictures: few people give a careful
threshold, more people a better one.

What it cannot know: relatives. Twins and children of one family are nearer than strangers, and no fit to strangers says
how near; the margin to the second person and 'not this person' are what helps there.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from vision.types import MODEL

Floats = NDArray[np.float64]

CEILING = 0.55
"""No threshold above this, L2, however small the gallery: dlib's own for one-to-one is 0.6."""
FLOOR = 0.2
"""Below this even two photographs of one sitting differ, L2: a wish that needs less cannot be met."""
FEWEST_PAIRS = 100
"""Impostor pairs below which there is nothing to fit."""
FLATTEST = 1e-4
"""A spread, L2 to the power of 2/3, below which distances are no measurements."""
TAIL = 0.25
"""The fit is to this part of the impostor pairs, the nearest."""
CUBE_ROOT = 2 / 3
"""Of a squared distance, as a power of the distance."""
_STANDARD = NormalDist()


class CalibrationError(Exception):
    """The pairs do not allow a calibration, or the wish cannot be met; the message says why."""


class Calibration(Struct, frozen=True, kw_only=True):
    """What was measured with one network and one detector. `mean`, `sd`: of the normal distribution whose lower tail
    the impostor distances, L2, have when raised to 2/3. `nearest_impostor`: the smallest seen. `genuine`: distances
    between images of one person, sorted. `people`, `impostor_pairs`: how much it rests on.
    """

    model: str = MODEL
    detector: str = ""
    people: int
    impostor_pairs: int
    mean: float
    sd: Annotated[float, Meta(gt=0)]
    nearest_impostor: float
    genuine: tuple[float, ...] = ()

    def false_accept(self, threshold: float) -> float:
        """Expected part of impostor pairs nearer than `threshold`."""
        deviate = (max(0.0, threshold) ** CUBE_ROOT - self.mean) / self.sd
        return 0.5 * math.erfc(-deviate / math.sqrt(2))  # NormalDist.cdf loses its digits below 1e-10

    def false_reject(self, threshold: float) -> float | None:
        """Part of the genuine pairs measured that are not nearer; None when none were."""
        if not self.genuine:
            return None
        return 1 - float(np.searchsorted(self.genuine, threshold)) / len(self.genuine)


class OperatingPoint(Struct, frozen=True, kw_only=True):
    """`threshold`, L2, at which a stranger is accepted at most once in 1 / `far` attempts against `gallery` templates;
    `far_pair` the same for one comparison. `frr`: genuine pairs it turns away, None when unknown. `extrapolated`: it
    rests on the tail's model, fewer pairs than 1 / `far_pair` having been measured. `why`: in words, for the record.
    """

    threshold: float
    far: float
    gallery: int
    far_pair: float
    frr: float | None
    extrapolated: bool
    why: str


def fit(genuine: Floats, impostor: Floats, *, people: int, detector: str = "") -> Calibration:
    """From distances between labelled images, L2. Raises CalibrationError when there are too few."""
    if len(impostor) < FEWEST_PAIRS:
        raise CalibrationError(f"{len(impostor)} pairs of two people are too few; {FEWEST_PAIRS} are needed")
    nearest = np.sort(impostor)[: max(2, int(len(impostor) * TAIL))]
    places = (np.arange(len(nearest)) + 0.5) / len(impostor)
    deviates = np.array([_STANDARD.inv_cdf(float(place)) for place in places])
    slope, mean = (float(value) for value in np.polyfit(deviates, nearest**CUBE_ROOT, 1))
    if not slope > FLATTEST:
        raise CalibrationError("the pairs of two people are all equally far apart; these are no distances of faces")
    pairs_of_people = max(1, people * (people - 1) // 2)
    return Calibration(
        detector=detector,
        people=people,
        impostor_pairs=len(impostor),
        mean=mean,
        sd=slope * (1 + 1 / math.sqrt(2 * pairs_of_people)),
        nearest_impostor=float(nearest[0]),
        genuine=tuple(float(d) for d in np.sort(genuine)),
    )


def attempt(far_pair: float, gallery: int) -> float:
    """Probability that one stranger is accepted when searched among `gallery` templates."""
    return float(-np.expm1(gallery * np.log1p(-min(far_pair, 1 - 1e-12))))


def operating_point(calibration: Calibration, *, far: float, gallery: int) -> OperatingPoint:
    """The threshold for `far` false accepts per attempt of a stranger against `gallery` templates.
    Raises CalibrationError when no useful threshold does it, ValueError for a rate or size that is none.
    """
    if not 0 < far < 1 or gallery < 1:
        raise ValueError(f"a rate is between 0 and 1 and a gallery holds somebody, not {far} and {gallery}")
    far_pair = float(-np.expm1(np.log1p(-far) / gallery))
    modelled = max(0.0, NormalDist(calibration.mean, calibration.sd).inv_cdf(far_pair)) ** (1 / CUBE_ROOT)
    threshold = min(modelled, calibration.nearest_impostor, CEILING)
    if threshold < FLOOR:
        raise CalibrationError(
            f"{far:g} false accepts per attempt against {gallery} templates would need a threshold of {threshold:.2f}, "
            "at which residents would be turned away too; search a building instead of the estate, or allow more"
        )
    limit = "the tail" if threshold == modelled else "the nearest two people" if threshold < CEILING else "the ceiling"
    return OperatingPoint(
        threshold=threshold,
        far=far,
        gallery=gallery,
        far_pair=calibration.false_accept(threshold),
        frr=calibration.false_reject(threshold),
        extrapolated=far_pair * calibration.impostor_pairs < 1,
        why=f"{far:g} per attempt against {gallery} templates, by {limit} of {calibration.impostor_pairs} pairs",
    )


def false_accepts_per_day(calibration: Calibration, *, threshold: float, gallery: int, strangers: float) -> float:
    """Expected false accepts a day when `strangers` people who are not enrolled show their face at the gates."""
    return strangers * attempt(calibration.false_accept(threshold), gallery)
