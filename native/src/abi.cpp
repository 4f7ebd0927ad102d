// The C interface: checks the arguments, chooses the instruction set, calls.
#include <cstdint>
#include <limits>

#include "kernels.hpp"

namespace peephole {
namespace {

constexpr std::size_t unknown_bytes = std::numeric_limits<std::size_t>::max();

// The kernels for the processor at hand.
template <class Real>
const Kernels<Real>& chosen() noexcept {
  return baseline::kernels<Real>();
}

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

bool valid_lengths(const Shape& s, const std::int64_t* lengths) noexcept {
  for (Index b = 0; lengths != nullptr && b < s.B; ++b) {
    if (lengths[b] < 0 || lengths[b] > s.T) return false;
  }
  return true;
}

int check_workspace(const peephole_workspace* workspace, std::size_t needed) noexcept {
  if (workspace == nullptr || workspace->data == nullptr) return PEEPHOLE_MISSING_BUFFER;
  return workspace->bytes < needed ? PEEPHOLE_SMALL_WORKSPACE : PEEPHOLE_OK;
}

template <class Real, class B = Buffers<Real>>
int forward(const peephole_cell* cell, const peephole_sizes* sizes, const typename B::Weights* weights,
            const typename B::Inputs* inputs, const typename B::Tape* tape,
            const peephole_workspace* workspace) noexcept {
  Shape shape;
  const int status = make_shape(cell, sizes, shape);
  if (status != PEEPHOLE_OK) return status;
  if (any_null(weights, inputs, tape) || !has_weights(shape, *weights)) return PEEPHOLE_MISSING_BUFFER;
  if ((inputs->x == nullptr && shape.rows() > 0) || !has_final_state(shape, *tape)) return PEEPHOLE_MISSING_BUFFER;
  if (!valid_lengths(shape, inputs->lengths)) return PEEPHOLE_BAD_LENGTHS;
  const Kernels<Real>& run = chosen<Real>();
  const int memory = check_workspace(workspace, run.workspace_bytes(shape, PEEPHOLE_FORWARD));
  if (memory == PEEPHOLE_OK) run.forward(shape, *weights, *inputs, *tape, workspace->data);
  return memory;
}

template <class Real, class B = Buffers<Real>>
int backward(const peephole_cell* cell, const peephole_sizes* sizes, const typename B::Weights* weights,
             const typename B::Inputs* inputs, const typename B::Tape* tape, const typename B::Errors* errors,
             const typename B::Gradients* gradients, const peephole_workspace* workspace) noexcept {
  Shape shape;
  const int status = make_shape(cell, sizes, shape);
  if (status != PEEPHOLE_OK) return status;
  if (any_null(weights, inputs, tape, errors, gradients)) return PEEPHOLE_MISSING_BUFFER;
  if (!has_weights(shape, *weights)) return PEEPHOLE_MISSING_BUFFER;
  if (shape.rows() > 0 && (inputs->x == nullptr || !has_tape(shape, *inputs, *tape))) return PEEPHOLE_MISSING_BUFFER;
  if (!valid_lengths(shape, inputs->lengths)) return PEEPHOLE_BAD_LENGTHS;
  const Kernels<Real>& run = chosen<Real>();
  const int memory = check_workspace(workspace, run.workspace_bytes(shape, PEEPHOLE_BACKWARD));
  if (memory == PEEPHOLE_OK) run.backward(shape, *weights, *inputs, *tape, *errors, *gradients, workspace->data);
  return memory;
}

int check_dense(const peephole_dense* layer) noexcept {
  if (layer == nullptr) return PEEPHOLE_MISSING_BUFFER;
  if (!is_activation(layer->activation) || (layer->masked != 0 && layer->masked != 1)) return PEEPHOLE_BAD_CELL;
  if (layer->B < 0 || layer->I < 1 || layer->O < 1) return PEEPHOLE_BAD_SIZES;
  const double B = static_cast<double>(layer->B), I = static_cast<double>(layer->I), O = static_cast<double>(layer->O);
  return countable(B, I, 1.0) && countable(B, O, 1.0) && countable(I, O, 1.0) ? PEEPHOLE_OK : PEEPHOLE_BAD_SIZES;
}

template <class Real, class B = Buffers<Real>>
int dense(const peephole_dense* layer, peephole_pass pass, const typename B::Dense* buffers,
          const peephole_workspace* workspace) noexcept {
  const int status = check_dense(layer);
  if (status != PEEPHOLE_OK) return status;
  if (buffers == nullptr || buffers->W == nullptr) return PEEPHOLE_MISSING_BUFFER;
  if (layer->masked != 0 && buffers->mask == nullptr) return PEEPHOLE_MISSING_BUFFER;
  if (layer->B > 0 && any_null<const Real*, const Real*>(buffers->x, buffers->y)) return PEEPHOLE_MISSING_BUFFER;
  if (layer->B > 0 && pass == PEEPHOLE_BACKWARD && buffers->dy == nullptr) return PEEPHOLE_MISSING_BUFFER;
  const Kernels<Real>& run = chosen<Real>();
  const int memory = check_workspace(workspace, run.dense_workspace_bytes(*layer, pass));
  if (memory == PEEPHOLE_OK) run.dense(*layer, pass, *buffers, workspace->data);
  return memory;
}

bool is_pass(peephole_pass pass) noexcept { return pass == PEEPHOLE_FORWARD || pass == PEEPHOLE_BACKWARD; }

}  // namespace
}  // namespace peephole

