/* The header is C: one step of the smallest LSTM, called from C. */
#include <math.h>

#include "peephole.h"

/* With W = R = b = 0 every gate is 1/2 and g = 0, so that c = c0/2 and h = tanh(c)/2. Returns 0 if so. */
int run_from_c(void) {
  peephole_cell cell = {0};
  peephole_sizes sizes = {1, 1, 1, 1, 1, 0, 0};
  double zeros[4] = {0}, x[1] = {3}, h0[1] = {0.5}, c0[1] = {2}, h[1], c[1];
  double scratch[4096];
  peephole_weights_f64 weights = {0};
  peephole_inputs_f64 inputs = {0};
  peephole_tape_f64 tape = {0};
  peephole_workspace workspace = {scratch, sizeof scratch};
  cell.input_gate = cell.forget_gate = cell.output_gate = cell.cells_per_block = 1;
  weights.W = weights.R = weights.b = zeros;
  inputs.x = x;
  inputs.h0 = h0;
  inputs.c0 = c0;
  tape.h_n = h;
  tape.c_n = c;
  if (peephole_abi_version() != PEEPHOLE_ABI_VERSION) return 1;
  if (peephole_forward_f64(&cell, &sizes, &weights, &inputs, &tape, &workspace, 0) != PEEPHOLE_OK) return 2;
  if (c[0] != 1.0) return 3;
  return fabs(h[0] - 0.5 * tanh(1.0)) < 1e-15 ? 0 : 4;
}
