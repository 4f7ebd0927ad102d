// What the steps taken together leave for the products of the gradients, and those products.
//
//   dW += dz xᵀ    dR += dz (d_h ⊙ h⁻)ᵀ    dS += dz r⁻ᵀ    dW_p += dĥ mᵀ    db += dz
//
// Each thread lays out its own rows; then all meet, and each makes its share of the gradients' rows from what all have
// laid out, in the order of the threads: the same threads give the same bits.
#pragma once

#include "backward_row.hpp"
#include "product.hpp"
#include "rows.hpp"

namespace peephole::PEEPHOLE_ISA {

// One thread's rows, laid out: the left factors dz and dĥ, the right factors x, [h⁻, r⁻] and m.
template <class Real>
struct LaidOut {
  Columns<Real> dz, dh_hat;
  Panels<Real> x, read, m;

  LaidOut(const Shape& s, Index rows, Arena<Real>& arena) noexcept
      : dz(take_columns(arena, rows, s.K)),
        x(take_panels(arena, rows, s.I)),
        read(take_panels(arena, rows, read_width(s))) {
    if (!s.projection) return;
    dh_hat = take_columns(arena, rows, s.P);
    m = take_panels(arena, rows, s.H);
  }
};

// m = E o ⊙ a, what is projected, of one row from its gates and a.
template <class Real>
void lay_out_output(const Shape& s, const Panels<Real>& to, Index row, const Real* gates, const Real* a) noexcept {
  const Real* o = s.o.there ? gates + s.o.row : nullptr;
  if (o == nullptr || s.C == 1) {
    pack_row(to, row, 0, a, o, s.H);
  } else {
    for (Index n = 0; n < s.N; ++n) {
      for (Index j = n * s.C; j < (n + 1) * s.C; ++j) {
        const Real scaled = a[j] * o[n];
        pack_row<Real>(to, row, j, &scaled, nullptr, 1);
      }
    }
  }
  pad_row(to, row, s.H);
}

// target += Σ of some rows, a register of columns at a time.
template <class Real>
void add_rows(Real* target, const Real* rows, Index count, Index stride, Index columns) noexcept {
  for_registers<Real>(columns, [&](Index j, Index n) {
    Vector<Real> sum = load_up_to(target + j, n);
    for (Index m = 0; m < count; ++m) sum += load_up_to(rows + m * stride + j, n);
    store_up_to(target + j, sum, n);
  });
}

// A thread's share of dD += Aᵀ B over what one thread has laid out; with zeros, of dD = Aᵀ B.
template <class Real>
void add_share(const Team& team, const Columns<Real>& A, const Panels<Real>& B, Index depth, const Real* zeros, Real* D,
               Index columns) noexcept {
  if (D == nullptr || (depth == 0 && zeros == nullptr)) return;
  const Range groups = team.share(A.groups());
  add_outer_product(A, groups.begin, groups.end, B, depth, zeros, D, columns);
}

// target += Σ of what the threads have, for a thread's share of `count` elements.
template <class Real, class Part>
void gather(const Team& team, Real* target, Index count, Part part_of) noexcept {
  if (target == nullptr) return;
  const Range mine = team.share(count);
  for (Index rank = 0; rank < team.size; ++rank) {
    const Real* part = part_of(rank);
    for (Index j = mine.begin; j < mine.end; ++j) target[j] += part[j];
  }
}

}  // namespace peephole::PEEPHOLE_ISA
