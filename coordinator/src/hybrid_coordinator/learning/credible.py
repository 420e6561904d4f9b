"""What counts of successes and failures say about a success rate, in Bayes' terms.

A rate that was uniform on 0…1 before the first outcome has a Beta posterior
after it: its mean, its credible interval, and the probability that it is the
highest of several. Numbers only: where counts come from and what follows from
them is in ``experiments``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

_TINY: Final = 1e-300
"""Stands for 0 in a denominator, as in Lentz's method."""
_CONVERGED: Final = 1e-12
"""Relative change of the fraction that ends it; rounding leaves no less for large parameters."""
_HALVINGS: Final = 64
"""Bisections of 0…1 until neighbouring floats are reached."""

_EXPONENT: Final = 700.0
"""Of e, nearly the greatest that a float can hold."""

_NODES: Final = 20
"""Of Gauss and Legendre in one panel; exact for polynomials up to degree 39."""
_EDGES: Final = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0)
"""Where panels end, in standard deviations from a posterior's mean."""


@dataclass(frozen=True, slots=True)
class Beta:
    """A Beta distribution of a rate; ``a`` and ``b`` are above 0."""

    a: float
    b: float

    @property
    def mean(self) -> float:
        """The expected rate."""
        return self.a / (self.a + self.b)

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        total = self.a + self.b
        return math.sqrt(self.a * self.b / (total * total * (total + 1.0)))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The equal-tailed credible interval: below and above it the same probability."""
        tail = (1.0 - level) / 2.0
        low, high = self.quantiles([tail, 1.0 - tail])
        return float(low), float(high)

    def quantiles(self, probabilities: Sequence[float]) -> Floats:
        """The rates below which these probabilities lie, by bisection; absolute error 1e-15."""
        wanted = np.asarray(probabilities, dtype=np.float64)
        low, high = np.zeros_like(wanted), np.ones_like(wanted)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            above = incomplete_beta(self.a, self.b, middle) < wanted
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return (low + high) / 2.0

    def density(self, rates: Floats) -> Floats:
        """The probability density at these rates, which are between 0 and 1."""
        logarithm = (
            _log_front(self.a, self.b)
            + (self.a - 1.0) * np.log(rates)
            + (self.b - 1.0) * np.log1p(-rates)
        )
        return np.exp(logarithm)


def posterior(successes: int, partials: int, failures: int) -> Beta:
    """The success rate after these outcomes, uniform before; a partial one is half of each."""
    half = partials / 2.0
    return Beta(1.0 + successes + half, 1.0 + failures + half)


def best_probabilities(rates: Sequence[Beta]) -> list[float]:
    """For each of some independent rates the probability that it is the highest.

    The integral of one's density times the others' distribution functions, by
    quadrature of Gauss and Legendre in panels that follow every one of them.
    No random numbers: the same counts give the same answer. For parameters of
    at least 1, which posteriors have, and up to a million outcomes the absolute
    error is below 1e-8; how far the answers miss a sum of 1 shows it.
    """
    edges = {0.0, 1.0}
    for rate in rates:
        for distance in (0.0, *_EDGES):
            edges |= {rate.mean - distance * rate.deviation, rate.mean + distance * rate.deviation}
    ends = np.array(sorted(edge for edge in edges if 0.0 <= edge <= 1.0))
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    halves = np.diff(ends) / 2.0
    places = (ends[:-1, None] + halves[:, None] * (nodes[None, :] + 1.0)).ravel()
    weight = (halves[:, None] * weights[None, :]).ravel()
    # Nodes of a panel that is narrower than floats are apart may fall on its ends.
    inside = (places > 0.0) & (places < 1.0)
    places, weight = places[inside], weight[inside]
    below = [incomplete_beta(rate.a, rate.b, places) for rate in rates]
    answers = []
    for index, rate in enumerate(rates):
        others = np.prod([b for other, b in enumerate(below) if other != index], axis=0)
        answers.append(float(np.sum(weight * rate.density(places) * others)))
    return answers


def different(one: Beta, other: Beta) -> float:
    """The probability that two rates differ at all, where that was as likely as not before.

    From the Bayes factor of two rates of their own, each uniform before, to one
    rate that both share: B(a₁, b₁)·B(a₂, b₂) / B(a₁ + a₂ − 1, b₁ + b₂ − 1), for
    posteriors of a uniform prior. However often one looks, the factor of equal
    rates passes 1/α with a probability of at most α, on the average over what
    the common rate may be (Ville's inequality; Deng, Lu and Chen, "Continuous
    Monitoring of A/B Tests without Pain", DSAA 2016).
    """
    logarithm = (
        _log_front(one.a + other.a - 1.0, one.b + other.b - 1.0)
        - _log_front(one.a, one.b)
        - _log_front(other.a, other.b)
    )
    return 1.0 / (1.0 + math.exp(-logarithm)) if logarithm > -_EXPONENT else 0.0


def incomplete_beta(a: float, b: float, x: Floats) -> Floats:
    """The regularised incomplete beta function I_x(a, b), the distribution function of Beta.

    ``x`` in 0…1, any shape; ``a`` and ``b`` above 0. By its continued fraction,
    DLMF 8.17.22 (https://dlmf.nist.gov/8.17.E22), evaluated by the method of
    Lentz as Thompson and Barnett changed it (J. Comput. Phys. 64, 1986); beyond
    x = (a + 1)/(a + b + 2) by the reflection I_x(a, b) = 1 − I_{1−x}(b, a),
    where it converges faster. Raises ``ArithmeticError`` where it does not.
    """
    x = np.asarray(x, dtype=np.float64)
    turned = x > (a + 1.0) / (a + b + 2.0)
    first, second = np.where(turned, b, a), np.where(turned, a, b)
    at = np.where(turned, 1.0 - x, x)
    logarithm = _log_front(a, b) + first * np.log(np.maximum(at, _TINY)) + second * np.log1p(-at)
    value = np.exp(logarithm) / first * _fraction(first, second, at)
    result: Floats = np.clip(np.where(turned, 1.0 - value, value), 0.0, 1.0)
    return result


def _fraction(a: Floats, b: Floats, x: Floats) -> Floats:
    """1/(1 + d₁/(1 + d₂/(1 + …))) of DLMF 8.17.22, d as in 8.17.23."""
    # It takes about as many steps as the square root of the parameters.
    steps = 200 + 20 * math.isqrt(int(max(a.max(initial=1.0), b.max(initial=1.0))))
    numerator = np.ones_like(x)
    denominator = 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    value = denominator.copy()
    for m in range(1, steps):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        for d in (even, odd):
            denominator = 1.0 / _away_from_zero(1.0 + d * denominator)
            numerator = _away_from_zero(1.0 + d / numerator)
            change = denominator * numerator
            value = value * change
        if bool(np.all(np.abs(change - 1.0) < _CONVERGED)):
            return value
    raise ArithmeticError(f"The incomplete beta function did not converge in {steps} steps.")


def _away_from_zero(value: Floats) -> Floats:
    return np.where(np.abs(value) < _TINY, _TINY, value)


def _log_front(a: float, b: float) -> float:
    """The logarithm of 1/B(a, b)."""
    return math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
