// Steppers: checks the layers, puts them into one piece of memory, and runs them one after the other.
#include <cstdint>
#include <cstring>
#include <new>

#include "arena.hpp"
#include "checks.hpp"
#include "dispatch.hpp"

namespace peephole {
namespace {

// What a stepper's memory begins with, on its first whole cache line. The layers' steps stand behind it, then what each
// of them has for itself.
template <class Real>
struct Stepper {
  struct Stage {
    LayerStep<Real> step;
    Real* y;  // where its result is: a cell's h, or scratch; null: the caller's y
  };

  std::uint64_t mark;
  Stage* stages;
  Index count;
  std::size_t last_h_bytes;  // of what is copied to the caller's y where the last layer is a cell

  void run(const Real* x, Real* y) const noexcept {
    for (Index k = 0; k < count; ++k) {
      const Stage& stage = stages[k];
      Real* to = stage.y != nullptr ? stage.y : y;
      stage.step.run(stage.step.object, x, to);
      x = to;
    }
    if (last_h_bytes != 0) std::memcpy(y, x, last_h_bytes);
  }
};

// Other for each type, so that a stepper is not taken for one of the other.
template <class Real>
constexpr std::uint64_t mark_of = 0x7065657073746570u + sizeof(Real);

template <class Real>
using Memory = baseline::Arena<Real>;

template <class Real>
Stepper<Real>* stepper_at(void* memory) noexcept {
  Memory<Real> arena(memory);
  return reinterpret_cast<Stepper<Real>*>(arena.template take<unsigned char>(sizeof(Stepper<Real>)));
}

template <class Real>
int read_cell(const typename Buffers<Real>::Layer& from, Layer<Real>& to) noexcept {
  to.is_cell = true;
  const int status = make_shape(from.cell, from.sizes, to.shape);
  if (status != PEEPHOLE_OK) return status;
  if (to.shape.T != 1) return PEEPHOLE_BAD_SIZES;
  if (from.weights == nullptr || !has_weights(to.shape, *from.weights)) return PEEPHOLE_MISSING_BUFFER;
  to.weights = *from.weights;
  to.h = from.h;
  to.c = from.c;
  to.r = from.r;
  if (to.h == nullptr || (!to.shape.rnn && to.c == nullptr)) return PEEPHOLE_MISSING_BUFFER;
  return to.shape.full_gate_recurrence && to.r == nullptr ? PEEPHOLE_MISSING_BUFFER : PEEPHOLE_OK;
}

template <class Real>
int read_neurons(const typename Buffers<Real>::Layer& from, Layer<Real>& to) noexcept {
  to.is_cell = false;
  const int status = check_dense(from.dense);
  if (status != PEEPHOLE_OK) return status;
  to.dense = *from.dense;
  if (to.dense.masked != 0) return PEEPHOLE_BAD_CELL;
  if (from.values == nullptr || from.values->W == nullptr) return PEEPHOLE_MISSING_BUFFER;
  to.W = from.values->W;
  to.b = from.values->b;
  return PEEPHOLE_OK;
}

// Calls visit(index, layer) on every layer, as long as they are good and each fits the one before.
template <class Real, class Visit>
int for_layers(const typename Buffers<Real>::Layer* layers, std::int64_t count, Visit visit) noexcept {
  if (layers == nullptr) return PEEPHOLE_MISSING_BUFFER;
  if (count < 1) return PEEPHOLE_BAD_SIZES;
  Index rows = 0, width = 0;
  for (Index k = 0; k < count; ++k) {
    Layer<Real> layer{};
    const int status = layers[k].cell != nullptr ? read_cell(layers[k], layer) : read_neurons(layers[k], layer);
    if (status != PEEPHOLE_OK) return status;
    if (layer.rows() < 1 || (k > 0 && (layer.rows() != rows || layer.inputs() != width))) return PEEPHOLE_BAD_SIZES;
    rows = layer.rows();
    width = layer.width();
    visit(k, layer);
  }
  return PEEPHOLE_OK;
}

// Takes a stepper's memory from the arena in the order in which it is filled, and fills it if there is any.
template <class Real>
int lay_out(const typename Buffers<Real>::Layer* layers, std::int64_t count, Memory<Real>& arena, bool fill) noexcept {
  using Whole = Stepper<Real>;
  using Stage = typename Whole::Stage;
  const Kernels<Real>& kernels = chosen<Real>();
  void* place = arena.template take<unsigned char>(sizeof(Whole));
  Stage* stages = reinterpret_cast<Stage*>(
      arena.template take<unsigned char>((count < 1 ? 0 : count) * static_cast<Index>(sizeof(Stage))));
  std::size_t last_h_bytes = 0;
  const int status = for_layers<Real>(layers, count, [&](Index k, const Layer<Real>& layer) {
    const bool last = k == count - 1;
    Real* y = layer.is_cell ? layer.h : last ? nullptr : arena.take(layer.rows() * layer.width());
    void* memory = arena.template take<unsigned char>(static_cast<Index>(kernels.layer_bytes(layer)));
    if (!fill) return;
    new (stages + k) Stage{kernels.make_layer(layer, memory), y};
    if (last && layer.is_cell) last_h_bytes = static_cast<std::size_t>(layer.rows() * layer.width()) * sizeof(Real);
  });
  if (fill && status == PEEPHOLE_OK) new (place) Whole{mark_of<Real>, stages, count, last_h_bytes};
  return status;
}

template <class Real>
std::size_t stepper_bytes(const typename Buffers<Real>::Layer* layers, std::int64_t count) noexcept {
  Memory<Real> arena;
  return lay_out<Real>(layers, count, arena, false) == PEEPHOLE_OK ? arena.needed() : unknown_bytes;
}

template <class Real>
int make_stepper(const typename Buffers<Real>::Layer* layers, std::int64_t count, void* memory,
                 std::size_t bytes) noexcept {
  Memory<Real> counted;
  const int status = lay_out<Real>(layers, count, counted, false);
  if (status != PEEPHOLE_OK) return status;
  if (memory == nullptr) return PEEPHOLE_MISSING_BUFFER;
  if (bytes < counted.needed()) return PEEPHOLE_SMALL_WORKSPACE;
  Memory<Real> arena(memory);
  return lay_out<Real>(layers, count, arena, true);
}

template <class Real>
int step(void* memory, const Real* x, Real* y) noexcept {
  if (any_null(memory, x, y)) return PEEPHOLE_MISSING_BUFFER;
  const Stepper<Real>* stepper = stepper_at<Real>(memory);
  if (stepper->mark != mark_of<Real>) return PEEPHOLE_BAD_PREPARED;
  stepper->run(x, y);
  return PEEPHOLE_OK;
}

}  // namespace
}  // namespace peephole

using namespace peephole;

extern "C" {

#define PEEPHOLE_DEFINE_STEPPER(real, suffix)                                                             \
  size_t peephole_stepper_bytes_##suffix(const peephole_layer_##suffix* layers, int64_t count) noexcept { \
    return stepper_bytes<real>(layers, count);                                                            \
  }                                                                                                       \
  int peephole_make_stepper_##suffix(const peephole_layer_##suffix* layers, int64_t count, void* memory,  \
                                     size_t bytes) noexcept {                                             \
    return make_stepper<real>(layers, count, memory, bytes);                                              \
  }                                                                                                       \
  int peephole_step_##suffix(void* stepper, const real* x, real* y) noexcept { return step<real>(stepper, x, y); }

PEEPHOLE_DEFINE_STEPPER(float, f32)
PEEPHOLE_DEFINE_STEPPER(double, f64)

}  // extern "C"
