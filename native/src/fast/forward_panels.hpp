// The weights of a cell as the forward pass reads them.
//
// Where a unit's step needs nothing of the other units (blocks of one cell, no layer normalisation) a panel holds all
// parts of one register's units, so that the gates of a unit meet: columns [block of units][part i f g o][lane]. Else,
// and in a simple recurrent cell, columns are the stacked rows as they are. Gates that see the gates of the step before
// see them as more columns of R: the state that is read is [h, r].
#pragma once

#include "panels.hpp"
#include "peephole.hpp"
#include "steps.hpp"
#include "team.hpp"

namespace peephole::PEEPHOLE_ISA {

// Whether the gates of a unit meet in one tile.
inline bool gates_meet(const Shape& s) noexcept { return !s.rnn && !s.layer_norm && s.C == 1; }

// Width of the state that the recurrent product reads.
inline Index read_width(const Shape& s) noexcept { return s.full_gate_recurrence ? s.P + s.G : s.P; }

// A row of S for row k of the stack, or null: g sees no gates.
template <class Real>
const Real* gate_weights(const Shape& s, const Real* S, Index k) noexcept {
  if (k < s.g.row) return S + k * s.G;
  return s.o.there && k >= s.o.row ? S + (s.g.row + k - s.o.row) * s.G : nullptr;
}

template <class Real>
class ForwardPanels {
  using Weights = typename Buffers<Real>::Weights;

 public:
  Panels<Real> W, R, W_p;
  Real* b = nullptr;  // [W.columns()]

  ForwardPanels(const Shape& shape, Arena<Real>& arena) noexcept : s(shape), meet_(gates_meet(shape)) {
    const Part parts[] = {s.i, s.f, s.g, s.o};
    Index count = 0;
    for (const Part& part : parts) {
      if (part.there) part_rows_[count++] = part.row;
    }
    const Index columns = meet_ ? count * padded<Real>(s.H) : s.K;
    const Index width = meet_ ? count : tile_vectors;
    W = take_panels(arena, s.I, columns, width);
    R = take_panels(arena, read_width(s), columns, width);
    b = arena.take(W.columns());
    if (s.projection) W_p = take_panels(arena, s.H, s.P);
  }

  // This thread's share of the work.
  void pack(const Team& team, const Weights& w) const noexcept {
    const Range mine = team.share(W.count());
    for (Index panel = mine.begin; panel < mine.end; ++panel) {
      const auto row_in = [&](Index j) { return row(panel, j); };
      const auto weights_in = [&](const Real* matrix, Index width) {
        return [=](Index j) { return row_in(j) < 0 ? nullptr : matrix + row_in(j) * width; };
      };
      pack_units(W, panel, 0, s.I, weights_in(w.W, s.I));
      pack_units(R, panel, 0, s.P, weights_in(w.R, s.P));
      if (s.full_gate_recurrence) {
        pack_units(R, panel, s.P, s.G,
                   [&](Index j) { return row_in(j) < 0 ? nullptr : gate_weights(s, w.S, row_in(j)); });
      }
      for (Index j = 0; j < W.vectors_of(panel) * lanes<Real>; ++j) {
        b[W.column(panel) + j] = w.b != nullptr && row_in(j) >= 0 ? w.b[row_in(j)] : Real(0);
      }
    }
    const Range projected = team.share(W_p.count());
    pack_matrix(W_p, projected.begin, projected.end, w.W_p, s.P);
  }

 private:
  // The row of the stack that is column j of a panel; −1 for padding.
  Index row(Index panel, Index j) const noexcept {
    if (!meet_) {
      const Index k = W.column(panel) + j;
      return k < s.K ? k : -1;
    }
    const Index unit = panel * lanes<Real> + j % lanes<Real>;
    return unit < s.H ? part_rows_[j / lanes<Real>] + unit : -1;
  }

  const Shape& s;
  bool meet_;
  Index part_rows_[4] = {};
};

// The panels in memory that prepare_forward filled, or is to fill.
template <class Real>
ForwardPanels<Real> prepared_panels(const Shape& shape, const void* prepared) noexcept {
  Arena<Real> arena(const_cast<void*>(prepared));
  return ForwardPanels<Real>(shape, arena);
}

template <class Real>
std::size_t prepared_bytes(const Shape& shape) noexcept {
  Arena<Real> arena;
  const ForwardPanels<Real> counted(shape, arena);
  return arena.needed();
}

template <class Real>
void prepare_forward(const Shape& shape, const typename Buffers<Real>::Weights& weights, void* memory) noexcept {
  prepared_panels<Real>(shape, memory).pack(Team{0, 1, nullptr}, weights);
}

}  // namespace peephole::PEEPHOLE_ISA
