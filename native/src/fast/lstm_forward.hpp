// One step of the LSTM (000 eq. 20-30, 002 eq. 5.14-5.56), forward: one register of units of one row of the batch at a
// time, right behind the tile that made their z. For cells whose units need nothing of one another;
// lstm_forward_row.hpp serves the others.
//
//   i = σ(z_i [+ p_i ⊙ c⁻])    f = σ(z_f [+ p_f ⊙ c⁻]) or 1 − i    g = φ_in(z_g)
//   ĉ = f ⊙ c⁻ + i ⊙ g         o = σ(z_o [+ p_o ⊙ ĉ])              a = φ_out(ĉ)
//   m = o ⊙ a                  c = ζ_c ⊙ c⁻ + (1 − ζ_c) ⊙ ĉ        h = ζ_h ⊙ h⁻ + (1 − ζ_h) ⊙ m
#pragma once

#include "activations.hpp"

namespace peephole::PEEPHOLE_ISA {

// Where one row of the batch has what a step reads and leaves; null where the cell has none or nobody keeps it.
template <class Real>
struct ForwardRow {
  // The tape of this step.
  Real* y;       // [P]
  Real* gates;   // [K]
  Real* c_all;   // [H]
  Real* a;       // [H]
  Real* c_hat;   // [H]
  Real* normed;  // [U]
  Real* rstd;    // [V]
  // Masks.
  const Real* zoneout_h;  // [P]
  const Real* zoneout_c;  // [H]
  const Real* drop_h;     // [P]
  const Real* drop_g;     // [H]
  // The running state.
  const Real* h_before;  // [P] h⁻; with zoneout of h only
  Real* c;               // [H] c⁻, then c
  Real* h;               // [P] h, where it is not what the next step reads
  Real* read;            // [P + G] what the next step reads
  Real* m;               // [H] what is projected
};

// ζ q⁻ + (1 − ζ) q̂, and q̂ itself where nothing is kept, so that an infinite q⁻ does not turn it into NaN.
template <class Real>
inline Vector<Real> zoned_out(Vector<Real> zeta, Vector<Real> before, Vector<Real> fresh) noexcept {
  const Vector<Real> mixed = zeta * before + (broadcast(Real(1)) - zeta) * fresh;
  return zeta == Vector<Real>{} ? fresh : mixed;
}

// ζ of n units from j on: the mask where one was drawn, else the rate.
template <class Real>
inline Vector<Real> zeta_of(const Real* mask, double rate, Index j, Index n) noexcept {
  return mask != nullptr ? load_up_to(mask + j, n) : broadcast(static_cast<Real>(rate));
}

// h of n units from j on, from ĥ: to the tape and to where the next step reads it.
template <class Real>
inline void leave_h(const Shape& s, const ForwardRow<Real>& r, Index j, Index n, Vector<Real> h) noexcept {
  if (r.h_before != nullptr)
    h = zoned_out<Real>(zeta_of(r.zoneout_h, s.zeta_h, j, n), load_up_to(r.h_before + j, n), h);
  if (r.y != nullptr) store_up_to(r.y + j, h, n);
  if (r.h != nullptr) store_up_to(r.h + j, h, n);
  store_up_to(r.read + j, r.drop_h != nullptr ? h * load_up_to(r.drop_h + j, n) : h, n);
}

// σ(z_q [+ p_q ⊙ seen]) of n units from j on, where z has the parts' registers one after the other; 1 without the gate.
template <class Real>
inline Vector<Real> open_gate(const Shape& s, const Real* p, const Part& part, const ForwardRow<Real>& r, const Real* z,
                              Index j, Index n, Vector<Real> seen) noexcept {
  if (!part.there) return broadcast(Real(1));
  Vector<Real> q = load(z + part.rank * lanes<Real>);
  if (s.peepholes) q += load_up_to(p + part.gate * s.H + j, n) * seen;
  q = logistic<Real>(q);
  if (r.gates != nullptr) store_up_to(r.gates + part.row + j, q, n);
  // r of the next step is the row of gates without g.
  if (s.full_gate_recurrence) {
    const Index column = part.row < s.g.row ? part.row : part.row - s.H;
    store_up_to(r.read + s.P + column + j, q, n);
  }
  return q;
}

// The step of n units from j on.
template <class Real>
inline void lstm_forward(const Shape& s, const Real* p, const ForwardRow<Real>& r, const Real* z, Index j,
                         Index n) noexcept {
  using V = Vector<Real>;
  const V before = load(r.c + j);
  const V i = open_gate(s, p, s.i, r, z, j, n, before);
  const V f = s.coupled ? broadcast(Real(1)) - i : open_gate(s, p, s.f, r, z, j, n, before);
  const V g = activated<Real>(s.phi_in, load(z + s.g.rank * lanes<Real>));
  const V c_hat = f * before + i * (r.drop_g != nullptr ? g * load_up_to(r.drop_g + j, n) : g);
  const V o = open_gate(s, p, s.o, r, z, j, n, c_hat);
  const V a = activated<Real>(s.phi_out, c_hat);
  V c = c_hat;
  if (s.zeta_c > 0 || r.zoneout_c != nullptr) c = zoned_out<Real>(zeta_of(r.zoneout_c, s.zeta_c, j, n), before, c_hat);
  store(r.c + j, c);
  if (r.gates != nullptr) store_up_to(r.gates + s.g.row + j, g, n);
  if (r.c_all != nullptr) store_up_to(r.c_all + j, c, n);
  if (r.c_hat != nullptr) store_up_to(r.c_hat + j, c_hat, n);
  if (r.a != nullptr) store_up_to(r.a + j, a, n);
  if (r.m != nullptr) {
    store(r.m + j, o * a);
  } else {
    leave_h(s, r, j, n, o * a);
  }
}

}  // namespace peephole::PEEPHOLE_ISA
