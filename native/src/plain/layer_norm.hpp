// Layer normalisation (Ba et al. 2016) of one row of units.
//
//   n  = (z − mean z) · rstd        rstd = 1 / √(var z + ε)        z ← gain ⊙ n + shift
//   dz = rstd · (dn − mean dn − n · mean(dn ⊙ n))                  dn = gain ⊙ dz_after
#pragma once

#include <cmath>

#include "isa.hpp"
#include "shape.hpp"

namespace peephole::PEEPHOLE_ISA {

// z in place; n and rstd are kept for the way back.
template <class Real>
void normalise(Real* z, Index count, const Real* gain, const Real* shift, Real* n, Real* rstd) noexcept {
  constexpr Real epsilon = Real(1e-5);
  const Real units = static_cast<Real>(count);
  Real mean = 0;
  for (Index j = 0; j < count; ++j) mean += z[j];
  mean /= units;
  Real variance = 0;
  for (Index j = 0; j < count; ++j) {
    n[j] = z[j] - mean;
    variance += n[j] * n[j];
  }
  *rstd = Real(1) / std::sqrt(variance / units + epsilon);
  for (Index j = 0; j < count; ++j) {
    n[j] *= *rstd;
    z[j] = gain[j] * n[j] + shift[j];
  }
}

// dz in place: the error after gain and shift comes in, that before goes out. dgain and dshift may be null.
template <class Real>
void normalise_backward(Real* dz, Index count, const Real* gain, const Real* n, Real rstd, Real* dgain,
                        Real* dshift) noexcept {
  const Real units = static_cast<Real>(count);
  Real mean = 0;
  Real along = 0;
  for (Index j = 0; j < count; ++j) {
    if (dgain != nullptr) dgain[j] += dz[j] * n[j];
    if (dshift != nullptr) dshift[j] += dz[j];
    dz[j] *= gain[j];
    mean += dz[j];
    along += dz[j] * n[j];
  }
  mean /= units;
  along /= units;
  for (Index j = 0; j < count; ++j) dz[j] = rstd * (dz[j] - mean - n[j] * along);
}

}  // namespace peephole::PEEPHOLE_ISA
