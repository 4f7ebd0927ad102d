// One step of one row of the batch, forward, where units need one another: memory blocks of several cells, layer
// normalisation; and the simple recurrent cell. The mathematics is that of lstm_forward.hpp, with E, which repeats a
// block's value over its C cells, Eᵀ, which sums a block's cells, and n, the normalisation.
#pragma once

#include "arena.hpp"
#include "layer_norm.hpp"
#include "lstm_forward.hpp"
#include "steps.hpp"

namespace peephole::PEEPHOLE_ISA {

// Scratch of one row: the gates as the cells see them, and a.
template <class Real>
struct RowScratch {
  Real *i, *f, *o;  // [H] E i, E f, E o
  Real* a;          // [H]
  Real* c_hat;      // [H]
  Real* normed;     // [U]
  Real* rstd;       // [V]

  RowScratch(const Shape& s, Arena<Real>& arena) noexcept {
    for (Real** array : {&i, &f, &o, &a, &c_hat}) *array = arena.take(padded<Real>(s.H));
    normed = arena.take(s.layer_norm ? s.U : 0);
    rstd = arena.take(s.layer_norm ? s.V : 0);
  }
};

// z_n += Σ_j p_j seen_j over the cells j of block n
template <class Real>
void add_seen_cells(Real* z, const Real* p, const Real* seen, Index N, Index C) noexcept {
  if (C == 1) {
    for_registers<Real>(N, [&](Index j, Index n) {
      store_up_to(z + j, load_up_to(z + j, n) + load_up_to(p + j, n) * load_up_to(seen + j, n), n);
    });
    return;
  }
  for (Index n = 0; n < N; ++n) {
    Real sum = 0;
    for (Index j = n * C; j < (n + 1) * C; ++j) sum += p[j] * seen[j];
    z[n] += sum;
  }
}

template <class Real>
void spread(const Real* blocks, Real* cells, Index N, Index C) noexcept {
  for (Index n = 0; n < N; ++n) {
    for (Index q = 0; q < C; ++q) cells[n * C + q] = blocks[n];
  }
}

template <class Real>
class ForwardRowPass {
 public:
  ForwardRowPass(const Shape& shape, const Real* p, const Real* gain, const Real* shift,
                 const RowScratch<Real>& scratch) noexcept
      : s(shape), p_(p), gain_(gain), shift_(shift), t_(scratch) {}

  // z [K] of the row becomes the activations.
  void lstm(const ForwardRow<Real>& r, Real* z) const noexcept {
    using V = Vector<Real>;
    const Real* i = open(r, z, s.i, r.c, t_.i);
    const Real* f = s.coupled ? closed(i) : open(r, z, s.f, r.c, t_.f);
    Real* g = z + s.g.row;
    normalise_part(r, s.g.row, s.g.rank, s.H, g);
    activate(s.phi_in, g, g, s.H);
    for_registers<Real>(s.H, [&](Index j, Index n) {
      V fresh = load_up_to(g + j, n);
      if (r.drop_g != nullptr) fresh *= load_up_to(r.drop_g + j, n);
      const V c_hat = load_up_to(f + j, n) * load(r.c + j) + load_up_to(i + j, n) * fresh;
      store(t_.c_hat + j, c_hat);
      store(t_.a + j, c_hat);
    });
    const Real* o = open(r, z, s.o, t_.c_hat, t_.o);
    normalise_part(r, s.cell_norm_row(), s.cell_norm_rank(), s.H, t_.a);
    activate(s.phi_out, t_.a, t_.a, s.H);
    leave(r, o);
    if (r.gates != nullptr) copy_or_zero<Real>(r.gates, z, s.K);
    if (!s.full_gate_recurrence) return;
    for_gate_columns(s, [&](Index column, Index r_column, Index width) {
      copy_or_zero<Real>(r.read + s.P + r_column, z + column, width);
    });
  }

  // h = φ(z)
  void rnn(const ForwardRow<Real>& r, Real* z) const noexcept {
    normalise_part(r, 0, 0, s.H, z);
    activate(s.phi_in, z, z, s.H);
    if (r.gates != nullptr) copy_or_zero<Real>(r.gates, z, s.K);
    for_registers<Real>(s.H, [&](Index j, Index n) { leave_h(s, r, j, n, load(z + j)); });
  }

 private:
  void normalise_part(const ForwardRow<Real>& r, Index row, Index rank, Index count, Real* z) const noexcept {
    if (!s.layer_norm) return;
    Real* normed = r.normed != nullptr ? r.normed : t_.normed;
    Real* rstd = r.rstd != nullptr ? r.rstd : t_.rstd;
    normalise(z, count, gain_ + row, shift_ + row, normed + row, rstd + rank);
  }

  // E q, from z_q in place; 1 without the gate.
  const Real* open(const ForwardRow<Real>& r, Real* row, const Part& part, const Real* seen,
                   Real* cells) const noexcept {
    if (!part.there) {
      for (Index j = 0; j < s.H; ++j) cells[j] = Real(1);
      return cells;
    }
    Real* z = row + part.row;
    if (s.peepholes) add_seen_cells(z, p_ + part.gate * s.H, seen, s.N, s.C);
    normalise_part(r, part.row, part.rank, s.N, z);
    activate(PEEPHOLE_LOGISTIC, z, z, s.N);
    if (s.C == 1) return z;
    spread(z, cells, s.N, s.C);
    return cells;
  }

  // 1 − E i
  const Real* closed(const Real* i) const noexcept {
    for_registers<Real>(s.H, [&](Index j, Index n) { store(t_.f + j, broadcast(Real(1)) - load_up_to(i + j, n)); });
    return t_.f;
  }

  // m, c and h from ĉ, a and o.
  void leave(const ForwardRow<Real>& r, const Real* o) const noexcept {
    using V = Vector<Real>;
    const bool zones_out = s.zeta_c > 0 || r.zoneout_c != nullptr;
    for_registers<Real>(s.H, [&](Index j, Index n) {
      const V c_hat = load(t_.c_hat + j), a = load(t_.a + j);
      const V c = zones_out ? zoned_out<Real>(zeta_of(r.zoneout_c, s.zeta_c, j, n), load(r.c + j), c_hat) : c_hat;
      store(r.c + j, c);
      if (r.c_all != nullptr) store_up_to(r.c_all + j, c, n);
      if (r.c_hat != nullptr) store_up_to(r.c_hat + j, c_hat, n);
      if (r.a != nullptr) store_up_to(r.a + j, a, n);
      const V m = load_up_to(o + j, n) * a;
      if (r.m != nullptr) {
        store(r.m + j, m);
      } else {
        leave_h(s, r, j, n, m);
      }
    });
  }

  const Shape& s;
  const Real *p_, *gain_, *shift_;
  const RowScratch<Real>& t_;
};

}  // namespace peephole::PEEPHOLE_ISA
