// Blocked products over panels.
//
// A panel is cut along k so that the piece in hand stays in the first-level cache while the rows pass by; the tile
// takes up the sums where the piece before left them, so that the cut changes no bit.
#pragma once

#include <array>
#include <utility>

#include "panels.hpp"

namespace peephole::PEEPHOLE_ISA {

template <class Real>
using Tile = void (*)(Index, const TileRows<Real>&, const Real*, const Real*, Index, Real*, Index) noexcept;

template <class Real, std::size_t... index>
constexpr std::array<Tile<Real>, sizeof...(index)> make_tiles(std::index_sequence<index...>) noexcept {
  return {run_tile<Real, static_cast<int>(index) / tile_vectors + 1, static_cast<int>(index) % tile_vectors + 1>...};
}

// The tile of so many rows and registers.
template <class Real>
inline Tile<Real> tile_of(Index rows, Index vectors) noexcept {
  static constexpr auto tiles =
      make_tiles<Real>(std::make_index_sequence<static_cast<std::size_t>(tile_rows * tile_vectors)>());
  return tiles[static_cast<std::size_t>((rows - 1) * tile_vectors + vectors - 1)];
}

// Bytes of a panel's piece: what leaves room for the rows in the first-level cache.
constexpr Index piece_bytes = vector_bytes == 64 ? 32768 : 24576;

// `rows` rows in the fewest groups that a tile takes, all about equally large: no tile of one row where it can be
// helped.
struct Groups {
  Index rows;
  Index count() const noexcept { return (rows + tile_rows - 1) / tile_rows; }
  Index begin(Index group) const noexcept { return rows * group / count(); }
};

// Shares the next piece of a panel out among the groups that pass over the one in hand: each asks memory for its part
// of it, a little at every k. One group alone, or the last piece, asks for nothing.
template <class Real>
inline void look_ahead(TileRows<Real>& a, const Real* piece, const Real* next, Index bytes, Index group, Index groups,
                       Index depth) noexcept {
  a.ahead = reinterpret_cast<const unsigned char*>(piece);
  a.ahead_step = 0;
  if (next == nullptr || groups < 2 || depth < 1) return;
  a.ahead_step = (bytes + groups * depth - 1) / (groups * depth);
  a.ahead = reinterpret_cast<const unsigned char*>(next) + group * depth * a.ahead_step;
}

// Some of a matrix's panels, in order or turned round. Steps that go through the weights forward and backward in turn
// find in the cache what the step before read last, where all of them do not fit.
struct Walk {
  Index first, last;
  bool turned = false;
};

// Z[m, columns of the panels] = from[·] + Σ_k row_at(m)[k] W[k, ·] for m in [0, rows) and some of the panels; from is
// one row for all, or null for Z itself. Z and from start at column 0 of panel 0. done(panel, first row, rows) is
// called on each tile when its sums are complete.
template <class Real, class RowAt, class Done>
void make_product(const Panels<Real>& W, Walk walk, Index rows, RowAt row_at, const Real* from, Real* Z, Index stride,
                  Done done) noexcept {
  const Groups groups{rows};
  const Index group_count = groups.count();
  for (Index turn = walk.first; turn < walk.last; ++turn) {
    const Index panel = walk.turned ? walk.first + walk.last - 1 - turn : turn;
    const Index vectors = W.vectors_of(panel), width = vectors * lanes<Real>;
    const Index most = piece_bytes / (width * static_cast<Index>(sizeof(Real)));
    const Index pieces = group_count > 1 ? (W.depth + most - 1) / most : 1;
    for (Index piece = 0; piece < pieces; ++piece) {
      const Index k = W.depth * piece / pieces, end = W.depth * (piece + 1) / pieces;
      const Real* now = W.at(panel) + k * width;
      const Real* next = piece + 1 < pieces     ? now + (end - k) * width
                         : turn + 1 < walk.last ? W.at(walk.turned ? panel - 1 : panel + 1)
                                                : nullptr;
      const Index bytes = (end - k) * width * static_cast<Index>(sizeof(Real));
      for (Index group = 0; group < group_count; ++group) {
        const Index first = groups.begin(group), count = groups.begin(group + 1) - first;
        TileRows<Real> a;
        a.step = 1;
        for (Index r = 0; r < count; ++r) a.row[r] = row_at(first + r) + k;
        look_ahead(a, now, next, bytes, group, group_count, end - k);
        Real* target = Z + first * stride + W.column(panel);
        const bool begun = from == nullptr || piece > 0;
        tile_of<Real>(count, vectors)(end - k, a, now, begun ? target : from + W.column(panel), begun ? stride : 0,
                                      target, stride);
        if (piece == pieces - 1) done(panel, first, count);
      }
    }
  }
}

template <class Real, class RowAt>
void make_product(const Panels<Real>& W, Walk walk, Index rows, RowAt row_at, const Real* from, Real* Z,
                  Index stride) noexcept {
  make_product(W, walk, rows, row_at, from, Z, stride, [](Index, Index, Index) {});
}

// The left factor of a product over many rows m, laid out for the tile the other way round: [group of columns][m][rows
// of a tile]. Aᵀ B then takes its k from m.
template <class Real>
struct Columns {
  Real* data = nullptr;
  Index depth = 0;  // room for so many m
  Index count = 0;  // columns

