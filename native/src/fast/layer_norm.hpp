// Layer normalisation (Ba et al. 2016) of one row of units, a register at a time.
//
//   n  = (z − mean z) · rstd        rstd = 1 / √(var z + ε)        z ← gain ⊙ n + shift
//   dz = rstd · (dn − mean dn − n · mean(dn ⊙ n))                  dn = gain ⊙ dz_after
#pragma once

#include <cmath>

#include "activations.hpp"

namespace peephole::PEEPHOLE_ISA {

// z in place; n and rstd are kept for the way back.
template <class Real>
void normalise(Real* z, Index count, const Real* gain, const Real* shift, Real* n, Real* rstd) noexcept {
  using V = Vector<Real>;
  const Real units = static_cast<Real>(count);
  V total{};
  for_registers<Real>(count, [&](Index j, Index some) { total += load_up_to(z + j, some); });
  const V mean = broadcast(sum<Real>(total) / units);
  for_registers<Real>(count, [&](Index j, Index some) { store_up_to(n + j, load_up_to(z + j, some) - mean, some); });
  V squares{};
  for_registers<Real>(count, [&](Index j, Index some) {
    const V one = load_up_to(n + j, some);
    squares += one * one;
  });
  *rstd = Real(1) / std::sqrt(sum<Real>(squares) / units + Real(1e-5));
  const V scale = broadcast(*rstd);
  for_registers<Real>(count, [&](Index j, Index some) {
    const V normed = load_up_to(n + j, some) * scale;
    store_up_to(n + j, normed, some);
    store_up_to(z + j, load_up_to(gain + j, some) * normed + load_up_to(shift + j, some), some);
  });
}

// dz in place: the error after gain and shift comes in, that before goes out.
template <class Real>
void normalise_backward(Real* dz, Index count, const Real* gain, const Real* n, Real rstd, Real* dgain,
                        Real* dshift) noexcept {
  using V = Vector<Real>;
  V total{}, along{};
  for_registers<Real>(count, [&](Index j, Index some) {
    const V after = load_up_to(dz + j, some), normed = load_up_to(n + j, some);
    store_up_to(dgain + j, load_up_to(dgain + j, some) + after * normed, some);
    store_up_to(dshift + j, load_up_to(dshift + j, some) + after, some);
    const V before = after * load_up_to(gain + j, some);
    store_up_to(dz + j, before, some);
    total += before;
    along += before * normed;
  });
  const Real units = static_cast<Real>(count);
  const V mean = broadcast(sum<Real>(total) / units), share = broadcast(sum<Real>(along) / units);
  const V scale = broadcast(rstd);
  for_registers<Real>(count, [&](Index j, Index some) {
    store_up_to(dz + j, scale * (load_up_to(dz + j, some) - mean - load_up_to(n + j, some) * share), some);
  });
}

}  // namespace peephole::PEEPHOLE_ISA
