// The layers of a stepper, made in the memory that they are given: the passes over a sequence of one step.
#pragma once

#include <new>

#include "dense.hpp"
#include "kernels.hpp"
#include "recurrence_forward.hpp"

namespace peephole::PEEPHOLE_ISA {

template <class Real>
class CellStep {
 public:
  CellStep(const Layer<Real>& layer, Arena<Real>& arena) noexcept
      : s(layer.shape), w_(layer.weights), forward_(s, w_, in_, tape_, arena) {
    in_.h0 = tape_.h_n = layer.h;
    in_.c0 = tape_.c_n = layer.c;
    in_.r0 = tape_.r_n = layer.r;
  }

  void run(const Real* x, Real*) noexcept {
    in_.x = x;
    forward_.run();
  }

 private:
  const Shape s;
  const typename Buffers<Real>::Weights w_;
  typename Buffers<Real>::Inputs in_{};
  typename Buffers<Real>::Tape tape_{};
  Forward<Real> forward_;
};

template <class Real>
class DenseStep {
 public:
  DenseStep(const Layer<Real>& layer, Arena<Real>& arena) noexcept
      : n_(layer.dense), forward_(n_, PEEPHOLE_FORWARD, values_, arena), y_(arena.take(n_.B * n_.O)) {
    values_.W = layer.W;
    values_.b = layer.b;
    values_.y = y_;
  }

  void run(const Real* x, Real* y) noexcept {
    values_.x = x;
    forward_.forward();
    copy_or_zero<Real>(y, y_, n_.B * n_.O);
  }

 private:
  const peephole_dense n_;
  typename Buffers<Real>::Dense values_{};
  const Dense<Real> forward_;
  Real* const y_;
};

template <class Step, class Real>
std::size_t step_bytes(const Layer<Real>& layer) noexcept {
  Arena<Real> arena;
  arena.template take<unsigned char>(sizeof(Step));
  const Step counted(layer, arena);
  return arena.needed();
}

template <class Step, class Real>
LayerStep<Real> make_step(const Layer<Real>& layer, void* memory) noexcept {
  Arena<Real> arena(memory);
  void* place = arena.template take<unsigned char>(sizeof(Step));
  return {new (place) Step(layer, arena),
          [](void* step, const Real* x, Real* y) noexcept { static_cast<Step*>(step)->run(x, y); }};
}

template <class Real>
std::size_t layer_bytes(const Layer<Real>& layer) noexcept {
  return layer.is_cell ? step_bytes<CellStep<Real>>(layer) : step_bytes<DenseStep<Real>>(layer);
}

template <class Real>
LayerStep<Real> make_layer(const Layer<Real>& layer, void* memory) noexcept {
  return layer.is_cell ? make_step<CellStep<Real>>(layer, memory) : make_step<DenseStep<Real>>(layer, memory);
}

}  // namespace peephole::PEEPHOLE_ISA
