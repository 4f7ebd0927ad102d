// A cell and its sizes, checked and worked out once per call.
#pragma once

#include <cstdint>

#include "peephole.h"

namespace peephole {

using Index = std::int64_t;

// One of the rows i, f, g, o: whether it has weights, and where.
struct Part {
  bool there = false;
  Index row = 0;   // first of its rows in W, R, b
  Index gate = 0;  // row in p, and block of columns in r; not for g
  Index rank = 0;  // place among the parts, which is its column in rstd
};

struct Shape {
  bool rnn, coupled, peepholes, full_gate_recurrence, layer_norm, projection, truncated, reverse, compact;
  peephole_activation phi_in, phi_out;
  double zeta_h, zeta_c;
  Index T, B, I, N, C, H, P, K, G, U, V;
  Part i, f, g, o;

  Index rows() const noexcept { return T * B; }
  // The cell's columns among the normalised values, and its place among the normalised parts.
  Index cell_norm_row() const noexcept { return K; }
  Index cell_norm_rank() const noexcept { return V - 1; }
};

// Fills shape; PEEPHOLE_OK, PEEPHOLE_BAD_CELL or PEEPHOLE_BAD_SIZES.
int make_shape(const peephole_cell* cell, const peephole_sizes* sizes, Shape& shape) noexcept;

bool is_activation(std::int32_t value) noexcept;

// Whether a product of these sizes stays far from what an index can count.
bool countable(double a, double b, double c) noexcept;

}  // namespace peephole
