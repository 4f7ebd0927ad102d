// A matrix laid out for the tile: panels of a few registers' columns, one k after the other, padded with zeros.
//
//   panel 0: [k][register][lane]   panel 1: …           the last panel may have fewer registers
#pragma once

#include "arena.hpp"
#include "tile.hpp"
#include "transpose.hpp"

namespace peephole::PEEPHOLE_ISA {

template <class Real>
struct Panels {
  Real* data = nullptr;
  Index depth = 0;             // k
  Index vectors = 0;           // registers that all columns fill
  Index width = tile_vectors;  // registers of one panel

  Index count() const noexcept { return (vectors + width - 1) / width; }
  Index vectors_of(Index panel) const noexcept {
    const Index rest = vectors - panel * width;
    return rest < width ? rest : width;
  }
  Index columns() const noexcept { return vectors * lanes<Real>; }
  // The first column of a panel.
  Index column(Index panel) const noexcept { return panel * width * lanes<Real>; }
  Real* at(Index panel) const noexcept { return data + column(panel) * depth; }
  Index elements() const noexcept { return columns() * depth; }
};

template <class Real>
Panels<Real> take_panels(Arena<Real>& arena, Index depth, Index columns, Index width = tile_vectors) noexcept {
  Panels<Real> panels{nullptr, depth, padded<Real>(columns) / lanes<Real>, width};
  panels.data = arena.take(panels.elements());
  return panels;
}

// Fills k = [first, first + count) of one panel whose columns are rows of a row-major matrix: column_at(j) is the row
// that belongs to the panel's column j, or null for zeros. (A square of one register's rows at a time, turned about its
// diagonal.)
template <class Real, class ColumnAt>
void pack_units(const Panels<Real>& to, Index panel, Index first, Index count, ColumnAt column_at) noexcept {
  constexpr Index L = lanes<Real>;
  const Index width = to.vectors_of(panel) * L;
  for (Index j = 0; j < width; j += L) {
    const Real* source[L];
    for (Index lane = 0; lane < L; ++lane) source[lane] = column_at(j + lane);
    Real* target = to.at(panel) + first * width + j;
    for (Index k = 0; k < count; k += L, target += L * width) {
      const Index n = k + L < count ? L : count - k;
      Vector<Real> square[L];
      for (Index lane = 0; lane < L; ++lane) {
        square[lane] = source[lane] != nullptr ? load_up_to(source[lane] + k, n) : Vector<Real>{};
      }
      transpose<Real>(square);
      for (Index q = 0; q < n; ++q) store(target + q * width, square[q]);
    }
  }
}

// Fills some panels of a matrix of `rows` rows, each as wide as the panels are deep, whose rows become their columns.
template <class Real>
void pack_matrix(const Panels<Real>& to, Index first_panel, Index last_panel, const Real* matrix, Index rows) noexcept {
  for (Index panel = first_panel; panel < last_panel; ++panel) {
    pack_units(to, panel, 0, to.depth, [&](Index j) {
      const Index row = to.column(panel) + j;
      return row < rows ? matrix + row * to.depth : nullptr;
    });
  }
}

// Fills columns [offset, offset + count) of one k from a row, each times factor[·] where there is one; null is zeros.
template <class Real>
void pack_row(const Panels<Real>& to, Index k, Index offset, const Real* row, const Real* factor,
              Index count) noexcept {
  constexpr Index L = lanes<Real>;
  for (Index j = 0; j < count;) {
    const Index panel = (offset + j) / (to.width * L), width = to.vectors_of(panel) * L;
    const Index begin = offset + j - to.column(panel);
    const Index room = width - begin, some = room < count - j ? room : count - j;
    Real* target = to.at(panel) + k * width + begin;
    if (row == nullptr) {
      for (Index q = 0; q < some; ++q) target[q] = Real(0);
    } else if (factor != nullptr) {
      for (Index q = 0; q < some; ++q) target[q] = row[j + q] * factor[j + q];
    } else {
      std::memcpy(target, row + j, static_cast<std::size_t>(some) * sizeof(Real));
    }
    j += some;
  }
}

// Sets what pads one k behind `count` columns to zero.
template <class Real>
void pad_row(const Panels<Real>& to, Index k, Index count) noexcept {
  pack_row<Real>(to, k, count, nullptr, nullptr, to.columns() - count);
}

}  // namespace peephole::PEEPHOLE_ISA
