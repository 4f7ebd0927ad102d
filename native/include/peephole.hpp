// The C interface by real type, so that C++ templates can name it.
#pragma once

#include "peephole.h"

namespace peephole {

// The structs of buffers.
template <class Real>
struct Buffers;

// The structs and the functions.
template <class Real>
struct Api;

#define PEEPHOLE_DEFINE_API(real, suffix)                                        \
  template <>                                                                    \
  struct Buffers<real> {                                                         \
    using Weights = peephole_weights_##suffix;                                   \
    using Inputs = peephole_inputs_##suffix;                                     \
    using Tape = peephole_tape_##suffix;                                         \
    using Errors = peephole_errors_##suffix;                                     \
    using Gradients = peephole_gradients_##suffix;                               \
    using Dense = peephole_dense_buffers_##suffix;                               \
    using Layer = peephole_layer_##suffix;                                       \
  };                                                                             \
  template <>                                                                    \
  struct Api<real> : Buffers<real> {                                             \
    static constexpr auto forward = peephole_forward_##suffix;                   \
    static constexpr auto forward_prepared = peephole_forward_prepared_##suffix; \
    static constexpr auto prepare = peephole_prepare_##suffix;                   \
    static constexpr auto backward = peephole_backward_##suffix;                 \
    static constexpr auto dense_forward = peephole_dense_forward_##suffix;       \
    static constexpr auto dense_backward = peephole_dense_backward_##suffix;     \
    static constexpr auto stepper_bytes = peephole_stepper_bytes_##suffix;       \
    static constexpr auto make_stepper = peephole_make_stepper_##suffix;         \
    static constexpr auto step = peephole_step_##suffix;                         \
    static_assert(noexcept(step(nullptr, nullptr, nullptr)));                    \
  };

PEEPHOLE_DEFINE_API(float, f32)
PEEPHOLE_DEFINE_API(double, f64)

#undef PEEPHOLE_DEFINE_API

}  // namespace peephole
