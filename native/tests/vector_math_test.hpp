// What vector_math_isa.cpp gives of each instruction set to vector_math_test.cpp.
#pragma once

#include "shape.hpp"

namespace peephole {

// y[k] = φ(x[k]) for `count` elements, whole vectors; with subnormals flushed where asked for.
template <class Real>
using OverArray = void (*)(const Real* x, Real* y, Index count, bool flush);

template <class Real>
struct Functions {
  OverArray<Real> logistic, hyperbolic_tangent;
};

struct VectorMath {
  const char* name;
  bool fused;  // whether a*b + c is rounded once
  Functions<float> of_float;
  Functions<double> of_double;
};

// Every count of elements is a multiple of this: whole vectors of any instruction set.
constexpr Index whole_vectors = 16;

namespace baseline {
VectorMath vector_math() noexcept;
}
#if defined(PEEPHOLE_TEST_X86)
namespace avx2 {
VectorMath vector_math() noexcept;
}
namespace avx512 {
VectorMath vector_math() noexcept;
}
#endif

}  // namespace peephole
