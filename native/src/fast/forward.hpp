// The one time loop, for every cell, by a team of threads.
//
//   z    = W x + R (d_h ⊙ h⁻) + b  [+ S r⁻]
//   m, ĉ = the step of the cell               lstm_forward.hpp, forward_row.hpp
//   ĥ    = W_p m                              without projection m
//   h    = ζ_h ⊙ h⁻ + (1 − ζ_h) ⊙ ĥ           (c in the step of the cell)
//
// W x + b is a product over as many steps at a time as the cache holds. Each thread runs the whole loop for its own
// rows of the batch and meets nobody (rows.hpp says when all run it together instead, each for some of the units).
#pragma once

#include "forward_panels.hpp"
#include "forward_row.hpp"
#include "product.hpp"
#include "rows.hpp"

namespace peephole::PEEPHOLE_ISA {

template <class Real>
class Forward {
  using Weights = typename Buffers<Real>::Weights;
  using Inputs = typename Buffers<Real>::Inputs;
  using Tape = typename Buffers<Real>::Tape;

  // What a thread has for itself.
  struct Scratch {
    Real* z;                 // [rows at work in the steps taken together, z_stride]
    Index* row_ids;          // [the same] t·B + b
    ForwardRow<Real>* rows;  // [rows]
    RowScratch<Real> row;

    Scratch(const Shape& s, const Division& division, Index z_stride, Arena<Real>& arena) noexcept
        : z(arena.take(division.most_rows() * z_stride)),
          row_ids(arena.template take<Index>(division.most_rows())),
          rows(arena.template take<ForwardRow<Real>>(division.rows)),
          row(s, arena) {}
  };

 public:
  // Takes its scratch for so many threads from the arena; run() needs one that has memory. Panels that were packed
  // before (prepared, not null) are taken as they are.
  Forward(const Shape& shape, const Weights& weights, const void* prepared, const Inputs& inputs, const Tape& tape,
          Index threads, Arena<Real>& arena) noexcept
      : s(shape),
        w(weights),
        in(inputs),
        tape_(tape),
        tape_row_(shape, inputs.lengths, arena),
        packed_(prepared != nullptr),
        panels_(packed_ ? prepared_panels<Real>(shape, prepared) : ForwardPanels<Real>(shape, arena)),
        division_(divide(shape, threads, sizeof(Real), panels_.W.columns(), fewest_rows)),
        read_stride_(row_stride<Real>(read_width(shape))),
        z_stride_(row_stride<Real>(panels_.W.columns())),
        cell_stride_(padded<Real>(shape.H)) {
    for (Real*& read : read_) read = arena.take(s.B * read_stride_);
    h_ = arena.take(s.B * s.P);
    c_ = arena.take(s.rnn ? 0 : s.B * cell_stride_);
    m_ = arena.take(s.projection ? s.B * cell_stride_ : 0);
    zeros_ = arena.take(panels_.W_p.columns());
    h_hat_ = arena.take(s.projection ? s.B * panels_.W_p.columns() : 0);
    sorted_ = arena.template take<Index>(s.B);
    slots_ = arena.template take<Index>(s.B);
    Arena<Real> one;
    const Scratch counted(s, division_, z_stride_, one);
    scratch_bytes_ = one.needed();
    scratch_ = arena.template take<unsigned char>(static_cast<Index>(scratch_bytes_) * threads);
  }

  // Before the team starts.
  void begin() noexcept {
    sort_rows(in.lengths, s.B, sorted_);
    tape_row_.fill(s, in.lengths);
    copy_or_zero<Real>(zeros_, nullptr, panels_.W_p.columns());
  }

  // Called by every thread of the team.
  void run(const Team& team) noexcept {
    const FlushSubnormals flush;
    if (!packed_) panels_.pack(team, w);
    const Range rows = division_.own_rows(team, s.B);
    if (!division_.by_units || team.rank == 0) {
      deal_rows(team, division_, in.lengths != nullptr, sorted_, rows, slots_);
      load_state(rows);
      clear_beyond_lengths(rows);
    }
    team.wait();
    Arena<Real> memory(scratch_ + static_cast<std::size_t>(team.rank) * scratch_bytes_);
    const Scratch scratch(s, division_, z_stride_, memory);
    run_steps(team, rows, scratch);
  }

 private:
  bool zones_out_c() const noexcept { return s.zeta_c > 0 || in.zoneout_c != nullptr; }
  bool zones_out_h() const noexcept { return s.zeta_h > 0 || in.zoneout_h != nullptr; }

