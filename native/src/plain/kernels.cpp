// The plain kernels: the equations in loops that anybody can read, the oracle of the fast ones. One thread.
#include "kernels.hpp"

#include "dense.hpp"
#include "random.hpp"
#include "recurrence_backward.hpp"
#include "recurrence_forward.hpp"
#include "stepper.hpp"

namespace peephole::PEEPHOLE_ISA {
namespace {

template <class Real>
void forward(const Shape& shape, const typename Buffers<Real>::Weights& weights, const void*,
             const typename Buffers<Real>::Inputs& inputs, const typename Buffers<Real>::Tape& tape, void* workspace,
             const Threads*) noexcept {
  Arena<Real> arena(workspace);
  Forward<Real>(shape, weights, inputs, tape, arena).run();
}

template <class Real>
void backward(const Shape& shape, const typename Buffers<Real>::Weights& weights,
              const typename Buffers<Real>::Inputs& inputs, const typename Buffers<Real>::Tape& tape,
              const typename Buffers<Real>::Errors& errors, const typename Buffers<Real>::Gradients& gradients,
              void* workspace, const Threads*) noexcept {
  Arena<Real> arena(workspace);
  Backward<Real>(shape, weights, inputs, tape, errors, gradients, arena).run();
}

template <class Real>
void dense(const peephole_dense& layer, peephole_pass pass, const typename Buffers<Real>::Dense& buffers,
           void* workspace) noexcept {
  Arena<Real> arena(workspace);
  const Dense<Real> work(layer, pass, buffers, arena);
  if (pass == PEEPHOLE_FORWARD) {
    work.forward();
  } else {
    work.backward();
  }
}

template <class Real>
std::size_t workspace_bytes(const Shape& shape, peephole_pass pass, bool, Index) noexcept {
  Arena<Real> arena;
  const typename Buffers<Real>::Weights weights{};
  const typename Buffers<Real>::Inputs inputs{};
  const typename Buffers<Real>::Tape tape{};
  if (pass == PEEPHOLE_FORWARD) {
    const Forward<Real> counted(shape, weights, inputs, tape, arena);
  } else {
    const typename Buffers<Real>::Errors errors{};
    const typename Buffers<Real>::Gradients gradients{};
    const Backward<Real> counted(shape, weights, inputs, tape, errors, gradients, arena);
  }
  return arena.needed();
}

template <class Real>
void activated(peephole_activation phi, const Real* z, Real* y, Index count) noexcept {
  copy_or_zero(y, z, count);
  activate(phi, y, count);
}

template <class Real>
std::size_t dense_workspace_bytes(const peephole_dense& layer, peephole_pass pass) noexcept {
  Arena<Real> arena;
  const typename Buffers<Real>::Dense buffers{};
  const Dense<Real> counted(layer, pass, buffers, arena);
  return arena.needed();
}

// Nothing is laid out: the weights are read where they are.
std::size_t prepared_bytes(const Shape&) noexcept { return 0; }

template <class Real>
void prepare(const Shape&, const typename Buffers<Real>::Weights&, void*) noexcept {}

}  // namespace

template <class Real>
const Kernels<Real>& kernels() noexcept {
  static constexpr Kernels<Real> table{forward<Real>,
                                       backward<Real>,
                                       dense<Real>,
                                       workspace_bytes<Real>,
                                       dense_workspace_bytes<Real>,
                                       activated<Real>,
                                       draw_mask<Real>,
                                       nullptr,
                                       nullptr,
                                       0,
                                       prepared_bytes,
                                       prepare<Real>,
                                       layer_bytes<Real>,
                                       make_layer<Real>};
  return table;
}

template const Kernels<float>& kernels<float>() noexcept;
template const Kernels<double>& kernels<double>() noexcept;

}  // namespace peephole::PEEPHOLE_ISA
