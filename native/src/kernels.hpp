// What one instruction set offers: a table of functions. Arguments are checked before (abi.cpp).
#pragma once

#include "buffers.hpp"
#include "isa.hpp"
#include "shape.hpp"

namespace peephole {

template <class Real>
struct Kernels {
  using B = Buffers<Real>;

  void (*forward)(const Shape&, const typename B::Weights&, const typename B::Inputs&, const typename B::Tape&,
                  void* workspace) noexcept;
  void (*backward)(const Shape&, const typename B::Weights&, const typename B::Inputs&, const typename B::Tape&,
                   const typename B::Errors&, const typename B::Gradients&, void* workspace) noexcept;
  void (*dense)(const peephole_dense&, peephole_pass, const typename B::Dense&, void* workspace) noexcept;
  std::size_t (*workspace_bytes)(const Shape&, peephole_pass) noexcept;
  std::size_t (*dense_workspace_bytes)(const peephole_dense&, peephole_pass) noexcept;
};

namespace PEEPHOLE_ISA {
template <class Real>
const Kernels<Real>& kernels() noexcept;
}  // namespace PEEPHOLE_ISA

}  // namespace peephole