  // The state before the first step, in slots; both buffers of what is read, since a row may begin late.
  void load_state(Range rows) const noexcept {
    for (Index slot = rows.begin; slot < rows.end; ++slot) {
      const Index b = slots_[slot];
      const Real* h0 = row_or_null(in.h0, b, s.P);
      copy_or_zero(h_ + slot * s.P, h0, s.P);
      for (Real* read : read_) {
        Real* to = read + slot * read_stride_;
        copy_or_zero(to, h0, s.P);
        if (in.drop_h != nullptr) {
          for (Index j = 0; j < s.P; ++j) to[j] *= in.drop_h[b * s.P + j];
        }
        if (s.full_gate_recurrence) copy_or_zero(to + s.P, row_or_null(in.r0, b, s.G), s.G);
      }
      if (s.rnn) continue;
      copy_or_zero<Real>(c_ + slot * cell_stride_, nullptr, cell_stride_);
      copy_or_zero(c_ + slot * cell_stride_, row_or_null(in.c0, b, s.H), s.H);
    }
    for (Index slot = rows.begin; slot < rows.end; ++slot) {
      if (s.T == 0 || (in.lengths != nullptr && in.lengths[slots_[slot]] == 0)) leave_state(slot, read_[0]);
    }
  }

  // The final state of a row: h_n, c_n, r_n.
  void leave_state(Index slot, const Real* read) const noexcept {
    const Index b = slots_[slot];
    const Real* own = read + slot * read_stride_;
    copy_or_zero(tape_.h_n + b * s.P, in.drop_h != nullptr ? h_ + slot * s.P : own, s.P);
    if (!s.rnn) copy_or_zero<Real>(tape_.c_n + b * s.H, c_ + slot * cell_stride_, s.H);
    if (s.full_gate_recurrence) copy_or_zero(tape_.r_n + b * s.G, own + s.P, s.G);
  }

  void clear_beyond_lengths(Range rows) const noexcept {
    if (in.lengths == nullptr || tape_.y == nullptr) return;
    for (Index slot = rows.begin; slot < rows.end; ++slot) {
      const Index b = slots_[slot];
      for (Index t = in.lengths[b]; t < s.T; ++t) copy_or_zero<Real>(tape_.y + (t * s.B + b) * s.P, nullptr, s.P);
    }
  }

  void run_steps(const Team& team, Range rows, const Scratch& t_) const noexcept {
    const Range panels = division_.own_panels(team, panels_.W.count());
    Active active(in.lengths, slots_, rows);
    Index parity = 0;
    for (Index begin = 0; begin < s.T; begin += division_.steps) {
      const Index end = begin + division_.steps < s.T ? begin + division_.steps : s.T;
      Active ahead = active;
      Index count = 0;
      for (Index step = begin; step < end; ++step) {
        const Index t = s.reverse ? s.T - 1 - step : step, at_work = ahead.at(t);
        for (Index j = 0; j < at_work; ++j) t_.row_ids[count++] = t * s.B + slots_[rows.begin + j];
      }
      see_input(panels, count, t_);
      Index first = 0;
      for (Index step = begin; step < end; ++step) {
        const Index t = s.reverse ? s.T - 1 - step : step, at_work = active.at(t);
        run_step(panels, rows.begin, at_work, t_.row_ids + first, t_.z + first * z_stride_, parity, t_);
        first += at_work;
        if (division_.by_units) team.wait();
        if (!division_.by_units || team.rank == 0) leave_states(t, rows, at_work, read_[1 - parity]);
        parity = 1 - parity;
      }
    }
  }

  // The rows whose last step was t.
  void leave_states(Index t, Range rows, Index at_work, const Real* read) const noexcept {
    const bool last = t == (s.reverse ? 0 : s.T - 1);
    if (!last && (s.reverse || in.lengths == nullptr)) return;
    for (Index slot = rows.begin + at_work - 1; slot >= rows.begin; --slot) {
      if (!last && in.lengths[slots_[slot]] > t + 1) break;
      leave_state(slot, read);
    }
  }

  // z = W x + b
  void see_input(Range panels, Index count, const Scratch& t_) const noexcept {
    make_product(
        panels_.W, Walk{panels.begin, panels.end}, count, [&](Index m) { return in.x + t_.row_ids[m] * s.I; },
        panels_.b, t_.z, z_stride_);
  }

