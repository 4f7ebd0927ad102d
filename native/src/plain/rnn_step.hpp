// One step of the simple recurrent network for one row of the batch (000 eq. 15-19, 002 eq. 5.1-5.13, 004 eq. 1).
//
//   h  = φ(z)               z = W x + R h⁻ + b
//   dz = dh ⊙ φ'(z)
#pragma once

#include "activations.hpp"
#include "layer_norm.hpp"

namespace peephole::PEEPHOLE_ISA {

// gates: in z, out φ(z). m: the same, before zoneout.
template <class Real>
void rnn_forward(const Shape& s, const Real* gain, const Real* shift, Real* gates, Real* m, Real* normed,
                 Real* rstd) noexcept {
  if (s.layer_norm) normalise(gates, s.H, gain, shift, normed, rstd);
  activate(s.phi_in, gates, s.H);
  for (Index j = 0; j < s.H; ++j) m[j] = gates[j];
}

// dz: in the error on the activation from outside, out dz.
template <class Real>
void rnn_backward(const Shape& s, const Real* gain, const Real* gates, const Real* normed, const Real* rstd,
                  const Real* dm, Real* dz, Real* dgain, Real* dshift) noexcept {
  for (Index j = 0; j < s.H; ++j) dz[j] += dm[j];
  activate_backward(s.phi_in, gates, dz, s.H);
  if (s.layer_norm) normalise_backward(dz, s.H, gain, normed, *rstd, dgain, dshift);
}

}  // namespace peephole::PEEPHOLE_ISA
