// A square of registers turned about its diagonal.
#pragma once

#include "simd.hpp"

namespace peephole::PEEPHOLE_ISA {

// Of two registers of every pair of blocks of `far` lanes: the first blocks, or the second.
template <int far, int all, bool second>
struct Block {
  static constexpr int of(int lane) noexcept {
    return (lane & far) == 0 ? lane + (second ? far : 0) : lane + all - (second ? 0 : far);
  }
};

// Exchanges the blocks of `far` lanes that lie across the diagonal, then those of half as many.
template <class Real, int far>
inline void exchange(Vector<Real>* square) noexcept {
  constexpr int all = static_cast<int>(lanes<Real>);
  using Lanes = std::make_integer_sequence<int, all>;
#pragma GCC unroll 16
  for (int row = 0; row < all; ++row) {
    if ((row & far) != 0) continue;
    const Vector<Real> a = square[row], b = square[row + far];
    square[row] = shuffled<Real, Block<far, all, false>>(a, b, Lanes{});
    square[row + far] = shuffled<Real, Block<far, all, true>>(a, b, Lanes{});
  }
  if constexpr (far > 1) exchange<Real, far / 2>(square);
}

// As many registers as one has lanes.
template <class Real>
inline void transpose(Vector<Real>* square) noexcept {
  exchange<Real, static_cast<int>(lanes<Real>) / 2>(square);
}

}  // namespace peephole::PEEPHOLE_ISA
