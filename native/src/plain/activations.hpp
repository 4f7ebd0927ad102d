// The functions a unit may apply, and their derivatives from the saved output.
#pragma once

#include <cmath>

#include "isa.hpp"
#include "shape.hpp"

namespace peephole::PEEPHOLE_ISA {

// y = φ(z), in place. NaN passes through every one of them.
template <class Real>
void activate(peephole_activation phi, Real* z, Index count) noexcept {
  switch (phi) {
    case PEEPHOLE_TANH:
      for (Index j = 0; j < count; ++j) z[j] = std::tanh(z[j]);
      break;
    case PEEPHOLE_LOGISTIC:
      for (Index j = 0; j < count; ++j) z[j] = Real(1) / (Real(1) + std::exp(-z[j]));
      break;
    case PEEPHOLE_RELU:
      for (Index j = 0; j < count; ++j) z[j] = z[j] < Real(0) ? Real(0) : z[j];
      break;
    case PEEPHOLE_IDENTITY:
      break;
  }
}

// dz = dy ⊙ φ'(z), in place, from y = φ(z).  tanh: 1−y²   logistic: y(1−y)   relu: y > 0   identity: 1
template <class Real>
void activate_backward(peephole_activation phi, const Real* y, Real* dy, Index count) noexcept {
  switch (phi) {
    case PEEPHOLE_TANH:
      for (Index j = 0; j < count; ++j) dy[j] *= Real(1) - y[j] * y[j];
      break;
    case PEEPHOLE_LOGISTIC:
      for (Index j = 0; j < count; ++j) dy[j] *= y[j] * (Real(1) - y[j]);
      break;
    case PEEPHOLE_RELU:
      for (Index j = 0; j < count; ++j) dy[j] = y[j] > Real(0) ? dy[j] : Real(0);
      break;
    case PEEPHOLE_IDENTITY:
      break;
  }
}

}  // namespace peephole::PEEPHOLE_ISA
