// What one instruction set offers: a table of functions. Arguments are checked before (abi.cpp).
#pragma once

#include "buffers.hpp"
#include "isa.hpp"
#include "shape.hpp"

namespace peephole {

// Who runs a pass: the caller's threads, or null and one for the calling thread alone.
using Threads = peephole_threads;

template <class Real>
struct Kernels {
  using B = Buffers<Real>;

  void (*forward)(const Shape&, const typename B::Weights&, const typename B::Inputs&, const typename B::Tape&,
                  void* workspace, const Threads*) noexcept;
  void (*backward)(const Shape&, const typename B::Weights&, const typename B::Inputs&, const typename B::Tape&,
                   const typename B::Errors&, const typename B::Gradients&, void* workspace, const Threads*) noexcept;
  void (*dense)(const peephole_dense&, peephole_pass, const typename B::Dense&, void* workspace) noexcept;
  std::size_t (*workspace_bytes)(const Shape&, peephole_pass, Index threads) noexcept;
  std::size_t (*dense_workspace_bytes)(const peephole_dense&, peephole_pass) noexcept;
  void (*activate)(peephole_activation, const Real* z, Real* y, Index count) noexcept;
  double (*peak)(double seconds) noexcept;
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
