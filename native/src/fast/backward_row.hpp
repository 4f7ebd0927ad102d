// One step of one row of the batch on the way back, where units need one another, and of the simple recurrent cell:
// forward_row.hpp, mirrored. The mathematics is that of lstm_backward.hpp.
#pragma once

#include "forward_row.hpp"
#include "lstm_backward.hpp"

namespace peephole::PEEPHOLE_ISA {

// Scratch of one row on the way back.
template <class Real>
struct BackwardScratch {
  Real *i, *f, *o;  // [H] E i, E f, E o
  Real* dm;         // [H]
  Real* dc_hat;     // [H]
  Real* product;    // [H] of cells that a block sums
  Real* onward;     // [H] the error that peepholes carry to c⁻

  BackwardScratch(const Shape& s, Arena<Real>& arena) noexcept {
    for (Real** array : {&i, &f, &o, &dm, &dc_hat, &product, &onward}) *array = arena.take(padded<Real>(s.H));
  }
};

// z_n += Σ_j u_j over the cells j of block n
template <class Real>
void add_cells(Real* z, const Real* u, Index N, Index C) noexcept {
  for (Index n = 0; n < N; ++n) {
    Real sum = 0;
    for (Index j = n * C; j < (n + 1) * C; ++j) sum += u[j];
    z[n] += sum;
  }
}

template <class Real>
class BackwardRowPass {
  using V = Vector<Real>;

 public:
  BackwardRowPass(const Shape& shape, const Real* p, const Real* gain, const UnitGradients<Real>& gradients,
                  const BackwardScratch<Real>& scratch) noexcept
      : s(shape), p_(p), gain_(gain), d_(gradients), t_(scratch) {}

  void lstm(const BackwardRow<Real>& r) const noexcept {
    const Real* i = gate(r, s.i, t_.i);
    const Real* o = gate(r, s.o, t_.o);
    const Real* f = s.coupled ? closed(i) : gate(r, s.f, t_.f);
    begin(r);
    back_to_cell(r, o);
    back_to_gates(r, i);
    leave_part(r, s.phi_in, s.g.row, s.g.rank, s.H, r.gates + s.g.row, r.dz + s.g.row);
    for (Index j = 0; j < s.H; ++j) t_.onward[j] = Real(0);
    if (s.f.there) leave_gate(r, s.f, r.c_before, t_.onward);
    if (s.i.there) leave_gate(r, s.i, r.c_before, t_.onward);
    // dc⁻ = ζ_c ⊙ dc + dĉ ⊙ E f [+ p_i ⊙ E dz_i + p_f ⊙ E dz_f]
    for_registers<Real>(s.H, [&](Index j, Index n) {
      V onward = load(t_.dc_hat + j) * load_up_to(f + j, n) + load(t_.onward + j);
      if (zones_out(r)) onward += zeta_of(r.zoneout_c, s.zeta_c, j, n) * load(r.dc + j);
      store(r.dc + j, onward);
    });
  }

  // dz = dh ⊙ φ'(z)
  void rnn(const BackwardRow<Real>& r) const noexcept {
    for_registers<Real>(s.H, [&](Index j, Index n) {
      V dh = enter_h(s, r, j, n);
      if (r.dgates != nullptr) dh += load_up_to(r.dgates + j, n);
      store_up_to(r.dz + j, dh, n);
    });
    leave_part(r, s.phi_in, 0, 0, s.H, r.gates, r.dz);
  }

 private:
  bool zones_out(const BackwardRow<Real>& r) const noexcept { return s.zeta_c > 0 || r.zoneout_c != nullptr; }

  // E q; 1 without the gate.
  const Real* gate(const BackwardRow<Real>& r, const Part& part, Real* cells) const noexcept {
    if (!part.there) {
      for (Index j = 0; j < s.H; ++j) cells[j] = Real(1);
      return cells;
    }
    if (s.C == 1) return r.gates + part.row;
    spread(r.gates + part.row, cells, s.N, s.C);
    return cells;
  }

  const Real* closed(const Real* i) const noexcept {
    for_registers<Real>(s.H, [&](Index j, Index n) { store(t_.f + j, broadcast(Real(1)) - load_up_to(i + j, n)); });
    return t_.f;
  }

  // dz = the errors on i f g o from outside; dm; dc += that from outside
  void begin(const BackwardRow<Real>& r) const noexcept {
    copy_or_zero(r.dz, r.dgates, s.K);
    if (s.full_gate_recurrence) {
      for_gate_columns(s, [&](Index column, Index r_column, Index width) {
        add_if<Real>(r.dz + column, r.back + s.P + r_column, width);
      });
    }
    for_registers<Real>(s.H, [&](Index j, Index n) {
      store(t_.dm + j, r.dm != nullptr ? load(r.dm + j) : enter_h(s, r, j, n));
      if (r.dc_all != nullptr) store(r.dc + j, load(r.dc + j) + load_up_to(r.dc_all + j, n));
    });
  }

