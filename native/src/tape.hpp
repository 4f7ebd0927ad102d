// Where a pass finds on the tape what it left there.
#pragma once

#include "arena.hpp"
#include "steps.hpp"

namespace peephole::PEEPHOLE_ISA {

// Where a step and row of the batch, t·B + b, stands on the tape: there, or on a compact tape at its place among the
// valid ones.
class TapeRows {
 public:
  // Takes room for the places, which fill() needs.
  template <class Real>
  TapeRows(const Shape& s, const std::int64_t* lengths, Arena<Real>& arena) noexcept
      : places_(arena.template take<Index>(s.compact ? s.rows() : 0)), compact_(s.compact && lengths != nullptr) {}

  void fill(const Shape& s, const std::int64_t* lengths) const noexcept {
    Index place = 0;
    for (Index row = 0; compact_ && row < s.rows(); ++row) {
      places_[row] = place;
      place += is_valid(lengths, row / s.B, row % s.B) ? 1 : 0;
    }
  }

  Index operator()(Index row) const noexcept { return compact_ ? places_[row] : row; }

 private:
  Index* places_;
  bool compact_;
};

// What one row of the batch had at the step before: off the tape, or what the pass began with.
template <class Real>
class Before {
  using Inputs = typename Buffers<Real>::Inputs;
  using Tape = typename Buffers<Real>::Tape;

 public:
  // zeros: as many as h or c has numbers, for a pass that began with none.
  Before(const Shape& shape, const Inputs& inputs, const Tape& tape, const TapeRows& tape_row,
         const Real* zeros) noexcept
      : s(shape), in(inputs), tape_(tape), tape_row_(tape_row), zeros_(zeros) {}

  const Real* h(Index t, Index b) const noexcept {
    const Index row = row_before(t, b);
    return row >= 0 ? tape_.y + row * s.P : initial(in.h0, b, s.P);
  }
  const Real* c(Index t, Index b) const noexcept {
    const Index row = row_before(t, b);
    return row >= 0 ? tape_.c + tape_row_(row) * s.H : initial(in.c0, b, s.H);
  }
  // All gates, or null where the pass began: with r0, if there is one.
  const Real* gates(Index t, Index b) const noexcept {
    const Index row = row_before(t, b);
    return row >= 0 ? tape_.gates + tape_row_(row) * s.K : nullptr;
  }

 private:
  Index row_before(Index t, Index b) const noexcept {
    const Index t_before = step_before(s, in.lengths, t, b);
    return t_before >= 0 ? t_before * s.B + b : -1;
  }
  const Real* initial(const Real* state, Index b, Index width) const noexcept {
    return state != nullptr ? state + b * width : zeros_;
  }

  const Shape& s;
  const Inputs& in;
  const Tape& tape_;
  const TapeRows& tape_row_;
  const Real* zeros_;
};

}  // namespace peephole::PEEPHOLE_ISA
