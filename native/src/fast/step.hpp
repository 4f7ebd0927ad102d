// One step of one row, for a cell whose weights are laid out: what a stream of steps does.
//
// The mathematics, the panels and the order of every sum are those of forward.hpp, and so are the bits. What is left
// out is what many steps and rows ask for: slots, tables of rows, copies of the state. A single row waits for the
// latency of its sums, so two panels are passed at a time. Steps go through the weights forward and backward in turn:
// where all do not fit into the cache, what the step before read last is still there.
#pragma once

#include "forward_panels.hpp"
#include "forward_row.hpp"
#include "kernels.hpp"
#include "tile.hpp"

namespace peephole::PEEPHOLE_ISA {

// What a row sees, and the weights of the columns at hand: Σ_k row[k] panel[k, ·], and `apart` further the next
// panel's.
template <class Real>
struct Seen {
  const Real* row;
  Index depth;
  const Real* panel;
  Index apart;
};

constexpr int most_seen = 3;  // x, h⁻ and r⁻

template <class Real, int panels, int vectors>
inline void add_seen_row(Vector<Real> (&z)[panels * vectors], const Seen<Real>& seen) noexcept {
  constexpr Index width = lanes<Real>;
  const Real *panel = seen.panel, *row = seen.row;
  const Index depth = seen.depth, apart = seen.apart;
#pragma GCC unroll 4
  for (Index k = 0; k < depth; ++k) {
    const Vector<Real> x = broadcast(row[k]);
#pragma GCC unroll 2
    for (int p = 0; p < panels; ++p) {
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) z[p * vectors + v] += x * load(panel + p * apart + v * width);
    }
    panel += vectors * width;
  }
}

// z = b + what is seen, for the columns of one panel or of two.
template <class Real, int panels, int vectors>
void run_row_tile(const Real* b, const Seen<Real> (&seen)[most_seen], Real* z) noexcept {
  constexpr int all = panels * vectors;
  Vector<Real> sums[all];
#pragma GCC unroll 8
  for (int v = 0; v < all; ++v) sums[v] = load(b + v * lanes<Real>);
#pragma GCC unroll 4
  for (const Seen<Real>& one : seen) add_seen_row<Real, panels, vectors>(sums, one);
#pragma GCC unroll 8
  for (int v = 0; v < all; ++v) store(z + v * lanes<Real>, sums[v]);
}

template <class Real>
using RowTile = void (*)(const Real*, const Seen<Real> (&)[most_seen], Real*) noexcept;

template <class Real>
inline RowTile<Real> row_tile_of(bool two, Index vectors) noexcept {
  static constexpr RowTile<Real> tiles[] = {
      run_row_tile<Real, 1, 1>, run_row_tile<Real, 1, 2>, run_row_tile<Real, 1, 3>, run_row_tile<Real, 1, 4>,
      run_row_tile<Real, 2, 1>, run_row_tile<Real, 2, 2>, run_row_tile<Real, 2, 3>, run_row_tile<Real, 2, 4>};
  return tiles[(two ? tile_vectors : 0) + vectors - 1];
}

template <class Real>
class CellStep {
 public:
  // Takes the panels and its scratch from the arena; prepare() and run() need one that has memory.
  CellStep(const Layer<Real>& layer, Arena<Real>& arena) noexcept
      : s(layer.shape), w(layer.weights), h_(layer.h), c_(layer.c), r_(layer.r), panels_(s, arena), scratch_(s, arena) {
    z_ = arena.take(panels_.W.columns());
    read_ = arena.take(padded<Real>(read_width(s)));
    // The step reads and writes whole registers of c.
    if (!s.rnn && s.H % lanes<Real> != 0) padded_c_ = arena.take(padded<Real>(s.H));
    if (s.projection) {
      m_ = arena.take(padded<Real>(s.H));
      h_hat_ = arena.take(panels_.W_p.columns());
      zeros_ = arena.take(panels_.W_p.columns());
    }
    row_.h_before = s.zeta_h > 0 ? h_ : nullptr;
    row_.c = padded_c_ != nullptr ? padded_c_ : c_;
    row_.read = read_;
    row_.m = m_;
  }

