// One step of the LSTM on the way back (000 eq. 26-30, 002 eq. 5.26-5.56): lstm_forward.hpp, mirrored.
//
//   dĥ  = (1 − ζ_h) ⊙ dh                       dm = W_pᵀ dĥ, without projection dĥ
//   dĉ  = (1 − ζ_c) ⊙ dc + dm ⊙ o ⊙ φ_out'(ĉ) [+ p_o ⊙ dz_o]
//   do  = dm ⊙ a          dg = dĉ ⊙ i          di = dĉ ⊙ g, coupled dĉ ⊙ (g − c⁻)         df = dĉ ⊙ c⁻
//   dz_q = dq ⊙ φ'(z_q)   dp_q += dz_q ⊙ seen
//   dc⁻ = ζ_c ⊙ dc + dĉ ⊙ f [+ p_i ⊙ dz_i + p_f ⊙ dz_f]                dh⁻ = ζ_h ⊙ dh + Rᵀ dz
#pragma once

#include "lstm_forward.hpp"

namespace peephole::PEEPHOLE_ISA {

// Where one row of the batch has what a step on the way back reads and leaves; null where there is none.
template <class Real>
struct BackwardRow {
  // The tape of this step.
  const Real* gates;     // [K]
  const Real* c_before;  // [H] c⁻
  const Real* c_hat;     // [H]
  const Real* a;         // [H]
  const Real* normed;    // [U]
  const Real* rstd;      // [V]
  // Masks.
  const Real* zoneout_h;  // [P]
  const Real* zoneout_c;  // [H]
  const Real* drop_g;     // [H]
  // Errors from above.
  const Real* dy;      // [P]
  const Real* dgates;  // [K]
  const Real* dc_all;  // [H]
  // The errors that run back.
  const Real* back;  // [P + G] on h and r of this step, through the weights
  Real* kept;        // [P] the same, through zoneout; in and out
  Real* dc;          // [H] on c, then on c⁻
  // What is left.
  Real* dh_hat;  // [P] with projection only
  Real* dm;      // [H] with projection only
  Real* dz;      // [K]
};

// Gradients of the parameters that work unit by unit, of one thread: [gates, padded H], [U], [U].
template <class Real>
struct UnitGradients {
  Real *dp, *dgain, *dshift;
  Index dp_stride;
};

// dĥ of n units from j on; what zoneout keeps goes on to h⁻, unless the truncated error cuts it.
template <class Real>
inline Vector<Real> enter_h(const Shape& s, const BackwardRow<Real>& r, Index j, Index n) noexcept {
  using V = Vector<Real>;
  V dh = load_up_to(r.back + j, n);
  if (r.dy != nullptr) dh += load_up_to(r.dy + j, n);
  if (r.kept == nullptr) return dh;
  dh += load_up_to(r.kept + j, n);
  const V zeta = zeta_of(r.zoneout_h, s.zeta_h, j, n);
  store_up_to(r.kept + j, s.truncated ? V{} : zeta * dh, n);
  return (broadcast(Real(1)) - zeta) * dh;
}

// The errors on a part's activations from outside, and on the gates from the step after.
template <class Real>
inline Vector<Real> outer_error(const Shape& s, const BackwardRow<Real>& r, const Part& part, Index j,
                                Index n) noexcept {
  Vector<Real> dq{};
  if (r.dgates != nullptr) dq += load_up_to(r.dgates + part.row + j, n);
  if (s.full_gate_recurrence && part.row != s.g.row) {
    dq += load_up_to(r.back + s.P + (part.row < s.g.row ? part.row : part.row - s.H) + j, n);
  }
  return dq;
}

// dz_q = dq ⊙ q(1−q)   dp_q += dz_q ⊙ seen   onward += p_q ⊙ dz_q, which the truncated error leaves out
template <class Real>
inline void leave_gate(const Shape& s, const Real* p, const UnitGradients<Real>& d, const BackwardRow<Real>& r,
                       const Part& part, Vector<Real> q, Vector<Real> dq, Vector<Real> seen, Vector<Real>& onward,
                       Index j, Index n) noexcept {
  using V = Vector<Real>;
  const V dz = (dq + outer_error(s, r, part, j, n)) * (q * (broadcast(Real(1)) - q));
  store_up_to(r.dz + part.row + j, dz, n);
  if (!s.peepholes) return;
  Real* dp = d.dp + part.gate * d.dp_stride + j;
  store(dp, load(dp) + dz * seen);
  if (!s.truncated) onward += load_up_to(p + part.gate * s.H + j, n) * dz;
}

// The step of n units from j on.
template <class Real>
inline void lstm_backward(const Shape& s, const Real* p, const UnitGradients<Real>& d, const BackwardRow<Real>& r,
                          Index j, Index n) noexcept {
  using V = Vector<Real>;
  const V one = broadcast(Real(1));
  const auto gate = [&](const Part& part) { return part.there ? load_up_to(r.gates + part.row + j, n) : one; };
  const V i = gate(s.i), o = gate(s.o), f = s.coupled ? one - i : gate(s.f);
  const V g = load_up_to(r.gates + s.g.row + j, n), a = load_up_to(r.a + j, n);
  const V before = load_up_to(r.c_before + j, n);
  const V dm = r.dm != nullptr ? load(r.dm + j) : enter_h(s, r, j, n);

  V dc = load(r.dc + j);
  if (r.dc_all != nullptr) dc += load_up_to(r.dc_all + j, n);
  V kept{};
  V dc_hat = dm * o * slope<Real>(s.phi_out, a);
  if (s.zeta_c > 0 || r.zoneout_c != nullptr) {
    kept = zeta_of(r.zoneout_c, s.zeta_c, j, n) * dc;
    dc_hat += dc - kept;
  } else {
    dc_hat += dc;
  }
  if (s.o.there) leave_gate(s, p, d, r, s.o, o, dm * a, load_up_to(r.c_hat + j, n), dc_hat, j, n);

  const V keep = r.drop_g != nullptr ? load_up_to(r.drop_g + j, n) : one;
  const V dg = dc_hat * i * keep + outer_error(s, r, s.g, j, n);
  store_up_to(r.dz + s.g.row + j, dg * slope<Real>(s.phi_in, g), n);
  V onward = kept + dc_hat * f;
  if (s.f.there) leave_gate(s, p, d, r, s.f, f, dc_hat * before, before, onward, j, n);
  const V di = dc_hat * (s.coupled ? keep * g - before : keep * g);
  if (s.i.there) leave_gate(s, p, d, r, s.i, i, di, before, onward, j, n);
  store(r.dc + j, onward);
}

}  // namespace peephole::PEEPHOLE_ISA
