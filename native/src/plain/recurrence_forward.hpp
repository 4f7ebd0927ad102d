// The one time loop, for every cell.
//
//   z    = W x + R (d_h ⊙ h⁻) + b  [+ S r⁻]
//   m, ĉ = the step of the cell               lstm_step.hpp, rnn_step.hpp
//   ĥ    = W_p m                              without projection m
//   h    = ζ_h ⊙ h⁻ + (1 − ζ_h) ⊙ ĥ           (c in the step of the cell)
//
// W x + b is one product over all steps where the gates are kept, else one a step. The state runs in h_n, c_n, r_n.
#pragma once

#include "arena.hpp"
#include "lstm_step.hpp"
#include "products.hpp"
#include "rnn_step.hpp"
#include "tape.hpp"

namespace peephole::PEEPHOLE_ISA {

template <class Real>
class Forward {
  using Weights = typename Buffers<Real>::Weights;
  using Inputs = typename Buffers<Real>::Inputs;
  using Tape = typename Buffers<Real>::Tape;

 public:
  // Takes its scratch from the arena; run() needs one that has memory.
  Forward(const Shape& shape, const Weights& weights, const Inputs& inputs, const Tape& tape,
          Arena<Real>& arena) noexcept
      : s(shape), w(weights), in(inputs), tape_(tape), tape_row_(shape, inputs.lengths, arena) {
    h_read_ = arena.take(s.B * s.P);
    m_ = arena.take(s.B * s.H);
    h_hat_ = s.projection ? arena.take(s.B * s.P) : m_;
    // One step's worth of what the caller does not keep.
    gates_ = arena.take(s.B * s.K);
    c_hat_ = s.rnn ? nullptr : arena.take(s.B * s.H);
    a_ = s.rnn ? nullptr : arena.take(s.B * s.H);
    normed_ = s.layer_norm ? arena.take(s.B * s.U) : nullptr;
    rstd_ = s.layer_norm ? arena.take(s.B * s.V) : nullptr;
  }

  void run() noexcept {
    tape_row_.fill(s, in.lengths);
    copy_or_zero(tape_.h_n, in.h0, s.B * s.P);
    if (!s.rnn) copy_or_zero(tape_.c_n, in.c0, s.B * s.H);
    if (s.full_gate_recurrence) copy_or_zero(tape_.r_n, in.r0, s.B * s.G);
    if (in.lengths != nullptr) clear_beyond_lengths();
    if (tape_.gates != nullptr) see_input(0, s.T);
    for (Index step = 0; step < s.T; ++step) {
      const Index t = s.reverse ? s.T - 1 - step : step;
      if (tape_.gates == nullptr) see_input(t, t + 1);
      for_valid_runs(s, in.lengths, t, t + 1, [&](Index first, Index count) { run_rows(t, first, count); });
    }
  }

 private:
  // An array over all steps where it is kept, else the scratch of one step. `row` is t·B + b.
  Real* kept(Real* array, Real* scratch, Index row, Index width) const noexcept {
    return array != nullptr ? array + tape_row_(row) * width : row_or_null(scratch, row % s.B, width);
  }
  Real* gates(Index row) const noexcept { return kept(tape_.gates, gates_, row, s.K); }

  bool zones_out_c() const noexcept { return s.zeta_c > 0 || in.zoneout_c != nullptr; }

  void clear_beyond_lengths() const noexcept {
    if (tape_.y == nullptr) return;
    for (Index row = 0; row < s.rows(); ++row) {
      if (!is_valid(in.lengths, row / s.B, row % s.B)) copy_or_zero<Real>(tape_.y + row * s.P, nullptr, s.P);
    }
  }

  // z = W x + b for the steps [begin, end)
  void see_input(Index begin, Index end) const noexcept {
    for_valid_runs(s, in.lengths, begin, end, [&](Index first, Index count) {
      for (Index row = 0; row < count; ++row) copy_or_zero(gates(first) + row * s.K, w.b, s.K);
      add_seen(dense_matrix(in.x + first * s.I, count, s.I), dense_matrix(w.W, s.K, s.I),
               dense_matrix(gates(first), count, s.K));
    });
  }

