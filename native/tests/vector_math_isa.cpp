// The functions of fast/vector_math.hpp over arrays, compiled once per instruction set.
#include "vector_math_test.hpp"

#include "fast/vector_math.hpp"

namespace peephole::PEEPHOLE_ISA {

namespace {

template <class Real, Vector<Real> phi(Vector<Real>) noexcept>
void over_whole(const Real* x, Real* y, Index count) noexcept {
  for (Index k = 0; k < count; k += lanes<Real>) store(y + k, phi(load(x + k)));
}

template <class Real, Vector<Real> phi(Vector<Real>) noexcept>
void over_array(const Real* x, Real* y, Index count, bool flush) {
  if (flush) {
    const FlushSubnormals scope;
    over_whole<Real, phi>(x, y, count);
  } else {
    over_whole<Real, phi>(x, y, count);
  }
}

template <class Real>
constexpr Functions<Real> functions = {over_array<Real, logistic<Real>>, over_array<Real, hyperbolic_tangent<Real>>};

#define PEEPHOLE_TEXT(name) #name
#define PEEPHOLE_NAME(name) PEEPHOLE_TEXT(name)

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
constexpr bool fused = true;
#else
constexpr bool fused = false;
#endif

}  // namespace

VectorMath vector_math() noexcept { return {PEEPHOLE_NAME(PEEPHOLE_ISA), fused, functions<float>, functions<double>}; }

}  // namespace peephole::PEEPHOLE_ISA
