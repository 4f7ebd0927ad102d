"""Derive the constants of native/src/fast/vector_math.hpp and print them as they stand there.

Both functions rest on one polynomial: for |p| ≤ ln 2 / 2

    exp(−p) − 1  ≈  p² S(p) − p,      S(p) = S₀ + S₁ p + … = 1/2 − p/6 + p²/24 − …

S is the one whose largest relative error of the left side is least (Remez' exchange). Its coefficients must be numbers
of the type, so they are rounded one after the other, lowest power first since that weighs most, and those that remain
are derived anew each time, so that they make up for what the rounding did.

    python native/tools/vector_math_coefficients.py
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass

import mpmath
from mpmath import mpf

mpmath.mp.dps = 50


@dataclass(frozen=True)
class Real:
    """A floating-point type, and what is derived for it."""

    name: str
    suffix: str
    digits: int
    """Bits of a significand."""
    exponent: int
    """Bits of the exponent: how many the high part of ln 2 must leave free to be multiplied without rounding."""
    degree: int
    """Of S: the least that leaves the approximation well below the rounding."""
    slack: float
    """How far beyond ln 2 / 2, relatively, p may come since x/ln 2 is itself rounded."""


REALS = (
    Real("float", "f", digits=24, exponent=8, degree=4, slack=1e-5),
    Real("double", "", digits=53, exponent=11, degree=10, slack=1e-12),
)


def rounded(x: mpf, digits: int) -> mpf:
    """The nearest number of that many binary digits."""
    with mpmath.workprec(digits):
        return +x


def exact(p: mpf) -> mpf:
    """S without an error: (exp(−p) − 1 + p) / p²."""
    with mpmath.workdps(90):
        return mpf(1) / 2 if p == 0 else (mpmath.expm1(-p) + p) / p**2


def weight(p: mpf) -> mpf:
    """What an error of S becomes, relatively, in exp(−p) − 1."""
    return abs(p**2 / mpmath.expm1(-p))


def remez(goal: list[mpf], weights: list[mpf], points: list[mpf], degree: int) -> list[mpf]:
    """Coefficients c_k of the polynomial least in max |weight · (goal − Σ c_k p^k)| over the points."""
    count = degree + 2
    chosen = [round((len(points) - 1) * (1 - mpmath.cos(mpmath.pi * (j + 0.5) / count)) / 2) for j in range(count)]
    for _ in range(200):
        rows = [[*(points[at] ** k for k in range(degree + 1)), (-1) ** j / weights[at]] for j, at in enumerate(chosen)]
        *c, level = mpmath.lu_solve(mpmath.matrix(rows), mpmath.matrix([goal[at] for at in chosen]))
        error = [w * (g - mpmath.polyval(c[::-1], p)) for w, g, p in zip(weights, goal, points, strict=True)]
        worst = max(range(len(points)), key=lambda at: abs(error[at]))
        if abs(error[worst]) <= abs(level) * mpf("1.0001"):
            return c
        exchange(chosen, worst, error)
    raise ArithmeticError(f"no convergence at degree {degree}")


def exchange(chosen: list[int], worst: int, error: list[mpf]) -> None:
    """Take the worst point in for one beside it of its sign, so that the signs go on alternating."""
    after = bisect.bisect(chosen, worst)
    for at in (after - 1, after):
        if 0 <= at < len(chosen) and (error[chosen[at]] > 0) == (error[worst] > 0):
            chosen[at] = worst
            return
    chosen.insert(after, worst)  # beyond an end, of the other sign: the other end goes
    del chosen[-1 if after == 0 else 0]


def coefficients(real: Real) -> tuple[list[mpf], mpf]:
    """S₀ … of the type, and the largest relative error of exp(−p) − 1 that they leave."""
    bound = mpmath.ln2 / 2 * (1 + mpf(real.slack))
    # Chebyshev's points: dense at the ends, where the error is steepest. An even number of them, so that 0, where the
    # weight vanishes, is none of them.
    points = [-bound * mpmath.cos(mpmath.pi * (j + 0.5) / 600) for j in range(600)]
    rest = [exact(p) for p in points]  # S less what is rounded already
    found: list[mpf] = []
    for k in range(real.degree + 1):
        goal = [r / p**k for r, p in zip(rest, points, strict=True)]
        weights = [weight(p) * abs(p) ** k for p in points]
        found.append(rounded(remez(goal, weights, points, real.degree - k)[0], real.digits))
        rest = [r - found[k] * p**k for r, p in zip(rest, points, strict=True)]
    return found, max(weight(p) * abs(r) for r, p in zip(rest, points, strict=True))


def hexadecimal(x: mpf, real: Real) -> str:
    """C++'s own spelling, exact."""
    assert rounded(x, real.digits) == x
    return re.sub(r"\.?0*p", "p", float(x).hex()) + real.suffix


def table(real: Real) -> str:
    """The constants of one type."""
    high = rounded(mpmath.ln2, real.digits - real.exponent)
    S, error = coefficients(real)
    lines = [
        "template <>",
        f"struct Exponential<{real.name}> {{",
        f"  static constexpr {real.name} log2_e = {hexadecimal(rounded(1 / mpmath.ln2, real.digits), real)};",
        f"  static constexpr {real.name} ln_2 = {hexadecimal(rounded(mpmath.ln2, real.digits), real)};",
        f"  static constexpr {real.name} ln_2_high = {hexadecimal(high, real)};",
        f"  static constexpr {real.name} ln_2_low = {hexadecimal(rounded(mpmath.ln2 - high, real.digits), real)};",
        f"  // They leave a relative error of {mpmath.nstr(error * 2**real.digits, 2)} · 2^-{real.digits}.",
        f"  static constexpr {real.name} S[] = {{",
        *(f"      {hexadecimal(a, real)}," for a in S),
        "  };",
        "};",
    ]
    return "\n".join(lines)


def main() -> None:
    """Print what stands in the header between its two marks."""
    print("\n\n".join(table(real) for real in REALS))


if __name__ == "__main__":
    main()
