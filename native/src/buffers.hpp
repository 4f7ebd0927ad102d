// The C structs of buffers by real type, so that templates can name them.
#pragma once

#include "peephole.h"

namespace peephole {

template <class Real>
struct Buffers;

template <>
struct Buffers<float> {
  using Weights = peephole_weights_f32;
  using Inputs = peephole_inputs_f32;
  using Tape = peephole_tape_f32;
  using Errors = peephole_errors_f32;
  using Gradients = peephole_gradients_f32;
  using Dense = peephole_dense_buffers_f32;
  using Layer = peephole_layer_f32;
};

template <>
struct Buffers<double> {
  using Weights = peephole_weights_f64;
  using Inputs = peephole_inputs_f64;
  using Tape = peephole_tape_f64;
  using Errors = peephole_errors_f64;
  using Gradients = peephole_gradients_f64;
  using Dense = peephole_dense_buffers_f64;
  using Layer = peephole_layer_f64;
};

}  // namespace peephole
