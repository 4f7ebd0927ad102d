// The one loop of backpropagation through time, for every cell, by a team of threads: forward.hpp, mirrored.
//
//   dĥ  = (1 − ζ_h) ⊙ dh      dh⁻ = ζ_h ⊙ dh          dm = W_pᵀ dĥ
//   dz, dc⁻ = the step of the cell, backward          lstm_backward.hpp, backward_row.hpp
//   dh⁻ += d_h ⊙ Rᵀ dz        dr⁻ = Sᵀ dz             0 with the truncated error of 1997
//   dx = Wᵀ dz, and the gradients of the weights     gradients.hpp
//
// The products that no step waits for are made over as many steps at a time as the cache holds.
#pragma once

#include "gradients.hpp"

namespace peephole::PEEPHOLE_ISA {

template <class Real>
class Backward {
  using Weights = typename Buffers<Real>::Weights;
  using Inputs = typename Buffers<Real>::Inputs;
  using Tape = typename Buffers<Real>::Tape;
  using Errors = typename Buffers<Real>::Errors;
  using Gradients = typename Buffers<Real>::Gradients;

  // What a thread has for itself, or, where units are divided, what all have of the first.
  struct Scratch {
    Index* count;    // rows in hand, on a cache line of its own
    Index* row_ids;  // [rows in hand] t·B + b
    Real* dz;        // [rows in hand, dz_stride]
    Real* dh_hat;    // [rows in hand, padded P]
    Real* dx;        // [rows in hand, columns of W]
    LaidOut<Real> laid_out;
    UnitGradients<Real> units;
    Real* db;  // [K]
    BackwardScratch<Real> row;

    Scratch(const Shape& s, const Division& division, Arena<Real>& arena) noexcept
        : count(arena.template take<Index>(1)),
          row_ids(arena.template take<Index>(division.most_rows())),
          dz(arena.take(division.most_rows() * row_stride<Real>(s.K))),
          dh_hat(arena.take(s.projection ? division.most_rows() * padded<Real>(s.P) : 0)),
          dx(arena.take(division.most_rows() * padded<Real>(s.I))),
          laid_out(s, division.most_rows(), arena),
          units{arena.take(gates(s) * padded<Real>(s.H)), arena.take(s.U), arena.take(s.U), padded<Real>(s.H)},
          db(arena.take(s.K)),
          row(s, arena) {}
  };

 public:
  // Takes its scratch for so many threads from the arena; run() needs one that has memory.
  Backward(const Shape& shape, const Weights& weights, const Inputs& inputs, const Tape& tape, const Errors& errors,
           const Gradients& gradients, Index threads, Arena<Real>& arena) noexcept
      : s(shape),
        w(weights),
        in(inputs),
        tape_(tape),
        above_(errors),
        d(gradients),
        tape_row_(shape, inputs.lengths, arena),
        division_(divide(shape, threads, sizeof(Real), padded<Real>(shape.K), fewest_rows_back(shape))),
        cell_stride_(padded<Real>(shape.H)),
        dz_stride_(row_stride<Real>(shape.K)) {
    W_ = take_panels(arena, s.K, s.I);
    R_ = take_panels(arena, s.K, read_width(s));
    if (s.projection) W_p_ = take_panels(arena, s.P, s.H);
    back_ = arena.take(s.B * R_.columns());
    kept_ = arena.take(s.B * s.P);
    dc_ = arena.take(s.rnn ? 0 : s.B * cell_stride_);
    dm_ = arena.take(s.projection ? s.B * W_p_.columns() : 0);
    zeros_ = arena.take(widest());
    dRS_ = arena.take(s.full_gate_recurrence ? s.K * read_width(s) : 0);
    sorted_ = arena.template take<Index>(s.B);
    slots_ = arena.template take<Index>(s.B);
    Arena<Real> one;
    const Scratch counted(s, division_, one);
    scratch_bytes_ = one.needed();
    scratch_ = arena.template take<unsigned char>(static_cast<Index>(scratch_bytes_) * threads);
  }