using namespace peephole;

extern "C" {

uint32_t peephole_abi_version(void) noexcept { return PEEPHOLE_ABI_VERSION; }

const char* peephole_status_text(int status) noexcept {
  switch (status) {
    case PEEPHOLE_OK:
      return "done";
    case PEEPHOLE_BAD_CELL:
      return "the cell has switches or activations that have no meaning together";
    case PEEPHOLE_BAD_SIZES:
      return "a size is out of range or does not suit the cell";
    case PEEPHOLE_MISSING_BUFFER:
      return "a buffer that the cell needs is missing";
    case PEEPHOLE_BAD_LENGTHS:
      return "a length is below 0 or above the number of steps";
    case PEEPHOLE_SMALL_WORKSPACE:
      return "the workspace is smaller than peephole_workspace_bytes says";
    default:
      return "unknown status";
  }
}

size_t peephole_workspace_bytes(const peephole_cell* cell, const peephole_sizes* sizes, peephole_pass pass,
                                size_t real_bytes) noexcept {
  Shape shape;
  if (make_shape(cell, sizes, shape) != PEEPHOLE_OK || !is_pass(pass)) return unknown_bytes;
  if (real_bytes == sizeof(float)) return chosen<float>().workspace_bytes(shape, pass);
  return real_bytes == sizeof(double) ? chosen<double>().workspace_bytes(shape, pass) : unknown_bytes;
}

size_t peephole_dense_workspace_bytes(const peephole_dense* layer, peephole_pass pass, size_t real_bytes) noexcept {
  if (check_dense(layer) != PEEPHOLE_OK || !is_pass(pass)) return unknown_bytes;
  if (real_bytes == sizeof(float)) return chosen<float>().dense_workspace_bytes(*layer, pass);
  return real_bytes == sizeof(double) ? chosen<double>().dense_workspace_bytes(*layer, pass) : unknown_bytes;
}

#define PEEPHOLE_DEFINE_ENTRIES(real, suffix)                                                                        \
  int peephole_forward_##suffix(const peephole_cell* cell, const peephole_sizes* sizes,                              \
                                const peephole_weights_##suffix* weights, const peephole_inputs_##suffix* inputs,    \
                                const peephole_tape_##suffix* tape, const peephole_workspace* workspace) noexcept {  \
    return forward<real>(cell, sizes, weights, inputs, tape, workspace);                                             \
  }                                                                                                                  \
  int peephole_backward_##suffix(const peephole_cell* cell, const peephole_sizes* sizes,                             \
                                 const peephole_weights_##suffix* weights, const peephole_inputs_##suffix* inputs,   \
                                 const peephole_tape_##suffix* tape, const peephole_errors_##suffix* errors,         \
                                 const peephole_gradients_##suffix* gradients,                                       \
                                 const peephole_workspace* workspace) noexcept {                                     \
    return backward<real>(cell, sizes, weights, inputs, tape, errors, gradients, workspace);                         \
  }                                                                                                                  \
  int peephole_dense_forward_##suffix(const peephole_dense* layer, const peephole_dense_buffers_##suffix* buffers,   \
                                      const peephole_workspace* workspace) noexcept {                                \
    return dense<real>(layer, PEEPHOLE_FORWARD, buffers, workspace);                                                 \
  }                                                                                                                  \
  int peephole_dense_backward_##suffix(const peephole_dense* layer, const peephole_dense_buffers_##suffix* buffers,  \
                                       const peephole_workspace* workspace) noexcept {                               \
    return dense<real>(layer, PEEPHOLE_BACKWARD, buffers, workspace);                                                \
  }

PEEPHOLE_DEFINE_ENTRIES(float, f32)
PEEPHOLE_DEFINE_ENTRIES(double, f64)

}  // extern "C"
