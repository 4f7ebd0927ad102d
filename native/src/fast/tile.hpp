// The tile: what every product is made of.
//
//   Z[r, :] = from[r, :] + Σ_k a_r[k·step] · panel[k, :]          r = 0 … rows − 1
//
// A panel holds some columns of the right factor, `vectors` registers wide, one k after the other, aligned and padded
// with zeros. All of Z's tile stays in registers: 6 rows of 4 registers with AVX-512 (24 of 32), 3 rows of 4 with 16
// registers, where three broadcasts and one register of the panel fill the rest, 2 rows where a product and a sum are
// two instructions. Every loop over the tile is unrolled by force: a compiler that leaves one keeps Z in memory.
//
// Each element of Z is summed in the order of k alone, so that it does not depend on the rows beside it.
#pragma once

#include "simd.hpp"

namespace peephole::PEEPHOLE_ISA {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr Index tile_rows = 6;
#elif defined(__FMA__)
constexpr Index tile_rows = 3;
#else
constexpr Index tile_rows = 2;
#endif
constexpr Index tile_vectors = 4;

// Columns of a panel of the full width.
template <class Real>
constexpr Index tile_columns = tile_vectors * lanes<Real>;

// The rows of the left factor that meet in one tile, and the distance between neighbours in k; and what is asked for
// from memory meanwhile, a line at each k, so that it is there when its turn comes.
template <class Real>
struct TileRows {
  const Real* row[tile_rows];
  Index step;
  const unsigned char* ahead;
  Index ahead_step;  // bytes
};

template <class Real, int rows, int vectors>
void run_tile(Index depth, const TileRows<Real>& a, const Real* panel, const Real* from, Index from_stride, Real* Z,
              Index stride) noexcept {
  using V = Vector<Real>;
  constexpr Index width = lanes<Real>;
  const Real* row[rows];
  V z[rows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
    row[r] = a.row[r];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) z[r][v] = load(from + r * from_stride + v * width);
  }
  const Index step = a.step, ahead_step = a.ahead_step;
  const unsigned char* ahead = a.ahead;
  Index at = 0;
#pragma GCC unroll 4
  for (Index k = 0; k < depth; ++k) {
    V x[rows];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) x[r] = broadcast(row[r][at]);
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      const V w = load(panel + v * width);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) z[r][v] += x[r] * w;
    }
    __builtin_prefetch(ahead, 0, 2);
    ahead += ahead_step;
    panel += vectors * width;
    at += step;
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) store(Z + r * stride + v * width, z[r][v]);
  }
}

}  // namespace peephole::PEEPHOLE_ISA