  // Before the team starts.
  void begin() noexcept {
    sort_rows(in.lengths, s.B, sorted_);
    tape_row_.fill(s, in.lengths);
    copy_or_zero<Real>(zeros_, nullptr, widest());
    clear_small_gradients<Real>(s, d);
    if (s.full_gate_recurrence || s.rows() == 0) clear_if(d.dR, s.K * s.P);
    if (s.rows() > 0) return;
    clear_if(d.dW, s.K * s.I);
    clear_if(d.dW_p, s.P * s.H);
    if (s.full_gate_recurrence) clear_if(dRS_, s.K * read_width(s));
  }

  // Called by every thread of the team.
  void run(const Team& team) noexcept {
    const FlushSubnormals flush;
    pack(team);
    const Range rows = division_.own_rows(team, s.B);
    if (!division_.by_units || team.rank == 0) {
      deal_rows(team, division_, in.lengths != nullptr, sorted_, rows, slots_);
      load_errors(rows);
      clear_input_beyond_lengths(rows);
    }
    const Scratch own = scratch_of(team.rank);
    copy_or_zero<Real>(own.units.dp, nullptr, gates(s) * own.units.dp_stride);
    copy_or_zero<Real>(own.units.dgain, nullptr, s.U);
    copy_or_zero<Real>(own.units.dshift, nullptr, s.U);
    copy_or_zero<Real>(own.db, nullptr, s.K);
    team.wait();
    run_steps(team, rows, own);
    if (!division_.by_units || team.rank == 0) leave_errors(rows);
    leave_gradients(team);
  }

 private:
  static Index gates(const Shape& shape) noexcept { return shape.N > 0 ? shape.G / shape.N : 0; }
  // Columns of the widest row that begins with zeros.
  Index widest() const noexcept {
    Index columns = R_.columns() > W_.columns() ? R_.columns() : W_.columns();
    if (W_p_.columns() > columns) columns = W_p_.columns();
    return columns > s.H + s.G ? columns : s.H + s.G;
  }
  bool zones_out_c() const noexcept { return s.zeta_c > 0 || in.zoneout_c != nullptr; }
  bool zones_out_h() const noexcept { return s.zeta_h > 0 || in.zoneout_h != nullptr; }
  bool wants_recurrent() const noexcept { return d.dR != nullptr || d.dS != nullptr; }

  Scratch scratch_of(Index rank) const noexcept {
    Arena<Real> memory(scratch_ + static_cast<std::size_t>(rank) * scratch_bytes_);
    return Scratch(s, division_, memory);
  }

  void pack(const Team& team) const noexcept {
    const Range rows = team.share(s.K);
    for (Index k = rows.begin; k < rows.end; ++k) {
      if (d.dx != nullptr) {
        pack_row<Real>(W_, k, 0, w.W + k * s.I, nullptr, s.I);
        pad_row(W_, k, s.I);
      }
      if (s.truncated) continue;
      pack_row<Real>(R_, k, 0, w.R + k * s.P, nullptr, s.P);
      if (s.full_gate_recurrence) pack_row<Real>(R_, k, s.P, gate_weights(s, w.S, k), nullptr, s.G);
      pad_row(R_, k, read_width(s));
    }
    const Range projected = team.share(s.projection ? s.P : 0);
    for (Index k = projected.begin; k < projected.end; ++k) {
      pack_row<Real>(W_p_, k, 0, w.W_p + k * s.H, nullptr, s.H);
      pad_row(W_p_, k, s.H);
    }
  }

  // The errors on the final state, in slots.
  void load_errors(Range rows) const noexcept {
    for (Index slot = rows.begin; slot < rows.end; ++slot) {
      const Index b = slots_[slot];
      Real* back = back_ + slot * R_.columns();
      copy_or_zero<Real>(back, nullptr, R_.columns());
      copy_or_zero(back, row_or_null(above_.dh_n, b, s.P), s.P);
      if (s.full_gate_recurrence) copy_or_zero(back + s.P, row_or_null(above_.dr_n, b, s.G), s.G);
      copy_or_zero<Real>(kept_ + slot * s.P, nullptr, s.P);
      if (s.rnn) continue;
      copy_or_zero<Real>(dc_ + slot * cell_stride_, nullptr, cell_stride_);
      copy_or_zero(dc_ + slot * cell_stride_, row_or_null(above_.dc_n, b, s.H), s.H);
    }
  }

