// The logistic function and the hyperbolic tangent of a whole vector, by mathematics of our own.
//
// Both are branch-free, one division each, and rest on one polynomial S: with n the integer next to −y/ln 2,
//
//     exp(−y) = 2^n exp(−p),   p = y + n ln 2,   |p| ≤ ln 2 / 2,   exp(−p) − 1 = p² S(p) − p
//
// What they promise on AVX-512, AVX2, SSE2 and NEON alike, and tests/vector_math_test.cpp holds them to:
// - an error of no more than is stated below;
// - monotone: S, which is rounded most often, enters only times p²; what is divided rises where what it is divided by
//   falls; and no step from one n to the next undoes it;
// - 0 and ±∞ give exactly what they should, a NaN gives a NaN, and hyperbolic_tangent(−x) = −hyperbolic_tangent(x);
// - the same bits wherever a*b + c is rounded once (all but SSE2, which may differ in the last places);
// - where subnormals are flushed (FlushSubnormals), a subnormal x is a zero of its sign, and a subnormal result 0; all
//   else is the same to the bit. Where they are not, they are as accurate as the rest.
//
// tools/vector_math_coefficients.py derives the constants.
#pragma once

#include "simd.hpp"

namespace peephole::PEEPHOLE_ISA {

// The largest error, in units of the last place that the exact result has: of every float with AVX-512, AVX2 and SSE2,
// and of the doubles that were tried. (The logistic function comes above 1.7 only where exp(−x) is about 2^24, in
// double 2^53, so that the 1 beside it is rounded away.)
template <class Real>
constexpr double logistic_ulp = sizeof(Real) == 4 ? 2.5 : 2.6;
template <class Real>
constexpr double hyperbolic_tangent_ulp = sizeof(Real) == 4 ? 2.05 : 2.25;

// The constants of one type.
template <class Real>
struct Exponential;

// clang-format off
// What tools/vector_math_coefficients.py prints:
template <>
struct Exponential<float> {
  static constexpr float log2_e = 0x1.715476p+0f;
  static constexpr float ln_2 = 0x1.62e43p-1f;
  static constexpr float ln_2_high = 0x1.62e4p-1f;
  static constexpr float ln_2_low = 0x1.7f7d1cp-20f;
  // They leave a relative error of 0.23 · 2^-24.
  static constexpr float S[] = {
      0x1.fffffep-2f,
      -0x1.5554b4p-3f,
      0x1.5556f8p-5f,
      -0x1.12252ep-7f,
      0x1.6b95d2p-10f,
  };
};

template <>
struct Exponential<double> {
  static constexpr double log2_e = 0x1.71547652b82fep+0;
  static constexpr double ln_2 = 0x1.62e42fefa39efp-1;
  static constexpr double ln_2_high = 0x1.62e42fefa38p-1;
  static constexpr double ln_2_low = 0x1.ef35793c7673p-45;
  // They leave a relative error of 0.0025 · 2^-53.
  static constexpr double S[] = {
      0x1p-1,
      -0x1.5555555555559p-3,
      0x1.5555555555559p-5,
      -0x1.111111110f708p-7,
      0x1.6c16c16c1679cp-10,
      -0x1.a01a01af9c9b8p-13,
      0x1.a01a019e83433p-16,
      -0x1.71ddf93a0ca1ap-19,
      0x1.27e4f858f3447p-22,
      -0x1.af5d00f095ffbp-26,
      0x1.1f395bc37576ap-29,
  };
};
// end
// clang-format on

// The layout of a floating-point number.
template <class Real>
constexpr int fraction_bits = sizeof(Real) == 4 ? 23 : 52;
template <class Real>
constexpr int exponent_bias = sizeof(Real) == 4 ? 127 : 1023;

template <class Real>
constexpr Real power_of_two(int n) noexcept {
  Real power = 1;
  for (; n > 0; --n) power *= 2;
  for (; n < 0; ++n) power /= 2;
  return power;
}

// One operation where the processor has it: written as one expression, which compilers fuse.
template <class V>
inline V multiply_add(V a, V b, V c) noexcept {
  return a * b + c;
}

// The smaller and the larger of x and a bound; a NaN in x stays, for a comparison with it is false.
//
// x86 has just this in one instruction, which GCC does not find by itself. (The masks are of all elements: at the forms
// without one GCC 12 warns of what it did itself.)
#if defined(__AVX512F__)
inline Vector<float> at_most(Vector<float> x, Vector<float> bound) noexcept {
  return _mm512_maskz_min_ps(0xffff, bound, x);
}
inline Vector<double> at_most(Vector<double> x, Vector<double> bound) noexcept {
  return _mm512_maskz_min_pd(0xff, bound, x);
}
inline Vector<float> at_least(Vector<float> x, Vector<float> bound) noexcept {
  return _mm512_maskz_max_ps(0xffff, bound, x);
}
inline Vector<double> at_least(Vector<double> x, Vector<double> bound) noexcept {
  return _mm512_maskz_max_pd(0xff, bound, x);
}
#elif defined(__AVX2__)
inline Vector<float> at_most(Vector<float> x, Vector<float> bound) noexcept { return _mm256_min_ps(bound, x); }
inline Vector<double> at_most(Vector<double> x, Vector<double> bound) noexcept { return _mm256_min_pd(bound, x); }
inline Vector<float> at_least(Vector<float> x, Vector<float> bound) noexcept { return _mm256_max_ps(bound, x); }
inline Vector<double> at_least(Vector<double> x, Vector<double> bound) noexcept { return _mm256_max_pd(bound, x); }
#elif defined(__SSE2__)
inline Vector<float> at_most(Vector<float> x, Vector<float> bound) noexcept { return _mm_min_ps(bound, x); }
inline Vector<double> at_most(Vector<double> x, Vector<double> bound) noexcept { return _mm_min_pd(bound, x); }
inline Vector<float> at_least(Vector<float> x, Vector<float> bound) noexcept { return _mm_max_ps(bound, x); }
inline Vector<double> at_least(Vector<double> x, Vector<double> bound) noexcept { return _mm_max_pd(bound, x); }
#else
template <class V>
inline V at_most(V x, V bound) noexcept {
  return bound < x ? bound : x;
}
template <class V>
inline V at_least(V x, V bound) noexcept {
  return bound > x ? bound : x;
}
#endif

// An integer n and a power of two that goes with it.
template <class Real>
struct Scale {
  Vector<Real> n, power;
};

// n = the integer next to x·factor, and power = 2^(n + offset), which must be a normal number.
//
// The sum with 1.5·2^(fraction bits) has no room for a fraction: its low bits are n, and they are moved to where the
// exponent is. No instruction that converts is needed.
template <class Real, int offset>
inline Scale<Real> nearest_power(Vector<Real> x, Real factor) noexcept {
  using Bits = typename Simd<Real>::Bits;
  constexpr Real magic = power_of_two<Real>(fraction_bits<Real>) * Real(1.5) + Real(exponent_bias<Real> + offset);
  const Vector<Real> sum = multiply_add(x, broadcast(factor), broadcast(magic));
  return {sum - broadcast(magic), (Vector<Real>)((Bits)sum << fraction_bits<Real>)};
}

// (1 − exp(−scale·p)) / scale for |scale·p| ≤ ln 2 / 2. The scale, 1 or 2, changes no rounding.
template <int scale, class Real>
inline Vector<Real> one_minus_exp(Vector<Real> p) noexcept {
  constexpr int terms = static_cast<int>(sizeof(Exponential<Real>::S) / sizeof(Real));
  Vector<Real> sum{};
#pragma GCC unroll 16
  for (int k = terms - 1; k >= 0; --k) {
    const Vector<Real> coefficient = broadcast(Exponential<Real>::S[k] * power_of_two<Real>(scale == 1 ? 0 : k + 1));
    sum = k == terms - 1 ? coefficient : multiply_add(sum, p, coefficient);
  }
  const Vector<Real> square = p * p;
  return p - square * sum;
}

// 1 / (1 + exp(−x)), as c / (c + c·exp(−x)) with so small a c that where the result is 0 nothing has overflowed yet.
template <class Real>
inline Vector<Real> logistic(Vector<Real> x) noexcept {
  using E = Exponential<Real>;
  constexpr int offset = sizeof(Real) == 4 ? -30 : -60;
  constexpr Real zero_below = sizeof(Real) == 4 ? -106 : -747, one_above = sizeof(Real) == 4 ? 32 : 64;
  const Vector<Real> y = at_least(at_most(x, broadcast(one_above)), broadcast(zero_below));
  const Scale<Real> scale = nearest_power<Real, offset>(y, -E::log2_e);
  const Vector<Real> high = multiply_add(scale.n, broadcast(E::ln_2_high), y);
  const Vector<Real> p = multiply_add(scale.n, broadcast(E::ln_2_low), high);
  const Vector<Real> c = broadcast(power_of_two<Real>(offset));
  return c / (scale.power + c - scale.power * one_minus_exp<1, Real>(p));
}

// u / (1 − u) with u = (1 − exp(−2|x|)) / 2, and the sign of x. Both terms are summed from the same parts: 1 − u from a
// rounded u would cost more than half an ULP.
//
// ln 2 in one piece is enough: its error grows with n as 2^n, which it is multiplied by, falls.
template <class Real>
inline Vector<Real> hyperbolic_tangent(Vector<Real> x) noexcept {
  using E = Exponential<Real>;
  using Bits = typename Simd<Real>::Bits;
  constexpr Real half = Real(0.5), one_above = sizeof(Real) == 4 ? 16 : 32;
  const Bits sign = (Bits)broadcast(-Real(0));
  const Vector<Real> magnitude = (Vector<Real>)((Bits)x & ~sign);
  const Vector<Real> y = at_most(magnitude, broadcast(one_above));
  const Scale<Real> scale = nearest_power<Real, 0>(y, -2 * E::log2_e);
  const Vector<Real> p = multiply_add(scale.n, broadcast(half * E::ln_2), y);
  const Vector<Real> v = one_minus_exp<2, Real>(p);
  const Vector<Real> u = half - half * scale.power + scale.power * v;
  const Vector<Real> rest = half + half * scale.power - scale.power * v;
  return (Vector<Real>)((Bits)(u / rest) | ((Bits)x & sign));
}

}  // namespace peephole::PEEPHOLE_ISA
