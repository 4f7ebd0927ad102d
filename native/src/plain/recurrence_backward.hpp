// The one loop of backpropagation through time, for every cell: recurrence_forward.hpp, mirrored.
//
//   dĥ  = (1 − ζ_h) ⊙ dh      dh⁻ = ζ_h ⊙ dh          dm = W_pᵀ dĥ
//   dz, dc⁻ = the step of the cell, backward          lstm_step.hpp, rnn_step.hpp
//   dh⁻ += d_h ⊙ Rᵀ dz        dr⁻ = Sᵀ dz             0 with the truncated error of 1997
//   dR += dz (d_h ⊙ h⁻)ᵀ    dS += dz r⁻ᵀ    dW_p += dĥ mᵀ
//   and after the loop, one product each over all steps:   dW += dz xᵀ    db += dz    dx += Wᵀ dz
#pragma once

#include "arena.hpp"
#include "lstm_step.hpp"
#include "products.hpp"
#include "rnn_step.hpp"
#include "tape.hpp"

namespace peephole::PEEPHOLE_ISA {

template <class Real>
class Backward {
  using Weights = typename Buffers<Real>::Weights;
  using Inputs = typename Buffers<Real>::Inputs;
  using Tape = typename Buffers<Real>::Tape;
  using Errors = typename Buffers<Real>::Errors;
  using Gradients = typename Buffers<Real>::Gradients;

 public:
  // Takes its scratch from the arena; run() needs one that has memory.
  Backward(const Shape& shape, const Weights& weights, const Inputs& inputs, const Tape& tape, const Errors& errors,
           const Gradients& gradients, Arena<Real>& arena) noexcept
      : s(shape),
        w(weights),
        in(inputs),
        tape_(tape),
        above_(errors),
        d(gradients),
        tape_row_(shape, inputs.lengths, arena) {
    const Index lstm_width = s.rnn ? 0 : s.H;
    dz_ = arena.take(s.rows() * s.K);
    dh_ = arena.take(s.B * s.P);
    dc_ = arena.take(s.B * lstm_width);
    dr_ = arena.take(s.full_gate_recurrence ? s.B * s.G : 0);
    dh_hat_ = arena.take(s.B * s.P);
    dm_ = s.projection ? arena.take(s.B * s.H) : dh_hat_;
    read_ = arena.take(s.B * (s.H + s.G));  // h⁻ (at most H wide), r⁻ or m of the rows in hand
    back_ = arena.take(s.B * s.P);
    zeros_ = arena.take(s.H + s.G);
    dc_hat_ = arena.take(lstm_width);
    through_p_ = arena.take(lstm_width);
  }

  void run() noexcept {
    tape_row_.fill(s, in.lengths);
    clear_small_gradients<Real>(s, d);
    clear_if(d.dx, s.rows() * s.I);
    clear_if(d.dW, s.K * s.I);
    clear_if(d.dR, s.K * s.P);
    clear_if(d.dW_p, s.P * s.H);
    copy_or_zero(dh_, above_.dh_n, s.B * s.P);
    if (!s.rnn) copy_or_zero(dc_, above_.dc_n, s.B * s.H);
    if (s.full_gate_recurrence) copy_or_zero(dr_, above_.dr_n, s.B * s.G);
    copy_or_zero<Real>(zeros_, nullptr, s.H + s.G);
    for (Index step = s.T - 1; step >= 0; --step) {
      const Index t = s.reverse ? s.T - 1 - step : step;
      for_valid_runs(s, in.lengths, t, t + 1, [&](Index first, Index count) { run_rows(t, first, count); });
    }
    for_valid_runs(s, in.lengths, 0, s.T, [&](Index first, Index count) { leave_input(first, count); });
    add_if(d.dh0, dh_, s.B * s.P);
    if (!s.rnn) add_if(d.dc0, dc_, s.B * s.H);
    if (s.full_gate_recurrence) add_if(d.dr0, dr_, s.B * s.G);
  }

 private:
  Matrix<const Real> dz_rows(Index first, Index count) const noexcept { return {dz_ + first * s.K, count, s.K, s.K}; }