  void prepare() noexcept {
    panels_.pack(Team{0, 1, nullptr}, w);
    if (s.projection) copy_or_zero<Real>(zeros_, nullptr, panels_.W_p.columns());
    if (padded_c_ != nullptr) copy_or_zero<Real>(padded_c_, nullptr, padded<Real>(s.H));
  }

  void run(const Real* x) noexcept {
    const FlushSubnormals flush;
    turned_ = !turned_;
    if (padded_c_ != nullptr) copy_or_zero<Real>(padded_c_, c_, s.H);
    const Source seen[most_seen] = {
        {x, s.I, &panels_.W, 0}, {h_, s.P, &panels_.R, 0}, {r_, read_width(s) - s.P, &panels_.R, s.P}};
    if (gates_meet(s)) {
      multiply(panels_.b, seen, z_, turned_, [&](Index panel) {
        const Index j = panel * lanes<Real>, rest = s.H - j;
        lstm_forward(s, w.p, row_, z_ + panels_.W.column(panel), j, rest < lanes<Real> ? rest : lanes<Real>);
      });
    } else {
      multiply(panels_.b, seen, z_, turned_, [](Index) {});
      const ForwardRowPass<Real> pass(s, w.p, w.gain, w.shift, scratch_);
      if (s.rnn) {
        pass.rnn(row_, z_);
      } else {
        pass.lstm(row_, z_);
      }
    }
    if (s.projection) project();
    leave_state();
  }

 private:
  // What a row sees, with all its weights: `depth` rows of the panels from `first` on.
  struct Source {
    const Real* row;
    Index depth;
    const Panels<Real>* W;
    Index first;
  };

  // z = b + what is seen, two panels at a time or one, from the last to the first where `turned`.
  template <class Done>
  static void multiply(const Real* b, const Source (&sources)[most_seen], Real* z, bool turned, Done done) noexcept {
    const Panels<Real>& W = *sources[0].W;
    const Index count = W.count(), pairs = (count + 1) / 2;
    const auto pass = [&](Index panel, bool two) {
      const Index vectors = W.vectors_of(panel), width = vectors * lanes<Real>, column = W.column(panel);
      Seen<Real> seen[most_seen];
      for (int k = 0; k < most_seen; ++k) {
        const Source& one = sources[k];
        seen[k] = {one.row, one.depth, one.W->at(panel) + one.first * width, one.W->depth * width};
      }
      row_tile_of<Real>(two, vectors)(b + column, seen, z + column);
      done(panel);
      if (two) done(panel + 1);
    };
    for (Index k = 0; k < pairs; ++k) {
      const Index panel = 2 * (turned ? pairs - 1 - k : k);
      const bool more = panel + 1 < count, two = more && W.vectors_of(panel + 1) == W.vectors_of(panel);
      pass(panel, two);
      if (more && !two) pass(panel + 1, false);
    }
  }

  // ĥ = W_p m, and h from it
  void project() const noexcept {
    const Panels<Real>* W_p = &panels_.W_p;
    multiply(zeros_, {{m_, s.H, W_p, 0}, {m_, 0, W_p, 0}, {m_, 0, W_p, 0}}, h_hat_, turned_, [](Index) {});
    for_registers<Real>(s.P, [&](Index j, Index n) { leave_h(s, row_, j, n, load(h_hat_ + j)); });
  }

  void leave_state() const noexcept {
    std::memcpy(h_, read_, static_cast<std::size_t>(s.P) * sizeof(Real));
    if (s.full_gate_recurrence) std::memcpy(r_, read_ + s.P, static_cast<std::size_t>(s.G) * sizeof(Real));
    if (padded_c_ != nullptr) copy_or_zero<Real>(c_, padded_c_, s.H);
  }

  const Shape s;
  const typename Buffers<Real>::Weights w;
  Real *const h_, *const c_, *const r_;
  const ForwardPanels<Real> panels_;
  const RowScratch<Real> scratch_;
  ForwardRow<Real> row_{};
  Real *z_, *read_, *padded_c_ = nullptr, *m_ = nullptr, *h_hat_ = nullptr, *zeros_ = nullptr;
  bool turned_ = false;
};

}  // namespace peephole::PEEPHOLE_ISA