  // dz_q = dq ⊙ φ'(z_q), back through the normalisation
  void leave_part(const BackwardRow<Real>& r, peephole_activation phi, Index row, Index rank, Index count,
                  const Real* q, Real* dq) const noexcept {
    activate_backward(phi, q, dq, count);
    if (!s.layer_norm) return;
    normalise_backward(dq, count, gain_ + row, r.normed + row, r.rstd[rank], d_.dgain + row, d_.dshift + row);
  }

  // dz_q = dq ⊙ q(1−q)   dp_q += E dz_q ⊙ seen   onward += p_q ⊙ E dz_q, which the truncated error leaves out
  void leave_gate(const BackwardRow<Real>& r, const Part& part, const Real* seen, Real* onward) const noexcept {
    Real* dz = r.dz + part.row;
    leave_part(r, PEEPHOLE_LOGISTIC, part.row, part.rank, s.N, r.gates + part.row, dz);
    if (!s.peepholes) return;
    const Real* cells = dz;
    if (s.C > 1) {
      spread(dz, t_.product, s.N, s.C);
      cells = t_.product;
    }
    const Real* p = p_ + part.gate * s.H;
    Real* dp = d_.dp + part.gate * d_.dp_stride;
    for_registers<Real>(s.H, [&](Index j, Index n) {
      const V error = load_up_to(cells + j, n);
      store(dp + j, load(dp + j) + error * load_up_to(seen + j, n));
      if (!s.truncated) store(onward + j, load(onward + j) + load_up_to(p + j, n) * error);
    });
  }

  // dĉ, and dz_o on the way
  void back_to_cell(const BackwardRow<Real>& r, const Real* o) const noexcept {
    for_registers<Real>(s.H, [&](Index j, Index n) { store(t_.dc_hat + j, load(t_.dm + j) * load_up_to(o + j, n)); });
    leave_part(r, s.phi_out, s.cell_norm_row(), s.cell_norm_rank(), s.H, r.a, t_.dc_hat);
    for_registers<Real>(s.H, [&](Index j, Index n) {
      V dc = load(r.dc + j);
      if (zones_out(r)) dc *= broadcast(Real(1)) - zeta_of(r.zoneout_c, s.zeta_c, j, n);
      store(t_.dc_hat + j, load(t_.dc_hat + j) + dc);
    });
    if (!s.o.there) return;
    add_to_blocks(r.dz + s.o.row, [&](Index j, Index n) { return load(t_.dm + j) * load_up_to(r.a + j, n); });
    leave_gate(r, s.o, r.c_hat, t_.dc_hat);
  }

  // dg = dĉ ⊙ E i ⊙ d_g   di = Eᵀ(dĉ ⊙ d_g ⊙ g), coupled Eᵀ(dĉ ⊙ (d_g ⊙ g − c⁻))   df = Eᵀ(dĉ ⊙ c⁻)
  void back_to_gates(const BackwardRow<Real>& r, const Real* i) const noexcept {
    const Real* g = r.gates + s.g.row;
    Real* dg = r.dz + s.g.row;
    const auto keep = [&](Index j, Index n) {
      return r.drop_g != nullptr ? load_up_to(r.drop_g + j, n) : broadcast(Real(1));
    };
    for_registers<Real>(s.H, [&](Index j, Index n) {
      const V error = load(t_.dc_hat + j) * load_up_to(i + j, n) * keep(j, n);
      store_up_to(dg + j, load_up_to(dg + j, n) + error, n);
    });
    if (s.f.there) {
      add_to_blocks(r.dz + s.f.row,
                    [&](Index j, Index n) { return load(t_.dc_hat + j) * load_up_to(r.c_before + j, n); });
    }
    if (!s.i.there) return;
    add_to_blocks(r.dz + s.i.row, [&](Index j, Index n) {
      const V seen = keep(j, n) * load_up_to(g + j, n);
      return load(t_.dc_hat + j) * (s.coupled ? seen - load_up_to(r.c_before + j, n) : seen);
    });
  }

  // z += Eᵀ u, where cells(j, n) gives u of n cells from j on
  template <class Cells>
  void add_to_blocks(Real* z, Cells cells) const noexcept {
    if (s.C == 1) {
      for_registers<Real>(s.H, [&](Index j, Index n) { store_up_to(z + j, load_up_to(z + j, n) + cells(j, n), n); });
      return;
    }
    for_registers<Real>(s.H, [&](Index j, Index n) { store(t_.product + j, cells(j, n)); });
    add_cells(z, t_.product, s.N, s.C);
  }

  const Shape& s;
  const Real *p_, *gain_;
  const UnitGradients<Real>& d_;
  const BackwardScratch<Real>& t_;
};

}  // namespace peephole::PEEPHOLE_ISA