  Before<Real> before() const noexcept { return {s, in, tape_, tape_row_, zeros_}; }

  void copy_r_before(Index t, Index b, Real* r) const noexcept {
    const Real* gates = before().gates(t, b);
    if (gates == nullptr) {
      copy_or_zero(r, row_or_null(in.r0, b, s.G), s.G);
      return;
    }
    for_gate_columns(
        s, [&](Index column, Index r_column, Index width) { copy_or_zero(r + r_column, gates + column, width); });
  }

  void run_rows(Index t, Index first, Index count) const noexcept {
    const Index b = first - t * s.B;
    for (Index row = first; row < first + count; ++row) start(row, row - t * s.B);
    if (s.projection) leave_projection(first, b, count);
    for (Index row = first; row < first + count; ++row) step(t, row, row - t * s.B);
    add_recurrent_gradients(t, first, b, count);
    carry(first, b, count);
  }

  // dh += dy, dc += the error from outside, dĥ = (1 − ζ_h) ⊙ dh, dh⁻ = ζ_h ⊙ dh, and dz = the errors on i f g o.
  void start(Index row, Index b) const noexcept {
    Real* dh = dh_ + b * s.P;
    Real* dh_hat = dh_hat_ + b * s.P;
    const Real* mask = row_or_null(in.zoneout_h, row, s.P);
    add_if(dh, row_or_null(above_.dy, row, s.P), s.P);
    for (Index j = 0; j < s.P; ++j) {
      const Real z_h = zeta(mask, s.zeta_h, j);
      dh_hat[j] = (Real(1) - z_h) * dh[j];
      dh[j] = s.truncated ? Real(0) : z_h * dh[j];
    }
    if (!s.rnn) add_if(dc_ + b * s.H, row_or_null(above_.dc, row, s.H), s.H);
    Real* dz = dz_ + row * s.K;
    copy_or_zero(dz, row_or_null(above_.dgates, row, s.K), s.K);
    if (!s.full_gate_recurrence) return;
    for_gate_columns(s, [&](Index column, Index r_column, Index width) {
      add_if<Real>(dz + column, dr_ + b * s.G + r_column, width);
    });
  }

  // dm = W_pᵀ dĥ, dW_p += dĥ mᵀ with m = E o ⊙ a
  void leave_projection(Index first, Index b, Index count) const noexcept {
    const Matrix<const Real> dh_hat{dh_hat_ + b * s.P, count, s.P, s.P};
    copy_or_zero<Real>(dm_ + b * s.H, nullptr, count * s.H);
    add_carried_back(dh_hat, dense_matrix(w.W_p, s.P, s.H), dense_matrix(dm_ + b * s.H, count, s.H));
    if (d.dW_p == nullptr) return;
    for (Index k = 0; k < count; ++k) {
      const Index on_tape = tape_row_(first + k);
      const OpenGates<Real> gate{s, tape_.gates + on_tape * s.K};
      for (Index j = 0; j < s.H; ++j) read_[k * s.H + j] = gate.o(j / s.C) * tape_.a[on_tape * s.H + j];
    }
    add_outer(dh_hat, dense_matrix<const Real>(read_, count, s.H), dense_matrix(d.dW_p, s.P, s.H));
  }

  // The step of the cell for one row, from dm and dc to dz and dc⁻.
  void step(Index t, Index row, Index b) const noexcept {
    const Index on_tape = tape_row_(row);
    const Real* gates = tape_.gates + on_tape * s.K;
    const Real* normed = row_or_null<const Real>(tape_.normed, on_tape, s.U);
    const Real* rstd = row_or_null<const Real>(tape_.rstd, on_tape, s.V);
    if (s.rnn) {
      rnn_backward(s, w.gain, gates, normed, rstd, dm_ + b * s.H, dz_ + row * s.K, d.dgain, d.dshift);
      return;
    }
    // Without zoneout ĉ is c.
    const bool zones_out_c = s.zeta_c > 0 || in.zoneout_c != nullptr;
    const Real* c_hat = (zones_out_c ? tape_.c_hat : tape_.c) + on_tape * s.H;
    lstm_backward(s, UnitWeights<Real>{w.p, w.gain, w.shift}, UnitGradients<Real>{d.dp, d.dgain, d.dshift},
                  LstmBackwardRow<Real>{gates, before().c(t, b), c_hat, tape_.a + on_tape * s.H, normed, rstd,
                                        row_or_null(in.zoneout_c, row, s.H), row_or_null(in.drop_g, b, s.H),
                                        dm_ + b * s.H, dc_ + b * s.H, dz_ + row * s.K, dc_hat_, through_p_});
  }

