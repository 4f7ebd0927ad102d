// The C interface: checks the arguments and calls the kernels of the instruction set in use.
#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "arena.hpp"
#include "checks.hpp"
#include "dispatch.hpp"

namespace peephole {
namespace {

Index thread_count(const peephole_threads* threads) noexcept {
  return threads == nullptr || threads->run == nullptr || threads->count < 1 ? 1 : threads->count;
}

int check_workspace(const peephole_workspace* workspace, std::size_t needed) noexcept {
  if (workspace == nullptr || workspace->data == nullptr) return PEEPHOLE_MISSING_BUFFER;
  return workspace->bytes < needed ? PEEPHOLE_SMALL_WORKSPACE : PEEPHOLE_OK;
}

// What stands before prepared weights: what they were prepared for. Their memory is aligned as the arena does it, so
// that they may not come to lie otherwise.
struct Prepared {
  std::int64_t layout, real_bytes, misalignment, I, H, P, C, K, parts;
};
constexpr std::size_t prepared_head = 128;
static_assert(sizeof(Prepared) <= prepared_head);

template <class Real>
Prepared prepared_for(const Shape& s, const Kernels<Real>& run, const void* memory) noexcept {
  std::int64_t parts = 0;
  for (const bool there :
       {s.i.there, s.f.there, s.o.there, s.rnn, s.layer_norm, s.projection, s.full_gate_recurrence}) {
    parts = 2 * parts + (there ? 1 : 0);
  }
  return {run.layout,
          static_cast<std::int64_t>(sizeof(Real)),
          static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(memory) % baseline::Arena<Real>::line),
          s.I,
          s.H,
          s.P,
          s.C,
          s.K,
          parts};
}

const void* panels_of(const void* prepared) noexcept {
  return static_cast<const unsigned char*>(prepared) + prepared_head;
}

template <class Real, class B = Buffers<Real>>
int prepare(const peephole_cell* cell, const peephole_sizes* sizes, const typename B::Weights* weights, void* memory,
            std::size_t bytes) noexcept {
  Shape shape;
  const int status = make_shape(cell, sizes, shape);
  if (status != PEEPHOLE_OK) return status;
  if (any_null(weights, memory) || !has_weights(shape, *weights)) return PEEPHOLE_MISSING_BUFFER;
  const Kernels<Real>& run = chosen<Real>();
  if (bytes < prepared_head + run.prepared_bytes(shape)) return PEEPHOLE_SMALL_WORKSPACE;
  const Prepared head = prepared_for(shape, run, memory);
  std::memcpy(memory, &head, sizeof head);
  run.prepare(shape, *weights, static_cast<unsigned char*>(memory) + prepared_head);
  return PEEPHOLE_OK;
}

template <class Real, class B = Buffers<Real>>
int forward(const peephole_cell* cell, const peephole_sizes* sizes, const typename B::Weights* weights,
            bool is_prepared, const void* prepared, const typename B::Inputs* inputs, const typename B::Tape* tape,
            const peephole_workspace* workspace, const peephole_threads* threads) noexcept {
  Shape shape;
  const int status = make_shape(cell, sizes, shape);
  if (status != PEEPHOLE_OK) return status;
  if (any_null(weights, inputs, tape) || !has_weights(shape, *weights)) return PEEPHOLE_MISSING_BUFFER;
  if ((inputs->x == nullptr && shape.rows() > 0) || !has_final_state(shape, *tape)) return PEEPHOLE_MISSING_BUFFER;
  if (!valid_lengths(shape, inputs->lengths)) return PEEPHOLE_BAD_LENGTHS;
  const Kernels<Real>& run = chosen<Real>();
  const void* panels = nullptr;
  if (is_prepared) {
    if (prepared == nullptr) return PEEPHOLE_MISSING_BUFFER;
    const Prepared head = prepared_for(shape, run, prepared);
    if (std::memcmp(prepared, &head, sizeof head) != 0) return PEEPHOLE_BAD_PREPARED;
    panels = panels_of(prepared);
  }
  const int memory =
      check_workspace(workspace, run.workspace_bytes(shape, PEEPHOLE_FORWARD, is_prepared, thread_count(threads)));
  if (memory == PEEPHOLE_OK) run.forward(shape, *weights, panels, *inputs, *tape, workspace->data, threads);
  return memory;
}

template <class Real, class B = Buffers<Real>>
int backward(const peephole_cell* cell, const peephole_sizes* sizes, const typename B::Weights* weights,
             const typename B::Inputs* inputs, const typename B::Tape* tape, const typename B::Errors* errors,
             const typename B::Gradients* gradients, const peephole_workspace* workspace,
             const peephole_threads* threads) noexcept {
  Shape shape;
  const int status = make_shape(cell, sizes, shape);
  if (status != PEEPHOLE_OK) return status;
  if (any_null(weights, inputs, tape, errors, gradients)) return PEEPHOLE_MISSING_BUFFER;
  if (!has_weights(shape, *weights)) return PEEPHOLE_MISSING_BUFFER;
  if (shape.rows() > 0 && (inputs->x == nullptr || !has_tape(shape, *inputs, *tape))) return PEEPHOLE_MISSING_BUFFER;
  if (!valid_lengths(shape, inputs->lengths)) return PEEPHOLE_BAD_LENGTHS;
  const Kernels<Real>& run = chosen<Real>();
  const int memory =
      check_workspace(workspace, run.workspace_bytes(shape, PEEPHOLE_BACKWARD, false, thread_count(threads)));
  if (memory == PEEPHOLE_OK)
    run.backward(shape, *weights, *inputs, *tape, *errors, *gradients, workspace->data, threads);
  return memory;
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

template <class Real>
int activate(std::int32_t activation, const Real* z, Real* y, Index count) noexcept {
  if (!is_activation(activation)) return PEEPHOLE_BAD_CELL;
  if (count < 0) return PEEPHOLE_BAD_SIZES;
  if (count > 0 && any_null<const Real*, const Real*>(z, y)) return PEEPHOLE_MISSING_BUFFER;
  chosen<Real>().activate(static_cast<peephole_activation>(activation), z, y, count);
  return PEEPHOLE_OK;
}

template <class Real>
int draw_mask(std::uint64_t seed, double probability, Real value, Real* mask, Index count) noexcept {
  if (count < 0 || !(probability >= 0.0 && probability <= 1.0)) return PEEPHOLE_BAD_SIZES;
  if (count > 0 && mask == nullptr) return PEEPHOLE_MISSING_BUFFER;
  chosen<Real>().draw_mask(seed, probability, value, mask, count);
  return PEEPHOLE_OK;
}

std::size_t workspace_bytes(const peephole_cell* cell, const peephole_sizes* sizes, peephole_pass pass,
                            std::size_t real_bytes, bool prepared, std::int32_t threads) noexcept {
  Shape shape;
  if (make_shape(cell, sizes, shape) != PEEPHOLE_OK) return unknown_bytes;
  const Index count = threads < 1 ? 1 : threads;
  if (real_bytes == sizeof(float)) return chosen<float>().workspace_bytes(shape, pass, prepared, count);
  return real_bytes == sizeof(double) ? chosen<double>().workspace_bytes(shape, pass, prepared, count) : unknown_bytes;
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
    case PEEPHOLE_BAD_ISA:
      return "there is no such instruction set on this machine";
    case PEEPHOLE_BAD_PREPARED:
      return "the memory was not prepared for this cell, these sizes, this type and the instruction set in use, or was "
             "moved";
    default:
      return "unknown status";
  }
}

int32_t peephole_worthwhile_threads(const peephole_cell* cell, const peephole_sizes* sizes, peephole_pass pass,
                                    int32_t most) noexcept {
  Shape s;
  if (make_shape(cell, sizes, s) != PEEPHOLE_OK || !is_pass(pass) || most < 2) return 1;
  constexpr double operations_each = 1e6;
  const double operations = 2.0 * static_cast<double>(s.rows()) * static_cast<double>(s.K) *
                            static_cast<double>(s.I + s.P) * (pass == PEEPHOLE_FORWARD ? 1.0 : 2.0);
  const double worth = operations / operations_each;
  return worth < 2.0 ? 1 : worth < static_cast<double>(most) ? static_cast<int32_t>(worth) : most;
}

size_t peephole_workspace_bytes(const peephole_cell* cell, const peephole_sizes* sizes, peephole_pass pass,
                                size_t real_bytes, int32_t threads) noexcept {
  return is_pass(pass) ? workspace_bytes(cell, sizes, pass, real_bytes, false, threads) : unknown_bytes;
}

size_t peephole_prepared_workspace_bytes(const peephole_cell* cell, const peephole_sizes* sizes, size_t real_bytes,
                                         int32_t threads) noexcept {
  return workspace_bytes(cell, sizes, PEEPHOLE_FORWARD, real_bytes, true, threads);
}

size_t peephole_prepared_bytes(const peephole_cell* cell, const peephole_sizes* sizes, size_t real_bytes) noexcept {
  Shape shape;
  if (make_shape(cell, sizes, shape) != PEEPHOLE_OK) return unknown_bytes;
  if (real_bytes == sizeof(float)) return prepared_head + chosen<float>().prepared_bytes(shape);
  return real_bytes == sizeof(double) ? prepared_head + chosen<double>().prepared_bytes(shape) : unknown_bytes;
}

size_t peephole_dense_workspace_bytes(const peephole_dense* layer, peephole_pass pass, size_t real_bytes) noexcept {
  if (check_dense(layer) != PEEPHOLE_OK || !is_pass(pass)) return unknown_bytes;
  if (real_bytes == sizeof(float)) return chosen<float>().dense_workspace_bytes(*layer, pass);
  return real_bytes == sizeof(double) ? chosen<double>().dense_workspace_bytes(*layer, pass) : unknown_bytes;
}

const char* peephole_isa_name(int index) noexcept { return isa_name(index); }

int peephole_isa_runs(const char* name) noexcept { return name != nullptr && isa_runs(name) ? 1 : 0; }

const char* peephole_isa(void) noexcept { return isa_in_use(); }

int peephole_force_isa(const char* name) noexcept { return force_isa(name) ? PEEPHOLE_OK : PEEPHOLE_BAD_ISA; }

double peephole_peak(size_t real_bytes, double seconds) noexcept {
  const auto f32 = chosen<float>().peak;
  const auto f64 = chosen<double>().peak;
  if (f32 == nullptr || f64 == nullptr) return 0.0;
  return real_bytes == sizeof(float) ? f32(seconds) : real_bytes == sizeof(double) ? f64(seconds) : 0.0;
}

double peephole_tile_rate(size_t real_bytes, int32_t rows, int32_t vectors, double seconds) noexcept {
  const auto f32 = chosen<float>().tile_rate;
  const auto f64 = chosen<double>().tile_rate;
  if (f32 == nullptr || f64 == nullptr) return 0.0;
  if (real_bytes == sizeof(float)) return f32(rows, vectors, seconds);
  return real_bytes == sizeof(double) ? f64(rows, vectors, seconds) : 0.0;
}

#define PEEPHOLE_DEFINE_ENTRIES(real, suffix)                                                                          \
  int peephole_activate_##suffix(int32_t activation, const real* z, real* y, int64_t count) noexcept {                 \
    return activate<real>(activation, z, y, count);                                                                    \
  }                                                                                                                    \
  int peephole_draw_mask_##suffix(uint64_t seed, double probability, real value, real* mask, int64_t count) noexcept { \
    return draw_mask<real>(seed, probability, value, mask, count);                                                     \
  }                                                                                                                    \
  int peephole_forward_##suffix(const peephole_cell* cell, const peephole_sizes* sizes,                                \
                                const peephole_weights_##suffix* weights, const peephole_inputs_##suffix* inputs,      \
                                const peephole_tape_##suffix* tape, const peephole_workspace* workspace,               \
                                const peephole_threads* threads) noexcept {                                            \
    return forward<real>(cell, sizes, weights, false, nullptr, inputs, tape, workspace, threads);                      \
  }                                                                                                                    \
  int peephole_prepare_##suffix(const peephole_cell* cell, const peephole_sizes* sizes,                                \
                                const peephole_weights_##suffix* weights, void* memory, size_t bytes) noexcept {       \
    return prepare<real>(cell, sizes, weights, memory, bytes);                                                         \
  }                                                                                                                    \
  int peephole_forward_prepared_##suffix(                                                                              \
      const peephole_cell* cell, const peephole_sizes* sizes, const peephole_weights_##suffix* weights,                \
      const void* prepared, const peephole_inputs_##suffix* inputs, const peephole_tape_##suffix* tape,                \
      const peephole_workspace* workspace, const peephole_threads* threads) noexcept {                                 \
    return forward<real>(cell, sizes, weights, true, prepared, inputs, tape, workspace, threads);                      \
  }                                                                                                                    \
  int peephole_backward_##suffix(const peephole_cell* cell, const peephole_sizes* sizes,                               \
                                 const peephole_weights_##suffix* weights, const peephole_inputs_##suffix* inputs,     \
                                 const peephole_tape_##suffix* tape, const peephole_errors_##suffix* errors,           \
                                 const peephole_gradients_##suffix* gradients, const peephole_workspace* workspace,    \
                                 const peephole_threads* threads) noexcept {                                           \
    return backward<real>(cell, sizes, weights, inputs, tape, errors, gradients, workspace, threads);                  \
  }                                                                                                                    \
  int peephole_dense_forward_##suffix(const peephole_dense* layer, const peephole_dense_buffers_##suffix* buffers,     \
                                      const peephole_workspace* workspace) noexcept {                                  \
    return dense<real>(layer, PEEPHOLE_FORWARD, buffers, workspace);                                                   \
  }                                                                                                                    \
  int peephole_dense_backward_##suffix(const peephole_dense* layer, const peephole_dense_buffers_##suffix* buffers,    \
                                       const peephole_workspace* workspace) noexcept {                                 \
    return dense<real>(layer, PEEPHOLE_BACKWARD, buffers, workspace);                                                  \
  }

PEEPHOLE_DEFINE_ENTRIES(float, f32)
PEEPHOLE_DEFINE_ENTRIES(double, f64)

}  // extern "C"
