// The layers of a stepper, made in the memory that they are given.
#pragma once

#include <new>

#include "dense_step.hpp"
#include "forward.hpp"
#include "step.hpp"

namespace peephole::PEEPHOLE_ISA {

// One step of several rows: the general pass over a sequence of one step, its weights laid out once.
template <class Real>
class RowsStep {
 public:
  RowsStep(const Layer<Real>& layer, Arena<Real>& arena) noexcept
      : s(layer.shape),
        w_(layer.weights),
        panels_(arena.template take<unsigned char>(bytes_of(s))),
        forward_(s, w_, panels_ == nullptr ? &arena : panels_, in_, tape_, 1, arena) {
    in_.h0 = tape_.h_n = layer.h;
    in_.c0 = tape_.c_n = layer.c;
    in_.r0 = tape_.r_n = layer.r;
  }

  void prepare() const noexcept { prepare_forward<Real>(s, w_, panels_); }

  void run(const Real* x) noexcept {
    in_.x = x;
    forward_.begin();
    forward_.run(Team{0, 1, nullptr});
  }

 private:
  static Index bytes_of(const Shape& shape) noexcept { return static_cast<Index>(prepared_bytes<Real>(shape)); }

  const Shape s;
  const typename Buffers<Real>::Weights w_;
  typename Buffers<Real>::Inputs in_{};
  typename Buffers<Real>::Tape tape_{};
  void* const panels_;
  Forward<Real> forward_;
};

template <class Step, class Real>
std::size_t step_bytes(const Layer<Real>& layer) noexcept {
  Arena<Real> arena;
  arena.template take<unsigned char>(sizeof(Step));
  const Step counted(layer, arena);
  return arena.needed();
}

template <class Step, class Real>
Step* make_step(const Layer<Real>& layer, void* memory) noexcept {
  Arena<Real> arena(memory);
  void* place = arena.template take<unsigned char>(sizeof(Step));
  Step* step = new (place) Step(layer, arena);
  step->prepare();
  return step;
}

template <class Real>
std::size_t layer_bytes(const Layer<Real>& layer) noexcept {
  if (!layer.is_cell) return step_bytes<DenseStep<Real>>(layer);
  return layer.shape.B == 1 ? step_bytes<CellStep<Real>>(layer) : step_bytes<RowsStep<Real>>(layer);
}

template <class Real>
LayerStep<Real> make_layer(const Layer<Real>& layer, void* memory) noexcept {
  if (!layer.is_cell) {
    return {make_step<DenseStep<Real>>(layer, memory),
            [](void* step, const Real* x, Real* y) noexcept { static_cast<const DenseStep<Real>*>(step)->run(x, y); }};
  }
  if (layer.shape.B == 1) {
    return {make_step<CellStep<Real>>(layer, memory),
            [](void* step, const Real* x, Real*) noexcept { static_cast<CellStep<Real>*>(step)->run(x); }};
  }
  return {make_step<RowsStep<Real>>(layer, memory),
          [](void* step, const Real* x, Real*) noexcept { static_cast<RowsStep<Real>*>(step)->run(x); }};
}

}  // namespace peephole::PEEPHOLE_ISA
