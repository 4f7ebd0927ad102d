// The fast kernels of one instruction set. CMake compiles this file once for each, with PEEPHOLE_ISA naming it.
#include "kernels.hpp"

#include "backward.hpp"
#include "dense.hpp"
#include "forward.hpp"
#include "peak.hpp"
#include "random.hpp"
#include "stepper.hpp"

namespace peephole::PEEPHOLE_ISA {
namespace {

// The threads that find something to do.
template <class Real>
Index occupied(const Shape& s, peephole_pass pass, Index wanted) noexcept {
  if (pass == PEEPHOLE_BACKWARD || s.B >= wanted || divide(s, wanted, sizeof(Real), s.K, fewest_rows).by_units)
    return wanted;
  return s.B < 1 ? 1 : s.B;
}

// A pass over one shape, made anew for another number of threads.
template <class Pass, class Make>
void run_pass(Index wanted, const Threads* threads, Make make) noexcept {
  struct Job {
    Pass* pass;
    Index size;
    Barrier barrier;
    bool done;
  };
  if (wanted > 1) {
    Pass pass = make(wanted);
    pass.begin();
    Job job{&pass, wanted, {}, false};
    threads->run(
        threads->context, static_cast<std::int32_t>(wanted),
        [](void* argument, std::int32_t rank, std::int32_t size) noexcept {
          Job& own = *static_cast<Job*>(argument);
          if (size != own.size) return;  // fewer came than the work was divided for
          own.pass->run(Team{rank, size, &own.barrier});
          if (rank == 0) own.done = true;
        },
        &job);
    if (job.done) return;
  }
  Pass pass = make(1);
  pass.begin();
  Barrier alone;
  pass.run(Team{0, 1, &alone});
}

template <class Real>
Index wanted_threads(const Shape& s, peephole_pass pass, const Threads* threads) noexcept {
  return threads == nullptr || threads->run == nullptr ? 1 : occupied<Real>(s, pass, threads->count);
}

template <class Real>
void forward(const Shape& shape, const typename Buffers<Real>::Weights& weights, const void* prepared,
             const typename Buffers<Real>::Inputs& inputs, const typename Buffers<Real>::Tape& tape, void* workspace,
             const Threads* threads) noexcept {
  run_pass<Forward<Real>>(wanted_threads<Real>(shape, PEEPHOLE_FORWARD, threads), threads, [&](Index count) {
    Arena<Real> arena(workspace);
    return Forward<Real>(shape, weights, prepared, inputs, tape, count, arena);
  });
}

template <class Real>
void backward(const Shape& shape, const typename Buffers<Real>::Weights& weights,
              const typename Buffers<Real>::Inputs& inputs, const typename Buffers<Real>::Tape& tape,
              const typename Buffers<Real>::Errors& errors, const typename Buffers<Real>::Gradients& gradients,
              void* workspace, const Threads* threads) noexcept {
  run_pass<Backward<Real>>(wanted_threads<Real>(shape, PEEPHOLE_BACKWARD, threads), threads, [&](Index count) {
    Arena<Real> arena(workspace);
    return Backward<Real>(shape, weights, inputs, tape, errors, gradients, count, arena);
  });
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
std::size_t bytes_with(const Shape& shape, peephole_pass pass, bool prepared, Index threads) noexcept {
  Arena<Real> arena;
  const typename Buffers<Real>::Weights weights{};
  const typename Buffers<Real>::Inputs inputs{};
  const typename Buffers<Real>::Tape tape{};
  if (pass == PEEPHOLE_FORWARD) {
    const Forward<Real> counted(shape, weights, prepared ? &arena : nullptr, inputs, tape, threads, arena);
  } else {
    const typename Buffers<Real>::Errors errors{};
    const typename Buffers<Real>::Gradients gradients{};
    const Backward<Real> counted(shape, weights, inputs, tape, errors, gradients, threads, arena);
  }
  return arena.needed();
}

// Enough for so many threads and, should they not come, for one.
template <class Real>
std::size_t workspace_bytes(const Shape& shape, peephole_pass pass, bool prepared, Index threads) noexcept {
  const Index wanted = occupied<Real>(shape, pass, threads);
  const std::size_t alone = bytes_with<Real>(shape, pass, prepared, 1);
  return wanted == 1 ? alone : std::max(alone, bytes_with<Real>(shape, pass, prepared, wanted));
}

template <class Real>
std::size_t dense_workspace_bytes(const peephole_dense& layer, peephole_pass pass) noexcept {
  Arena<Real> arena;
  const typename Buffers<Real>::Dense buffers{};
  const Dense<Real> counted(layer, pass, buffers, arena);
  return arena.needed();
}

}  // namespace

template <class Real>
const Kernels<Real>& kernels() noexcept {
  static constexpr Kernels<Real> table{forward<Real>,
                                       backward<Real>,
                                       dense<Real>,
                                       workspace_bytes<Real>,
                                       dense_workspace_bytes<Real>,
                                       activate<Real>,
                                       draw_mask<Real>,
                                       measure_peak<Real>,
                                       measure_tile<Real>,
                                       vector_bytes,
                                       prepared_bytes<Real>,
                                       prepare_forward<Real>,
                                       layer_bytes<Real>,
                                       make_layer<Real>};
  return table;
}

template const Kernels<float>& kernels<float>() noexcept;
template const Kernels<double>& kernels<double>() noexcept;

}  // namespace peephole::PEEPHOLE_ISA
