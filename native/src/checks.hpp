// What the entries of the C interface look at before they call a kernel.
#pragma once

#include <cstdint>
#include <limits>

#include "kernels.hpp"

namespace peephole {

constexpr std::size_t unknown_bytes = std::numeric_limits<std::size_t>::max();

template <class... Pointers>
bool any_null(Pointers... pointers) noexcept {
  return ((pointers == nullptr) || ...);
}

template <class Weights>
bool has_weights(const Shape& s, const Weights& w) noexcept {
  if (any_null(w.W, w.R)) return false;
  if (s.peepholes && w.p == nullptr) return false;
  if (s.full_gate_recurrence && w.S == nullptr) return false;
  if (s.projection && w.W_p == nullptr) return false;
  return !s.layer_norm || !any_null(w.gain, w.shift);
}

template <class Inputs, class Tape>
bool has_tape(const Shape& s, const Inputs& in, const Tape& tape) noexcept {
  if (any_null(tape.y, tape.gates)) return false;
  if (s.layer_norm && any_null(tape.normed, tape.rstd)) return false;
  if (s.rnn) return true;
  const bool zones_out_c = s.zeta_c > 0 || in.zoneout_c != nullptr;
  return !any_null(tape.c, tape.a) && !(zones_out_c && tape.c_hat == nullptr);
}

template <class Tape>
bool has_final_state(const Shape& s, const Tape& tape) noexcept {
  if (tape.h_n == nullptr || (!s.rnn && tape.c_n == nullptr)) return false;
  return !s.full_gate_recurrence || tape.r_n != nullptr;
}

inline bool valid_lengths(const Shape& s, const std::int64_t* lengths) noexcept {
  for (Index b = 0; lengths != nullptr && b < s.B; ++b) {
    if (lengths[b] < 0 || lengths[b] > s.T) return false;
  }
  return true;
}

inline int check_dense(const peephole_dense* layer) noexcept {
  if (layer == nullptr) return PEEPHOLE_MISSING_BUFFER;
  if (!is_activation(layer->activation) || (layer->masked != 0 && layer->masked != 1)) return PEEPHOLE_BAD_CELL;
  if (layer->B < 0 || layer->I < 1 || layer->O < 1) return PEEPHOLE_BAD_SIZES;
  const double B = static_cast<double>(layer->B), I = static_cast<double>(layer->I), O = static_cast<double>(layer->O);
  return countable(B, I, 1.0) && countable(B, O, 1.0) && countable(I, O, 1.0) ? PEEPHOLE_OK : PEEPHOLE_BAD_SIZES;
}

}  // namespace peephole
