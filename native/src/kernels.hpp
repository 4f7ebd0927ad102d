// What one instruction set offers: a table of functions. Arguments are checked before (abi.cpp).
#pragma once

#include "isa.hpp"
#include "peephole.hpp"
#include "shape.hpp"

namespace peephole {

// Who runs a pass: the caller's threads, or null and one for the calling thread alone.
using Threads = peephole_threads;

// One layer of a stepper: a cell and its state, or neurons.
template <class Real>
struct Layer {
  bool is_cell;
  Shape shape;
  typename Buffers<Real>::Weights weights;
  Real *h, *c, *r;
  peephole_dense dense;
  const Real *W, *b;  // of the neurons

  Index rows() const noexcept { return is_cell ? shape.B : dense.B; }
  Index inputs() const noexcept { return is_cell ? shape.I : dense.I; }
  Index width() const noexcept { return is_cell ? shape.P : dense.O; }
};

// The same, made: run(object, x, y) takes one step. A cell writes its state and no y.
template <class Real>
struct LayerStep {
  void* object;
  void (*run)(void* object, const Real* x, Real* y) noexcept;
};

template <class Real>
struct Kernels {
  using B = Buffers<Real>;

  // prepared: what prepare made, or null.
  void (*forward)(const Shape&, const typename B::Weights&, const void* prepared, const typename B::Inputs&,
                  const typename B::Tape&, void* workspace, const Threads*) noexcept;
  void (*backward)(const Shape&, const typename B::Weights&, const typename B::Inputs&, const typename B::Tape&,
                   const typename B::Errors&, const typename B::Gradients&, void* workspace, const Threads*) noexcept;
  void (*dense)(const peephole_dense&, peephole_pass, const typename B::Dense&, void* workspace) noexcept;
  std::size_t (*workspace_bytes)(const Shape&, peephole_pass, bool prepared, Index threads) noexcept;
  std::size_t (*dense_workspace_bytes)(const peephole_dense&, peephole_pass) noexcept;
  void (*activate)(peephole_activation, const Real* z, Real* y, Index count) noexcept;
  void (*draw_mask)(std::uint64_t seed, double probability, Real value, Real* mask, Index count) noexcept;
  double (*peak)(double seconds) noexcept;
  double (*tile_rate)(Index rows, Index vectors, double seconds) noexcept;

  Index layout;  // a number of its own for every way to lay prepared weights out
  std::size_t (*prepared_bytes)(const Shape&) noexcept;
  void (*prepare)(const Shape&, const typename B::Weights&, void* memory) noexcept;

  std::size_t (*layer_bytes)(const Layer<Real>&) noexcept;
  LayerStep<Real> (*make_layer)(const Layer<Real>&, void* memory) noexcept;
};

namespace plain {
template <class Real>
const Kernels<Real>& kernels() noexcept;
}
namespace baseline {
template <class Real>
const Kernels<Real>& kernels() noexcept;
}
namespace avx2 {
template <class Real>
const Kernels<Real>& kernels() noexcept;
}
namespace avx512 {
template <class Real>
const Kernels<Real>& kernels() noexcept;
}

}  // namespace peephole