  Index groups() const noexcept { return (count + tile_rows - 1) / tile_rows; }
  Index in_group(Index group) const noexcept {
    const Index rest = count - group * tile_rows;
    return rest < tile_rows ? rest : tile_rows;
  }
  Real* at(Index group) const noexcept { return data + group * tile_rows * depth; }
  Index elements() const noexcept { return groups() * tile_rows * depth; }

  // Rows [begin, end) from those of a matrix; a few at a time, since every group of columns lies on a page of its own.
  void pack(Index begin, Index end, const Real* row, Index stride) const noexcept {
    constexpr Index block = 16;
    for (Index first = begin; first < end; first += block) {
      const Index last = first + block < end ? first + block : end;
      for (Index group = 0; group < groups(); ++group) {
        const Real* from = row + (first - begin) * stride + group * tile_rows;
        Real* target = at(group) + first * tile_rows;
        const Index valid = in_group(group);
        for (Index m = first; m < last; ++m, from += stride, target += tile_rows) {
          if (valid == tile_rows) {
            std::memcpy(target, from, tile_rows * sizeof(Real));
          } else {
            for (Index r = 0; r < valid; ++r) target[r] = from[r];
          }
        }
      }
    }
  }
};

template <class Real>
Columns<Real> take_columns(Arena<Real>& arena, Index depth, Index count) noexcept {
  Columns<Real> columns{nullptr, depth, count};
  columns.data = arena.take(columns.elements());
  return columns;
}

// Asks memory for some rows of a matrix, ahead of the tile that adds to them.
template <class Real>
inline void ask_for(const Real* first, Index rows, Index stride, Index columns) noexcept {
  constexpr Index line = 64 / static_cast<Index>(sizeof(Real));
  for (Index r = 0; r < rows; ++r) {
    for (Index j = 0; j < columns; j += line) __builtin_prefetch(first + r * stride + j, 1, 3);
  }
}

// Bytes of the left factor that stay in the second-level cache while the panels pass by.
constexpr Index block_bytes = 512 * 1024;

// D[j, ·] += Σ_m A[m, j] B[m, ·] for the columns j of some groups of A and one piece of a panel; with a row of zeros,
// =.
template <class Real>
void add_outer_piece(const Columns<Real>& A, Index first_group, Index last_group, const Panels<Real>& B, Index panel,
                     Index m, Index end, const Real* zeros, Real* D, Index columns) noexcept {
  Real edge[tile_rows * tile_columns<Real>];
  const Index vectors = B.vectors_of(panel), width = vectors * lanes<Real>, column = B.column(panel);
  const Index valid = columns - column < width ? columns - column : width;
  const Real* now = B.at(panel) + m * width;
  for (Index group = first_group; group < last_group; ++group) {
    const Index rows = A.in_group(group);
    TileRows<Real> a;
    a.step = tile_rows;
    for (Index r = 0; r < rows; ++r) a.row[r] = A.at(group) + m * tile_rows + r;
    look_ahead<Real>(a, now, nullptr, 0, 0, 1, 0);
    Real* target = D + group * tile_rows * columns + column;
    if (group + 1 < last_group) ask_for(target + tile_rows * columns, tile_rows, columns, valid);
    if (valid == width) {
      const Real* from = zeros != nullptr ? zeros : target;
      tile_of<Real>(rows, vectors)(end - m, a, now, from, zeros != nullptr ? 0 : columns, target, columns);
      continue;
    }
    for (Index j = 0; j < rows * width; ++j) edge[j] = Real(0);
    tile_of<Real>(rows, vectors)(end - m, a, now, edge, width, edge, width);
    for (Index r = 0; r < rows; ++r) {
      Real* row = target + r * columns;
      for (Index j = 0; j < valid; ++j) row[j] = (zeros != nullptr ? Real(0) : row[j]) + edge[r * width + j];
    }
  }
}

// D[j, ·] += Σ_m A[m, j] B[m, ·] for the columns j of some groups of A; D has `columns` columns, which B pads. With a
// row of zeros, D holds nothing yet and is written.
template <class Real>
void add_outer_product(const Columns<Real>& A, Index first_group, Index last_group, const Panels<Real>& B, Index depth,
                       const Real* zeros, Real* D, Index columns) noexcept {
  const Index group_bytes = (depth > 0 ? depth : 1) * tile_rows * static_cast<Index>(sizeof(Real));
  const Index block = block_bytes > group_bytes ? block_bytes / group_bytes : 1;
  for (Index group = first_group; group < last_group; group += block) {
    const Index end_group = group + block < last_group ? group + block : last_group;
    for (Index panel = 0; panel < B.count(); ++panel) {
      const Index width = B.vectors_of(panel) * lanes<Real>;
      const Index most = piece_bytes / (width * static_cast<Index>(sizeof(Real)));
      const Index pieces = depth > most ? (depth + most - 1) / most : 1;
      for (Index piece = 0; piece < pieces; ++piece) {
        add_outer_piece(A, group, end_group, B, panel, depth * piece / pieces, depth * (piece + 1) / pieces,
                        piece == 0 ? zeros : nullptr, D, columns);
      }
    }
  }
}

}  // namespace peephole::PEEPHOLE_ISA