  void clear_input_beyond_lengths(Range rows) const noexcept {
    if (in.lengths == nullptr || d.dx == nullptr) return;
    for (Index slot = rows.begin; slot < rows.end; ++slot) {
      const Index b = slots_[slot];
      for (Index t = in.lengths[b]; t < s.T; ++t) copy_or_zero<Real>(d.dx + (t * s.B + b) * s.I, nullptr, s.I);
    }
  }

  // What has come back to the initial state.
  void leave_errors(Range rows) const noexcept {
    for (Index slot = rows.begin; slot < rows.end; ++slot) {
      const Index b = slots_[slot];
      const Real* back = back_ + slot * R_.columns();
      add_if(row_or_null(d.dh0, b, s.P), back, s.P);
      if (zones_out_h()) add_if<Real>(row_or_null(d.dh0, b, s.P), kept_ + slot * s.P, s.P);
      if (!s.rnn) add_if<Real>(row_or_null(d.dc0, b, s.H), dc_ + slot * cell_stride_, s.H);
      if (s.full_gate_recurrence) add_if(row_or_null(d.dr0, b, s.G), back + s.P, s.G);
    }
  }

  void run_steps(const Team& team, Range rows, const Scratch& own) const noexcept {
    const Scratch t_ = division_.by_units ? scratch_of(0) : own;
    Active active(in.lengths, slots_, rows);
    for (Index end = s.T; end > 0;) {
      const Index begin = end > division_.steps ? end - division_.steps : 0;
      Index count = 0;
      for (Index step = end - 1; step >= begin; --step) {
        const Index t = s.reverse ? s.T - 1 - step : step, at_work = active.at(t);
        if (!division_.by_units || team.rank == 0) {
          for (Index m = 0; m < at_work; ++m) t_.row_ids[count + m] = t * s.B + slots_[rows.begin + m];
        }
        run_step(team, t, rows.begin, at_work, count, t_, own);
        count += at_work;
      }
      const Range mine = division_.by_units ? team.share(count) : Range{0, count};
      if (division_.by_units) team.wait();
      if (!division_.by_units || team.rank == 0) *t_.count = count;
      lay_out(mine, t_, own);
      leave_input(mine, t_);
      team.wait();
      for (Index rank = 0; rank < (division_.by_units ? 1 : team.size); ++rank) {
        add_products(team, scratch_of(rank), end == s.T && rank == 0);
      }
      team.wait();
      end = begin;
    }
  }

  // One step of `count` rows from a slot on, whose first is the m-th in hand.
  void run_step(const Team& team, Index t, Index slot, Index count, Index m, const Scratch& t_,
                const Scratch& own) const noexcept {
    if (s.projection) leave_projection(t, slot, count, m, t_);
    const Range panels = division_.own_panels(team, R_.count());
    const Index first = panels.count() > 0 ? R_.column(panels.begin) : s.H;
    const Index last = panels.end == R_.count() ? s.H : R_.column(panels.end);
    for (Index q = 0; q < count; ++q) {
      const BackwardRow<Real> row = row_at(t, slot + q, m + q, t_);
      if (gates_meet(s)) {
        for (Index j = first; j < last; j += lanes<Real>) {
          lstm_backward(s, w.p, own.units, row, j, last - j < lanes<Real> ? last - j : lanes<Real>);
        }
      } else {
        const BackwardRowPass<Real> pass(s, w.p, w.gain, own.units, own.row);
        if (s.rnn) {
          pass.rnn(row);
        } else {
          pass.lstm(row);
        }
      }
    }
    if (division_.by_units) team.wait();
    carry(panels, slot, count, t_.dz + m * dz_stride_, t % 2 == 1);
  }

  // dh⁻ = d_h ⊙ Rᵀ dz, dr⁻ = Sᵀ dz; with the truncated error neither.
  void carry(Range panels, Index slot, Index count, const Real* dz, bool turned) const noexcept {
    const Index columns = R_.columns();
    if (panels.count() == 0) return;
    const Index first = R_.column(panels.begin);
    const Index last = panels.end == R_.count() ? columns : R_.column(panels.end);
    Real* back = back_ + slot * columns;
    if (s.truncated) {
      for (Index q = 0; q < count; ++q) copy_or_zero<Real>(back + q * columns + first, nullptr, last - first);
      return;
    }
    make_product<Real>(
        R_, Walk{panels.begin, panels.end, turned}, count, [&](Index q) { return dz + q * dz_stride_; }, zeros_, back,
        columns);
    if (in.drop_h == nullptr) return;
    for (Index q = 0; q < count; ++q) {
      const Real* drop = in.drop_h + slots_[slot + q] * s.P;
      for (Index j = first; j < last && j < s.P; ++j) back[q * columns + j] *= drop[j];
    }
  }