  // One step of `count` rows from a slot on.
  void run_step(Range panels, Index slot, Index count, const Index* row_ids, Real* z, Index parity,
                const Scratch& t_) const noexcept {
    const Real* read = read_[parity] + slot * read_stride_;
    for (Index m = 0; m < count; ++m) t_.rows[m] = row_at(row_ids[m], slot + m, parity);
    const auto row_of = [&](Index m) { return read + m * read_stride_; };
    const Walk walk{panels.begin, panels.end, parity == 1};
    if (gates_meet(s)) {
      make_product<Real>(panels_.R, walk, count, row_of, nullptr, z, z_stride_,
                         [&](Index panel, Index first, Index some) {
                           const Index j = panel * lanes<Real>;
                           const Index n = s.H - j < lanes<Real> ? s.H - j : lanes<Real>;
                           for (Index m = first; m < first + some; ++m) {
                             lstm_forward(s, w.p, t_.rows[m], z + m * z_stride_ + panels_.R.column(panel), j, n);
                           }
                         });
    } else {
      make_product<Real>(panels_.R, walk, count, row_of, nullptr, z, z_stride_);
      const ForwardRowPass<Real> pass(s, w.p, w.gain, w.shift, t_.row);
      for (Index m = 0; m < count; ++m) {
        if (s.rnn) {
          pass.rnn(t_.rows[m], z + m * z_stride_);
        } else {
          pass.lstm(t_.rows[m], z + m * z_stride_);
        }
      }
    }
    if (s.projection) project(slot, count, t_);
  }

  // ĥ = W_p m, and h from it
  void project(Index slot, Index count, const Scratch& t_) const noexcept {
    const Index columns = panels_.W_p.columns();
    Real* h_hat = h_hat_ + slot * columns;
    make_product<Real>(
        panels_.W_p, Walk{0, panels_.W_p.count()}, count, [&](Index m) { return m_ + (slot + m) * cell_stride_; },
        zeros_, h_hat, columns);
    for (Index m = 0; m < count; ++m) {
      for_registers<Real>(s.P, [&](Index j, Index n) { leave_h(s, t_.rows[m], j, n, load(h_hat + m * columns + j)); });
    }
  }

  ForwardRow<Real> row_at(Index row, Index slot, Index parity) const noexcept {
    const Index b = slots_[slot], on_tape = tape_row_(row);
    ForwardRow<Real> r;
    r.y = row_or_null(tape_.y, row, s.P);
    r.gates = row_or_null(tape_.gates, on_tape, s.K);
    r.c_all = row_or_null(tape_.c, on_tape, s.H);
    r.a = row_or_null(tape_.a, on_tape, s.H);
    r.c_hat = zones_out_c() ? row_or_null(tape_.c_hat, on_tape, s.H) : nullptr;
    r.normed = row_or_null(tape_.normed, on_tape, s.U);
    r.rstd = row_or_null(tape_.rstd, on_tape, s.V);
    r.zoneout_h = row_or_null(in.zoneout_h, row, s.P);
    r.zoneout_c = row_or_null(in.zoneout_c, row, s.H);
    r.drop_h = row_or_null(in.drop_h, b, s.P);
    r.drop_g = row_or_null(in.drop_g, b, s.H);
    r.h = in.drop_h != nullptr ? h_ + slot * s.P : nullptr;
    r.h_before = !zones_out_h() ? nullptr : r.h != nullptr ? r.h : read_[parity] + slot * read_stride_;
    r.c = s.rnn ? nullptr : c_ + slot * cell_stride_;
    r.read = read_[1 - parity] + slot * read_stride_;
    r.m = s.projection ? m_ + slot * cell_stride_ : nullptr;
    return r;
  }

  const Shape& s;
  const Weights& w;
  const Inputs& in;
  const Tape& tape_;
  const TapeRows tape_row_;
  const bool packed_;
  const ForwardPanels<Real> panels_;
  const Division division_;
  const Index read_stride_, z_stride_, cell_stride_;
  Real* read_[2];  // [B, P + G] what the recurrent product reads: of this step, of the next
  Real* h_;        // [B, P] h where it is not that
  Real *c_, *m_, *h_hat_, *zeros_;
  Index *sorted_, *slots_;
  unsigned char* scratch_;
  std::size_t scratch_bytes_;
};

}  // namespace peephole::PEEPHOLE_ISA
