// One step of the LSTM for one row of the batch, forward and backward (000 eq. 20-30, 002 eq. 5.14-5.56).
//
// What needs a matrix product is done by recurrence_*.hpp; what is here works unit by unit. E repeats a block's value
// over its C cells, Eᵀ sums a block's cells. A gate without weights is 1; a coupled f is 1 − i.
#pragma once

#include "activations.hpp"
#include "layer_norm.hpp"

namespace peephole::PEEPHOLE_ISA {

// zeta of one unit: its mask where one was drawn, else the rate.
template <class Real>
Real zeta(const Real* mask, double rate, Index unit) noexcept {
  return mask != nullptr ? mask[unit] : static_cast<Real>(rate);
}

// ζ q⁻ + (1 − ζ) q̂, and q̂ itself where nothing is kept, so that an infinite q⁻ does not turn it into NaN.
template <class Real>
Real zone_out(Real z, Real before, Real fresh) noexcept {
  return z == Real(0) ? fresh : z * before + (Real(1) - z) * fresh;
}

// i, f, o of one block from a row of activations.
template <class Real>
struct OpenGates {
  const Shape& s;
  const Real* row;

  Real i(Index n) const noexcept { return s.i.there ? row[s.i.row + n] : Real(1); }
  Real f(Index n) const noexcept {
    if (s.coupled) return Real(1) - i(n);
    return s.f.there ? row[s.f.row + n] : Real(1);
  }
  Real o(Index n) const noexcept { return s.o.there ? row[s.o.row + n] : Real(1); }
};

// Σ_j u_j v_j over the cells of block n: one element of Eᵀ(u ⊙ v).
template <class Real>
Real block_sum(const Real* u, const Real* v, Index n, Index C) noexcept {
  Real sum = 0;
  for (Index j = n * C; j < (n + 1) * C; ++j) sum += u[j] * v[j];
  return sum;
}

// Parameters that work unit by unit, and in Backward their gradients; null where the cell has none.
template <class Real>
struct UnitWeights {
  const Real *p, *gain, *shift;
};
template <class Real>
struct UnitGradients {
  Real *dp, *dgain, *dshift;
};

// One row of the batch at one step. `gates` comes with z = W x + R h⁻ + b [+ S r⁻] and leaves with the activations.
template <class Real>
struct LstmForwardRow {
  Real* gates;            // [K] in: z, out: i f g o
  Real* c;                // [H] in: c⁻, out: c
  Real* c_hat;            // [H] out
  Real* a;                // [H] out
  Real* m;                // [H] out: E o ⊙ a
  Real* normed;           // [U] out, layer norm only
  Real* rstd;             // [V] out, layer norm only
  const Real* zoneout_c;  // [H] or null
  const Real* drop_g;     // [H] or null
};

// q = φ(z [+ Eᵀ(p ⊙ seen)]), normalised before φ where the cell asks for it.
template <class Real>
void enter_gate(const Shape& s, const UnitWeights<Real>& w, const Part& part, const Real* seen,
                const LstmForwardRow<Real>& r) noexcept {
  if (!part.there) return;
  Real* z = r.gates + part.row;
  if (s.peepholes) {
    for (Index n = 0; n < s.N; ++n) z[n] += block_sum(w.p + part.gate * s.H, seen, n, s.C);
  }
  if (s.layer_norm) {
    normalise(z, s.N, w.gain + part.row, w.shift + part.row, r.normed + part.row, r.rstd + part.rank);
  }
  activate(PEEPHOLE_LOGISTIC, z, s.N);
}

// g = φ_in(z_g)
template <class Real>
void enter_candidate(const Shape& s, const UnitWeights<Real>& w, const LstmForwardRow<Real>& r) noexcept {
  Real* z = r.gates + s.g.row;
  if (s.layer_norm) {
    normalise(z, s.H, w.gain + s.g.row, w.shift + s.g.row, r.normed + s.g.row, r.rstd + s.g.rank);
  }
  activate(s.phi_in, z, s.H);
}

// a = φ_out(ĉ)
template <class Real>
void leave_cell(const Shape& s, const UnitWeights<Real>& w, const LstmForwardRow<Real>& r) noexcept {
  for (Index j = 0; j < s.H; ++j) r.a[j] = r.c_hat[j];
  if (s.layer_norm) {
    const Index at = s.cell_norm_row();
    normalise(r.a, s.H, w.gain + at, w.shift + at, r.normed + at, r.rstd + s.cell_norm_rank());
  }
  activate(s.phi_out, r.a, s.H);
}

template <class Real>
void lstm_forward(const Shape& s, const UnitWeights<Real>& w, const LstmForwardRow<Real>& r) noexcept {
  const OpenGates<Real> gate{s, r.gates};
  const Real* g = r.gates + s.g.row;
  // i = σ(z_i [+ Eᵀ(p_i ⊙ c⁻)])   f = σ(z_f [+ Eᵀ(p_f ⊙ c⁻)])   g = φ_in(z_g)
  enter_gate(s, w, s.i, r.c, r);
  enter_gate(s, w, s.f, r.c, r);
  enter_candidate(s, w, r);
  // ĉ = E f ⊙ c⁻ + E i ⊙ g
  for (Index n = 0; n < s.N; ++n) {
    for (Index j = n * s.C; j < (n + 1) * s.C; ++j) {
      const Real g_kept = r.drop_g != nullptr ? g[j] * r.drop_g[j] : g[j];
      r.c_hat[j] = gate.f(n) * r.c[j] + gate.i(n) * g_kept;
    }
  }
  // o = σ(z_o [+ Eᵀ(p_o ⊙ ĉ)])   a = φ_out(ĉ)
  enter_gate(s, w, s.o, r.c_hat, r);
  leave_cell(s, w, r);
  // m = E o ⊙ a   c = ζ_c ⊙ c⁻ + (1 − ζ_c) ⊙ ĉ
  for (Index n = 0; n < s.N; ++n) {
    for (Index j = n * s.C; j < (n + 1) * s.C; ++j) {
      r.m[j] = gate.o(n) * r.a[j];
      r.c[j] = zone_out(zeta(r.zoneout_c, s.zeta_c, j), r.c[j], r.c_hat[j]);
    }
  }
}

// The same row on the way back. `dz` comes with the errors on the activations from outside and from the step after.
template <class Real>
struct LstmBackwardRow {
  const Real* gates;      // [K] i f g o
  const Real* c_before;   // [H] c⁻
  const Real* c_hat;      // [H]
  const Real* a;          // [H]
  const Real* normed;     // [U] layer norm only
  const Real* rstd;       // [V] layer norm only
  const Real* zoneout_c;  // [H] or null
  const Real* drop_g;     // [H] or null
  const Real* dm;         // [H]
  Real* dc;               // [H] in: error on c, out: error on c⁻
  Real* dz;               // [K] in: errors on i f g o, out: dz
  Real* dc_hat;           // [H] scratch
  Real* through_p;        // [H] scratch: the error that peepholes carry to c⁻
};

// dz_q = dq ⊙ φ'(z_q), back through the normalisation
template <class Real>
void leave_part(const Shape& s, const UnitWeights<Real>& w, const UnitGradients<Real>& d, peephole_activation phi,
                Index row, Index rank, Index count, const Real* q, const Real* normed, const Real* rstd,
                Real* dq) noexcept {
  activate_backward(phi, q, dq, count);
  if (!s.layer_norm) return;
  normalise_backward(dq, count, w.gain + row, normed + row, rstd[rank], d.dgain != nullptr ? d.dgain + row : nullptr,
                     d.dshift != nullptr ? d.dshift + row : nullptr);
}

// dz_q = dq ⊙ q(1−q)   dp_q += E dz_q ⊙ seen   onward += p_q ⊙ E dz_q, which the truncated error leaves out
template <class Real>
void leave_gate(const Shape& s, const UnitWeights<Real>& w, const UnitGradients<Real>& d, const Part& part,
                const Real* seen, Real* onward, const LstmBackwardRow<Real>& r) noexcept {
  Real* dz = r.dz + part.row;
  leave_part(s, w, d, PEEPHOLE_LOGISTIC, part.row, part.rank, s.N, r.gates + part.row, r.normed, r.rstd, dz);
  if (!s.peepholes) return;
  const Real* p = w.p + part.gate * s.H;
  Real* dp = d.dp != nullptr ? d.dp + part.gate * s.H : nullptr;
  for (Index n = 0; n < s.N; ++n) {
    for (Index j = n * s.C; j < (n + 1) * s.C; ++j) {
      if (dp != nullptr) dp[j] += dz[n] * seen[j];
      if (!s.truncated) onward[j] += p[j] * dz[n];
    }
  }
}

// dĉ = (1 − ζ_c) ⊙ dc + dm ⊙ E o ⊙ φ_out'(ĉ) [+ p_o ⊙ E dz_o], with do = Eᵀ(dm ⊙ a)
template <class Real>
void back_to_cell(const Shape& s, const UnitWeights<Real>& w, const UnitGradients<Real>& d,
                  const LstmBackwardRow<Real>& r) noexcept {
  const OpenGates<Real> gate{s, r.gates};
  for (Index n = 0; n < s.N; ++n) {
    for (Index j = n * s.C; j < (n + 1) * s.C; ++j) r.dc_hat[j] = r.dm[j] * gate.o(n);
  }
  leave_part(s, w, d, s.phi_out, s.cell_norm_row(), s.cell_norm_rank(), s.H, r.a, r.normed, r.rstd, r.dc_hat);
  for (Index j = 0; j < s.H; ++j) r.dc_hat[j] += (Real(1) - zeta(r.zoneout_c, s.zeta_c, j)) * r.dc[j];
  if (!s.o.there) return;
  for (Index n = 0; n < s.N; ++n) r.dz[s.o.row + n] += block_sum(r.dm, r.a, n, s.C);
  leave_gate(s, w, d, s.o, r.c_hat, r.dc_hat, r);
}

// dg = dĉ ⊙ E i ⊙ d_g   di = Eᵀ(dĉ ⊙ d_g ⊙ g), coupled Eᵀ(dĉ ⊙ (d_g ⊙ g − c⁻))   df = Eᵀ(dĉ ⊙ c⁻)
template <class Real>
void back_to_gates(const Shape& s, const LstmBackwardRow<Real>& r) noexcept {
  const OpenGates<Real> gate{s, r.gates};
  const Real* g = r.gates + s.g.row;
  for (Index n = 0; n < s.N; ++n) {
    Real di = 0;
    for (Index j = n * s.C; j < (n + 1) * s.C; ++j) {
      const Real keep = r.drop_g != nullptr ? r.drop_g[j] : Real(1);
      r.dz[s.g.row + j] += r.dc_hat[j] * gate.i(n) * keep;
      di += r.dc_hat[j] * (s.coupled ? keep * g[j] - r.c_before[j] : keep * g[j]);
    }
    if (s.i.there) r.dz[s.i.row + n] += di;
    if (s.f.there) r.dz[s.f.row + n] += block_sum(r.dc_hat, r.c_before, n, s.C);
  }
}

template <class Real>
void lstm_backward(const Shape& s, const UnitWeights<Real>& w, const UnitGradients<Real>& d,
                   const LstmBackwardRow<Real>& r) noexcept {
  const OpenGates<Real> gate{s, r.gates};
  back_to_cell(s, w, d, r);
  back_to_gates(s, r);
  // dz_g = dg ⊙ φ_in'(z_g)   dz_f = df ⊙ f(1−f)   dz_i = di ⊙ i(1−i)
  for (Index j = 0; j < s.H; ++j) r.through_p[j] = Real(0);
  leave_part(s, w, d, s.phi_in, s.g.row, s.g.rank, s.H, r.gates + s.g.row, r.normed, r.rstd, r.dz + s.g.row);
  if (s.f.there) leave_gate(s, w, d, s.f, r.c_before, r.through_p, r);
  if (s.i.there) leave_gate(s, w, d, s.i, r.c_before, r.through_p, r);
  // dc⁻ = ζ_c ⊙ dc + dĉ ⊙ E f [+ p_i ⊙ E dz_i + p_f ⊙ E dz_f]
  for (Index n = 0; n < s.N; ++n) {
    for (Index j = n * s.C; j < (n + 1) * s.C; ++j) {
      r.dc[j] = zeta(r.zoneout_c, s.zeta_c, j) * r.dc[j] + r.dc_hat[j] * gate.f(n) + r.through_p[j];
    }
  }
}

}  // namespace peephole::PEEPHOLE_ISA