  // dĥ, and dm = W_pᵀ dĥ
  void leave_projection(Index t, Index slot, Index count, Index m, const Scratch& t_) const noexcept {
    const Index stride = padded<Real>(s.P), columns = W_p_.columns();
    Real* dm = dm_ + slot * columns;
    for (Index q = 0; q < count; ++q) {
      const BackwardRow<Real> row = row_at(t, slot + q, m + q, t_);
      for_registers<Real>(s.P, [&](Index j, Index n) { store(row.dh_hat + j, enter_h(s, row, j, n)); });
    }
    make_product<Real>(
        W_p_, Walk{0, W_p_.count()}, count, [&](Index q) { return t_.dh_hat + (m + q) * stride; }, zeros_, dm, columns);
  }

  BackwardRow<Real> row_at(Index t, Index slot, Index m, const Scratch& t_) const noexcept {
    const Index b = slots_[slot], row = t * s.B + b, on_tape = tape_row_(row);
    BackwardRow<Real> r;
    r.gates = tape_.gates + on_tape * s.K;
    r.c_before = s.rnn ? nullptr : before().c(t, b);
    r.c_hat = row_or_null<const Real>(zones_out_c() ? tape_.c_hat : tape_.c, on_tape, s.H);
    r.a = row_or_null<const Real>(tape_.a, on_tape, s.H);
    r.normed = row_or_null<const Real>(tape_.normed, on_tape, s.U);
    r.rstd = row_or_null<const Real>(tape_.rstd, on_tape, s.V);
    r.zoneout_h = row_or_null(in.zoneout_h, row, s.P);
    r.zoneout_c = row_or_null(in.zoneout_c, row, s.H);
    r.drop_g = row_or_null(in.drop_g, b, s.H);
    r.dy = row_or_null(above_.dy, row, s.P);
    r.dgates = row_or_null(above_.dgates, row, s.K);
    r.dc_all = row_or_null(above_.dc, row, s.H);
    r.back = back_ + slot * R_.columns();
    r.kept = zones_out_h() ? kept_ + slot * s.P : nullptr;
    r.dc = s.rnn ? nullptr : dc_ + slot * cell_stride_;
    r.dh_hat = s.projection ? t_.dh_hat + m * padded<Real>(s.P) : nullptr;
    r.dm = s.projection ? dm_ + slot * W_p_.columns() : nullptr;
    r.dz = t_.dz + m * dz_stride_;
    return r;
  }

  Before<Real> before() const noexcept { return {s, in, tape_, tape_row_, zeros_}; }

  // Lays out the rows in hand for the gradients' products.
  void lay_out(Range mine, const Scratch& t_, const Scratch& own) const noexcept {
    const LaidOut<Real>& to = t_.laid_out;
    const Real* all_dz = t_.dz + mine.begin * dz_stride_;
    if (d.db != nullptr) add_rows(own.db, all_dz, mine.count(), dz_stride_, s.K);
    if (d.dW != nullptr || wants_recurrent()) to.dz.pack(mine.begin, mine.end, all_dz, dz_stride_);
    if (s.projection && d.dW_p != nullptr) {
      const Index stride = padded<Real>(s.P);
      to.dh_hat.pack(mine.begin, mine.end, t_.dh_hat + mine.begin * stride, stride);
    }
    for (Index m = mine.begin; m < mine.end; ++m) {
      const Index row = t_.row_ids[m], t = row / s.B, b = row % s.B;
      if (d.dW != nullptr) {
        pack_row<Real>(to.x, m, 0, in.x + row * s.I, nullptr, s.I);
        pad_row(to.x, m, s.I);
      }
      if (wants_recurrent()) lay_out_read(to.read, m, t, b);
      if (s.projection && d.dW_p != nullptr) {
        lay_out_output(s, to.m, m, tape_.gates + tape_row_(row) * s.K, tape_.a + tape_row_(row) * s.H);
      }
    }
  }

