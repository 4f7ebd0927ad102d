// The functions a unit may apply, a register at a time, and their derivatives from the saved output.
#pragma once

#include "vector_math.hpp"

namespace peephole::PEEPHOLE_ISA {

// y = φ(z). NaN passes through every one of them.
template <class Real>
inline Vector<Real> activated(peephole_activation phi, Vector<Real> z) noexcept {
  switch (phi) {
    case PEEPHOLE_TANH:
      return hyperbolic_tangent<Real>(z);
    case PEEPHOLE_LOGISTIC:
      return logistic<Real>(z);
    case PEEPHOLE_RELU:
      return z < Vector<Real>{} ? Vector<Real>{} : z;
    case PEEPHOLE_IDENTITY:
      break;
  }
  return z;
}

// φ'(z) from y = φ(z).  tanh: 1−y²   logistic: y(1−y)   relu: y > 0   identity: 1
template <class Real>
inline Vector<Real> slope(peephole_activation phi, Vector<Real> y) noexcept {
  const Vector<Real> one = broadcast(Real(1));
  switch (phi) {
    case PEEPHOLE_TANH:
      return one - y * y;
    case PEEPHOLE_LOGISTIC:
      return y * (one - y);
    case PEEPHOLE_RELU:
      return y > Vector<Real>{} ? one : Vector<Real>{};
    case PEEPHOLE_IDENTITY:
      break;
  }
  return one;
}

// Calls visit(j, n) for registers of n elements from j on.
template <class Real, class Visit>
inline void for_registers(Index count, Visit visit) noexcept {
  for (Index j = 0; j < count; j += lanes<Real>) {
    const Index rest = count - j;
    visit(j, rest < lanes<Real> ? rest : lanes<Real>);
  }
}

// y = φ(z) for a row.
template <class Real>
void activate(peephole_activation phi, const Real* z, Real* y, Index count) noexcept {
  for_registers<Real>(count,
                      [&](Index j, Index n) { store_up_to(y + j, activated<Real>(phi, load_up_to(z + j, n)), n); });
}

// dz = dy ⊙ φ'(z), in place.
template <class Real>
void activate_backward(peephole_activation phi, const Real* y, Real* dy, Index count) noexcept {
  for_registers<Real>(count, [&](Index j, Index n) {
    store_up_to(dy + j, load_up_to(dy + j, n) * slope<Real>(phi, load_up_to(y + j, n)), n);
  });
}

}  // namespace peephole::PEEPHOLE_ISA
