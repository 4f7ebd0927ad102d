#include "shape.hpp"

namespace peephole {
namespace {

bool is_flag(std::int32_t value) noexcept { return value == 0 || value == 1; }

// Written so that NaN is refused too.
bool is_probability(double value) noexcept { return value >= 0.0 && value < 1.0; }

bool valid_cell(const peephole_cell& cell) noexcept {
  const std::int32_t flags[] = {cell.rnn,        cell.input_gate, cell.forget_gate,          cell.output_gate,
                                cell.coupled,    cell.peepholes,  cell.full_gate_recurrence, cell.layer_norm,
                                cell.projection, cell.truncated};
  for (const std::int32_t flag : flags) {
    if (!is_flag(flag)) return false;
  }
  if (!is_activation(cell.input_activation) || !is_activation(cell.output_activation)) return false;
  if (!is_probability(cell.zoneout_hidden) || !is_probability(cell.zoneout_cell)) return false;
  if (cell.cells_per_block < 1) return false;
  const bool any_gate = cell.input_gate || cell.forget_gate || cell.output_gate;
  if (cell.rnn) {
    return !any_gate && !cell.coupled && !cell.peepholes && !cell.full_gate_recurrence && !cell.projection &&
           cell.cells_per_block == 1 && cell.zoneout_cell == 0.0;
  }
  if (cell.coupled && !(cell.input_gate && cell.forget_gate)) return false;
  return any_gate || !(cell.peepholes || cell.full_gate_recurrence);
}

bool valid_sizes(const peephole_cell& cell, const peephole_sizes& sizes) noexcept {
  if (sizes.T < 0 || sizes.B < 0 || sizes.I < 1 || sizes.H < 1 || !is_flag(sizes.reverse) || !is_flag(sizes.compact)) {
    return false;
  }
  if (sizes.H % cell.cells_per_block != 0) return false;
  return cell.projection ? sizes.P > 0 && sizes.P < sizes.H : sizes.P == sizes.H;
}

}  // namespace

bool is_activation(std::int32_t value) noexcept { return value >= PEEPHOLE_TANH && value <= PEEPHOLE_IDENTITY; }

bool countable(double a, double b, double c) noexcept {
  constexpr double limit = 1152921504606846976.0 / 16.0;  // 2^60 bytes of 16
  return a < limit && b < limit && c < limit && a * b < limit && b * c < limit && a * b * c < limit;
}

int make_shape(const peephole_cell* cell, const peephole_sizes* sizes, Shape& shape) noexcept {
  if (cell == nullptr || sizes == nullptr) return PEEPHOLE_MISSING_BUFFER;
  if (!valid_cell(*cell)) return PEEPHOLE_BAD_CELL;
  if (!valid_sizes(*cell, *sizes)) return PEEPHOLE_BAD_SIZES;
  // 5 H bounds K and U; the stacked weights and the arrays over all steps are the largest there are.
  const double width = 5.0 * static_cast<double>(sizes->H) + static_cast<double>(sizes->I);
  if (!countable(static_cast<double>(sizes->T), static_cast<double>(sizes->B), width)) return PEEPHOLE_BAD_SIZES;
  if (!countable(1.0, width, width)) return PEEPHOLE_BAD_SIZES;

  shape.rnn = cell->rnn != 0;
  shape.coupled = cell->coupled != 0;
  shape.peepholes = cell->peepholes != 0;
  shape.full_gate_recurrence = cell->full_gate_recurrence != 0;
  shape.layer_norm = cell->layer_norm != 0;
  shape.projection = cell->projection != 0;
  shape.truncated = cell->truncated != 0;
  shape.reverse = sizes->reverse != 0;
  shape.compact = sizes->compact != 0;
  shape.phi_in = static_cast<peephole_activation>(cell->input_activation);
  shape.phi_out = static_cast<peephole_activation>(cell->output_activation);
  shape.zeta_h = cell->zoneout_hidden;
  shape.zeta_c = cell->zoneout_cell;
  shape.T = sizes->T;
  shape.B = sizes->B;
  shape.I = sizes->I;
  shape.H = sizes->H;
  shape.P = sizes->P;
  shape.C = cell->cells_per_block;
  shape.N = sizes->H / shape.C;

  // The rows in the one order i, f, g, o.
  Index gates = 0;
  Index parts = 0;
  shape.K = 0;
  const auto place = [&](bool there, bool is_gate) {
    Part part;
    if (!there) return part;
    part = {true, shape.K, gates, parts};
    parts += 1;
    gates += is_gate ? 1 : 0;
    shape.K += is_gate ? shape.N : shape.H;
    return part;
  };
  shape.i = place(cell->input_gate != 0, true);
  shape.f = place(cell->forget_gate != 0 && !shape.coupled, true);
  shape.g = place(true, false);
  shape.o = place(cell->output_gate != 0, true);
  shape.G = gates * shape.N;
  shape.U = shape.rnn ? shape.K : shape.K + shape.H;
  shape.V = shape.rnn ? 1 : parts + 1;
  return PEEPHOLE_OK;
}

}  // namespace peephole
