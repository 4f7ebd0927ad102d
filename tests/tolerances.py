"""Every tolerance of the tests, by name; a test's body holds none."""

from __future__ import annotations

TOLERANCES: dict[str, float] = {
    # Relative error of an analytic gradient against central differences in float64.
    "gradient_check": 1e-7,
    # Float64 sums of a few dozen terms of order one, added in another order.
    "same_sum_in_another_order": 1e-13,
    # nn: the same operations in the same order.
    "nn_same_bits": 0.0,
    # nn: the same sums in another order, float64.
    "nn_order_of_sums": 1e-14,
    # nn: the same in float64 at sizes that several threads share: sums of thousands of terms.
    "nn_threads_float64": 1e-11,
    # nn: against torch.nn.LSTM and torch.nn.RNN, forward and every gradient, float64.
    "nn_torch_float64": 1e-12,
    # nn: the same in float32.
    "nn_torch_float32": 5e-6,
    # nn: the kernels against torch operations and autograd, a few hundred terms a gradient.
    "nn_kernels_float64": 1e-12,
    "nn_kernels_float32": 2e-5,
    # nn: the same with layer norm over as few as two units, whose difference is divided by itself.
    "nn_kernels_layer_norm_float32": 5e-4,
    # nn: Keras on torch, forward and every gradient, in float32; in float64 too, whose products Keras makes in float32.
    "nn_keras": 5e-6,
    # nn: weights after a few steps of an optimiser that divides by the size of the gradient, float64.
    "nn_training_float64": 1e-9,
    # nn: half precision keeps 8 (bfloat16) or 11 bits.
    "nn_half": 5e-2,
    # nn: cuDNN's float32, which may use TF32.
    "nn_cuda_float32": 5e-3,
    # nn: the mean of 20 000 draws of a unit-size value.
    "nn_mean_of_draws": 2e-2,
    # nn: against torch, relative to the largest element, where gates are saturated or numbers tiny or huge.
    "nn_numbers_float64": 1e-11,
    "nn_numbers_float32": 2e-5,
    # equations: attention by NumPy and by torch, sums of a dozen terms.
    "attention_float64": 1e-13,
    # decoding: sums of up to six log-probabilities in another order.
    "decoding_sums": 1e-12,
    # nn: inner products of the rows of a factorised matrix of a few dozen.
    "nn_orthogonal_float64": 1e-13,
    "nn_orthogonal_float32": 2e-6,
    # nn: f / (1 − f) of a forget gate near 1, relative.
    "nn_odds": 1e-12,
    # runtime: a step and a pass over many steps add the same products, in an order that a kernel may choose.
    "runtime_float64": 1e-13,
    "runtime_float32": 1e-6,
    # runtime: an encoder-decoder in torch and in NumPy, several sums one after the other.
    "runtime_sequences_float64": 1e-12,
    "runtime_sequences_float32": 1e-5,
    # runtime: a forecast in the series' own unit, from a network in float32.
    "runtime_forecast": 1e-5,
    # kernels: standard deviations that a fixed draw may be off, of the tens of values that are looked at.
    "random_sigmas": 4.5,
    # kernels: the same operations in the same order.
    "native_same_bits": 0.0,
    # kernels: compiled float64 against the equations, relative to the largest element: sums in another order.
    "native_float64": 1e-13,
    # kernels: compiled float32 against the equations in float64, relative to the largest element.
    "native_float32": 5e-6,
    # kernels: both with layer norm, whose 1/sqrt(variance) over the tests' two or three units multiplies rounding.
    "native_float64_layer_norm": 1e-12,
    "native_float32_layer_norm": 5e-5,
    # kernels: the same over 200 steps.
    "native_float32_long": 5e-5,
    # kernels: the fast ones against the plain ones, relative to the largest element: sums of a few hundred terms in
    # another order, fused operations, and a logistic function and tanh of their own.
    "native_fast_float64": 1e-12,
    "native_fast_float32": 5e-6,
    # kernels: the same over 320 steps.
    "native_fast_float32_long": 2e-4,
    # kernels: the same with layer norm.
    "native_fast_float64_layer_norm": 1e-12,
    "native_fast_float32_layer_norm": 2e-4,
    # data: scaling there and back, relative to the largest value.
    "data_round_trip": 1e-12,
    # training: the gradient, by hand and by autograd, of a linear layer in float64.
    "training_float64": 1e-12,
    # training: the norm of a clipped gradient in float32; torch adds 1e-6 to the norm it divides by.
    "training_clipped_float32": 1e-3,
    # tasks: means of a few dozen float64 errors, by utilsforecast and by hand.
    "tasks_metrics": 1e-9,
    # tasks: a forecast in float32, by torch modules and by the runtime, in units of the series' deviation.
    "tasks_runtime_float32": 1e-5,
    # bench: everyone's result and gradients against ours, relative to the largest element.
    "bench_float64": 1e-12,
    "bench_float32": 2e-5,
    # bench: the same with layer norm, over eight units.
    "bench_layer_norm_float32": 5e-4,
    # bench: medians and means of a few numbers, by hand.
    "bench_by_hand": 1e-12,
    # bench: times and rates are told with five digits.
    "bench_told": 2e-4,
    # conversion: ONNX Runtime uses its own approximations of tanh and of the logistic function.
    "onnx_runtime_float32": 5e-6,
    # conversion: ONNX's own evaluator in NumPy, float64: sums in another order.
    "onnx_reference_float64": 1e-13,
    # conversion: ONNX's published cases were computed in float32; ONNX itself allows 1e-3.
    "onnx_published_float32": 2e-6,
    # benchmarks: losses of a few steps of training in nats, by torch's layer and ours; each update carries rounding on.
    "convert_curve_float64": 1e-9,
}
