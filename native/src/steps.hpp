// Which (step, row) pairs are valid in a ragged batch, and where gates stand in a row: what both loops share.
#pragma once

#include "isa.hpp"
#include "peephole.hpp"
#include "shape.hpp"

namespace peephole::PEEPHOLE_ISA {

inline bool is_valid(const std::int64_t* lengths, Index t, Index b) noexcept {
  return lengths == nullptr || t < lengths[b];
}

// Calls visit(first, count) on every longest run of valid rows among the rows t·B + b of steps [begin, end).
template <class Visit>
void for_valid_runs(const Shape& s, const std::int64_t* lengths, Index begin, Index end, Visit visit) noexcept {
  if (lengths == nullptr) {
    if (begin < end && s.B > 0) visit(begin * s.B, (end - begin) * s.B);
    return;
  }
  Index first = begin * s.B;
  for (Index t = begin; t < end; ++t) {
    for (Index b = 0; b < s.B; ++b) {
      const Index row = t * s.B + b;
      if (is_valid(lengths, t, b)) continue;
      if (first < row) visit(first, row - first);
      first = row + 1;
    }
  }
  if (first < end * s.B) visit(first, end * s.B - first);
}

// The step before t in the order of time, or −1 where t is a row's first.
inline Index step_before(const Shape& s, const std::int64_t* lengths, Index t, Index b) noexcept {
  if (!s.reverse) return t - 1;
  return t + 1 < s.T && is_valid(lengths, t + 1, b) ? t + 1 : -1;
}

// Gates stand before and behind g in a row: r = (row without g). Calls visit(column in row, column in r, count) on
// both.
template <class Visit>
void for_gate_columns(const Shape& s, Visit visit) noexcept {
  if (s.g.row > 0) visit(Index(0), Index(0), s.g.row);
  if (s.o.there) visit(s.o.row, s.g.row, s.N);
}

// A row of an array that may be absent.
template <class Real>
Real* row_or_null(Real* data, Index row, Index width) noexcept {
  return data == nullptr ? nullptr : data + row * width;
}

template <class Real>
void copy_or_zero(Real* target, const Real* source, Index count) noexcept {
  if (target == source) return;
  for (Index j = 0; j < count; ++j) target[j] = source != nullptr ? source[j] : Real(0);
}

template <class Real>
void clear_if(Real* target, Index count) noexcept {
  if (target != nullptr) copy_or_zero<Real>(target, nullptr, count);
}

// The gradients of the initial state and of the parameters that work unit by unit, of which there are few.
template <class Real>
void clear_small_gradients(const Shape& s, const typename Buffers<Real>::Gradients& d) noexcept {
  clear_if(d.dh0, s.B * s.P);
  clear_if(d.dc0, s.B * s.H);
  clear_if(d.dr0, s.B * s.G);
  clear_if(d.db, s.K);
  clear_if(d.dp, s.N > 0 ? s.G / s.N * s.H : 0);
  clear_if(d.dS, s.G * s.G);
  clear_if(d.dgain, s.U);
  clear_if(d.dshift, s.U);
}

template <class Real>
void add_if(Real* target, const Real* source, Index count) noexcept {
  if (target == nullptr || source == nullptr) return;
  for (Index j = 0; j < count; ++j) target[j] += source[j];
}

}  // namespace peephole::PEEPHOLE_ISA