  // [d_h ⊙ h⁻, r⁻]
  void lay_out_read(const Panels<Real>& to, Index m, Index t, Index b) const noexcept {
    pack_row(to, m, 0, before().h(t, b), row_or_null(in.drop_h, b, s.P), s.P);
    if (s.full_gate_recurrence) {
      const Real* row = before().gates(t, b);
      for_gate_columns(s, [&](Index column, Index r_column, Index width) {
        const Real* r0 = in.r0 != nullptr ? in.r0 + b * s.G + r_column : nullptr;
        pack_row<Real>(to, m, s.P + r_column, row != nullptr ? row + column : r0, nullptr, width);
      });
    }
    pad_row(to, m, read_width(s));
  }

  // dx = Wᵀ dz
  void leave_input(Range mine, const Scratch& t_) const noexcept {
    if (d.dx == nullptr) return;
    const Index columns = W_.columns();
    Real* dx = t_.dx + mine.begin * columns;
    make_product<Real>(
        W_, Walk{0, W_.count()}, mine.count(), [&](Index q) { return t_.dz + (mine.begin + q) * dz_stride_; }, zeros_,
        dx, columns);
    for (Index m = mine.begin; m < mine.end; ++m) {
      copy_or_zero<Real>(d.dx + t_.row_ids[m] * s.I, t_.dx + m * columns, s.I);
    }
  }

  // This thread's share of the gradients of the weights over what one thread has laid out; first: they hold nothing
  // yet.
  void add_products(const Team& team, const Scratch& from, bool first) const noexcept {
    const LaidOut<Real>& laid_out = from.laid_out;
    const Index depth = *from.count;
    const Real* zeros = first ? zeros_ : nullptr;
    add_share(team, laid_out.dz, laid_out.x, depth, zeros, d.dW, s.I);
    if (s.full_gate_recurrence) {
      if (wants_recurrent()) add_share(team, laid_out.dz, laid_out.read, depth, zeros, dRS_, read_width(s));
    } else {
      add_share(team, laid_out.dz, laid_out.read, depth, zeros, d.dR, s.P);
    }
    if (s.projection) add_share(team, laid_out.dh_hat, laid_out.m, depth, zeros, d.dW_p, s.H);
  }

  // Gathers what the threads have for themselves.
  void leave_gradients(const Team& team) const noexcept {
    team.wait();
    gather(team, d.db, s.K, [&](Index rank) { return scratch_of(rank).db; });
    gather(team, d.dgain, s.layer_norm ? s.U : 0, [&](Index rank) { return scratch_of(rank).units.dgain; });
    gather(team, d.dshift, s.layer_norm ? s.U : 0, [&](Index rank) { return scratch_of(rank).units.dshift; });
    for (Index gate = 0; s.peepholes && gate < gates(s); ++gate) {
      gather(team, row_or_null(d.dp, gate, s.H), s.H,
             [&](Index rank) { return scratch_of(rank).units.dp + gate * cell_stride_; });
    }
    if (s.full_gate_recurrence && team.rank == 0) leave_recurrent();
  }

  // dR and dS out of the gradient of [R, S]
  void leave_recurrent() const noexcept {
    for (Index k = 0; k < s.K; ++k) {
      const Real* row = dRS_ + k * read_width(s);
      add_if(row_or_null(d.dR, k, s.P), row, s.P);
      const Real* S_row = gate_weights(s, w.S, k);
      if (d.dS != nullptr && S_row != nullptr) add_if(d.dS + (S_row - w.S), row + s.P, s.G);
    }
  }

  const Shape& s;
  const Weights& w;
  const Inputs& in;
  const Tape& tape_;
  const Errors& above_;
  const Gradients& d;
  const TapeRows tape_row_;
  const Division division_;
  const Index cell_stride_, dz_stride_;
  Panels<Real> W_, R_, W_p_;
  Real *back_, *kept_, *dc_, *dm_, *zeros_, *dRS_;
  Index *sorted_, *slots_;
  unsigned char* scratch_;
  std::size_t scratch_bytes_;
};

}  // namespace peephole::PEEPHOLE_ISA