  // dR += dz (d_h ⊙ h⁻)ᵀ, dS += dz r⁻ᵀ
  void add_recurrent_gradients(Index t, Index first, Index b, Index count) const noexcept {
    if (d.dR != nullptr) {
      for (Index k = 0; k < count; ++k) {
        const Real* h = before().h(t, b + k);
        const Real* drop = row_or_null(in.drop_h, b + k, s.P);
        for (Index j = 0; j < s.P; ++j) read_[k * s.P + j] = drop != nullptr ? h[j] * drop[j] : h[j];
      }
      add_outer(dz_rows(first, count), dense_matrix<const Real>(read_, count, s.P), dense_matrix(d.dR, s.K, s.P));
    }
    if (!s.full_gate_recurrence || d.dS == nullptr) return;
    for (Index k = 0; k < count; ++k) copy_r_before(t, b + k, read_ + k * s.G);
    for_gate_columns(s, [&](Index column, Index r_column, Index width) {
      add_outer(Matrix<const Real>{dz_ + first * s.K + column, count, width, s.K},
                dense_matrix<const Real>(read_, count, s.G), dense_matrix(d.dS + r_column * s.G, width, s.G));
    });
  }

  // dh⁻ += d_h ⊙ Rᵀ dz, dr⁻ = Sᵀ dz; with the truncated error neither.
  void carry(Index first, Index b, Index count) const noexcept {
    if (s.full_gate_recurrence) copy_or_zero<Real>(dr_ + b * s.G, nullptr, count * s.G);
    if (s.truncated) return;
    Real* dh = dh_ + b * s.P;
    copy_or_zero<Real>(back_, nullptr, count * s.P);
    add_carried_back(dz_rows(first, count), dense_matrix(w.R, s.K, s.P), dense_matrix(back_, count, s.P));
    for (Index j = 0; j < count * s.P; ++j) {
      dh[j] += in.drop_h != nullptr ? back_[j] * in.drop_h[b * s.P + j] : back_[j];
    }
    if (!s.full_gate_recurrence) return;
    for_gate_columns(s, [&](Index column, Index r_column, Index width) {
      add_carried_back(Matrix<const Real>{dz_ + first * s.K + column, count, width, s.K},
                       dense_matrix(w.S + r_column * s.G, width, s.G), dense_matrix(dr_ + b * s.G, count, s.G));
    });
  }

  // dW += dz xᵀ, db += dz, dx += Wᵀ dz over a run of valid rows
  void leave_input(Index first, Index count) const noexcept {
    if (d.dW != nullptr) {
      add_outer(dz_rows(first, count), dense_matrix(in.x + first * s.I, count, s.I), dense_matrix(d.dW, s.K, s.I));
    }
    if (d.db != nullptr) add_rows(dz_rows(first, count), d.db);
    if (d.dx != nullptr) {
      add_carried_back(dz_rows(first, count), dense_matrix(w.W, s.K, s.I),
                       dense_matrix(d.dx + first * s.I, count, s.I));
    }
  }

  const Shape& s;
  const Weights& w;
  const Inputs& in;
  const Tape& tape_;
  const Errors& above_;
  const Gradients& d;
  const TapeRows tape_row_;
  Real *dz_, *dh_, *dc_, *dr_, *dh_hat_, *dm_, *read_, *back_, *zeros_, *dc_hat_, *through_p_;
};

}  // namespace peephole::PEEPHOLE_ISA