  void run_rows(Index t, Index first, Index count) const noexcept {
    const Index b = first - t * s.B;
    see_state(b, gates(first), count);
    for (Index row = first; row < first + count; ++row) step(row, row - t * s.B);
    if (s.projection) {
      for (Index j = b * s.P; j < (b + count) * s.P; ++j) h_hat_[j] = Real(0);
      add_seen(dense_matrix<const Real>(m_ + b * s.H, count, s.H), dense_matrix(w.W_p, s.P, s.H),
               dense_matrix(h_hat_ + b * s.P, count, s.P));
    }
    for (Index row = first; row < first + count; ++row) finish(row, row - t * s.B);
  }

  // z += R (d_h ⊙ h⁻) [+ S r⁻] for the rows [b, b + count)
  void see_state(Index b, Real* z, Index count) const noexcept {
    const Real* h = tape_.h_n + b * s.P;
    if (in.drop_h != nullptr) {
      for (Index j = b * s.P; j < (b + count) * s.P; ++j) h_read_[j] = tape_.h_n[j] * in.drop_h[j];
      h = h_read_ + b * s.P;
    }
    add_seen(dense_matrix(h, count, s.P), dense_matrix(w.R, s.K, s.P), dense_matrix(z, count, s.K));
    if (!s.full_gate_recurrence) return;
    const Matrix<const Real> r{tape_.r_n + b * s.G, count, s.G, s.G};
    for_gate_columns(s, [&](Index column, Index r_column, Index width) {
      add_seen(r, dense_matrix(w.S + r_column * s.G, width, s.G), Matrix<Real>{z + column, count, width, s.K});
    });
  }

  // The step of the cell for one row, from z to m, and what it leaves on the tape.
  void step(Index row, Index b) const noexcept {
    Real* normed = s.layer_norm ? kept(tape_.normed, normed_, row, s.U) : nullptr;
    Real* rstd = s.layer_norm ? kept(tape_.rstd, rstd_, row, s.V) : nullptr;
    Real* m = m_ + b * s.H;
    if (s.rnn) {
      rnn_forward(s, w.gain, w.shift, gates(row), m, normed, rstd);
      return;
    }
    // Without zoneout ĉ is c, and is kept as c.
    Real* c_hat = kept(zones_out_c() ? tape_.c_hat : tape_.c, c_hat_, row, s.H);
    Real* c = tape_.c_n + b * s.H;
    lstm_forward(s, UnitWeights<Real>{w.p, w.gain, w.shift},
                 LstmForwardRow<Real>{gates(row), c, c_hat, kept(tape_.a, a_, row, s.H), m, normed, rstd,
                                      row_or_null(in.zoneout_c, row, s.H), row_or_null(in.drop_g, b, s.H)});
    if (zones_out_c() && tape_.c != nullptr) copy_or_zero<Real>(tape_.c + tape_row_(row) * s.H, c, s.H);
    if (!s.full_gate_recurrence) return;
    for_gate_columns(s, [&](Index column, Index r_column, Index width) {
      copy_or_zero<Real>(tape_.r_n + b * s.G + r_column, gates(row) + column, width);
    });
  }

  // h = ζ_h ⊙ h⁻ + (1 − ζ_h) ⊙ ĥ
  void finish(Index row, Index b) const noexcept {
    const Real* mask = row_or_null(in.zoneout_h, row, s.P);
    Real* h = tape_.h_n + b * s.P;
    const Real* h_hat = h_hat_ + b * s.P;
    for (Index j = 0; j < s.P; ++j) h[j] = zone_out(zeta(mask, s.zeta_h, j), h[j], h_hat[j]);
    if (tape_.y != nullptr) copy_or_zero<Real>(tape_.y + row * s.P, h, s.P);
  }

  const Shape& s;
  const Weights& w;
  const Inputs& in;
  const Tape& tape_;
  const TapeRows tape_row_;
  Real *h_read_, *m_, *h_hat_, *gates_, *c_hat_, *a_, *normed_, *rstd_;
};

}  // namespace peephole::PEEPHOLE_ISA
