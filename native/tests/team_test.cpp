// A team of threads at shapes that make it divide the work in every way it knows: rows of the batch; units, because the
// rows are too few; units, because the weights are too many. Over several stretches of steps, ragged and not, in both
// directions. By the kernels of every instruction set that this machine has.
//
// Everything that two and three threads leave, on the tape and as gradients, must be what the plain kernels leave
// alone; must be the same bits when it is done again; and the tape must be the same bits as that of one thread. Built
// with PEEPHOLE_SANITIZE=thread it also finds what two threads touch without having met in between.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "support.hpp"

namespace {

using namespace peephole_test;

// Relative to the largest element: sums of up to a thousand terms, in another order and with fused operations.
constexpr double tolerance = 1e-12;

struct Case {
  const char* name;
  peephole_cell cell;
  peephole_sizes sizes;
  bool ragged;
};

peephole_cell lstm() {
  peephole_cell cell{};
  cell.input_gate = cell.forget_gate = cell.output_gate = cell.cells_per_block = 1;
  return cell;
}

peephole_cell peepholes() {
  peephole_cell cell = lstm();
  cell.peepholes = 1;
  cell.zoneout_cell = 0.25;
  cell.zoneout_hidden = 0.5;
  return cell;
}

peephole_cell coupled() {
  peephole_cell cell = lstm();
  cell.coupled = 1;
  return cell;
}

// Cells whose units need one another: their rows alone can be divided.
peephole_cell everything() {
  peephole_cell cell = peepholes();
  cell.full_gate_recurrence = cell.layer_norm = cell.projection = 1;
  return cell;
}

// {T, B, I, H, P, reverse, compact}. With 161 units a third thread finds a panel even where 64 make one.
const Case cases[] = {
    {"units of one row", lstm(), {9, 1, 3, 161, 161, 0, 0}, false},
    {"units of one row, backwards in time", lstm(), {9, 1, 3, 161, 161, 1, 0}, false},
    {"units of two ragged rows, backwards", peepholes(), {7, 2, 5, 161, 161, 1, 0}, true},
    {"units of two ragged rows, peepholes", peepholes(), {7, 2, 5, 193, 193, 0, 0}, true},
    {"units over several stretches", coupled(), {70, 1, 1, 161, 161, 0, 0}, false},
    {"units, ragged, over several stretches", lstm(), {40, 2, 1, 161, 161, 1, 0}, true},
    {"units because of large weights", lstm(), {4, 5, 3, 257, 257, 0, 0}, false},
    {"units because of large weights, ragged", coupled(), {4, 4, 3, 300, 300, 0, 0}, true},
    {"rows over several stretches", peepholes(), {70, 7, 3, 33, 33, 0, 0}, true},
    {"rows over several stretches, backwards", lstm(), {70, 7, 3, 33, 33, 1, 0}, true},
    {"rows on a compact tape", peepholes(), {70, 7, 3, 33, 33, 0, 1}, true},
    {"rows of a cell with everything on a compact tape, backwards", everything(), {9, 7, 3, 17, 5, 1, 1}, true},
    {"rows of a cell with everything", everything(), {9, 7, 3, 17, 5, 1, 0}, true},
    {"fewer rows than threads, small", lstm(), {5, 1, 3, 7, 7, 0, 0}, false},
    {"no rows", lstm(), {5, 0, 3, 161, 161, 0, 0}, false},
};

// What a pass leaves, array by array.
struct Outcome {
  std::vector<double> arrays[22];
  std::vector<double>* tape() { return arrays; }
  std::vector<double>* gradients() { return arrays + 10; }
};
constexpr int tape_arrays = 10;
const char* const names[] = {"y",   "gates", "c",   "a",  "c_hat", "normed", "rstd", "h_n", "c_n",  "r_n",   "dx",
                             "dh0", "dc0",   "dr0", "dW", "dR",    "db",     "dp",   "dS",  "dW_p", "dgain", "dshift"};

class Trial {
 public:
  explicit Trial(const Case& one) : cell_(one.cell), n_(one.sizes) {
    const std::int64_t gates = 2 + (cell_.coupled ? 0 : 1), G = gates * n_.H, K = G + n_.H, U = K + n_.H;
    const std::int64_t steps = n_.T * n_.B;
    const std::int64_t tape_sizes[] = {steps * n_.P, steps * K,           steps * n_.H, steps * n_.H, steps * n_.H,
                                       steps * U,    steps * (gates + 2), n_.B * n_.P,  n_.B * n_.H,  n_.B * G};
    const std::int64_t weight_sizes[] = {K * n_.I, K * n_.P, K, gates * n_.H, G * G, n_.P * n_.H, U, U};
    const std::int64_t input_sizes[] = {steps * n_.I, n_.B * n_.P, n_.B * n_.H, n_.B * G};
    // What is not of the cell is null below, and empty here.
    const bool is_there[] = {true,
                             true,
                             true,
                             cell_.peepholes != 0,
                             cell_.full_gate_recurrence != 0,
                             cell_.projection != 0,
                             cell_.layer_norm != 0,
                             cell_.layer_norm != 0};
    const double scale = 1 / std::sqrt(static_cast<double>(n_.P));
    for (int k = 0; k < 8; ++k) weights_[k] = drawn(is_there[k] ? weight_sizes[k] : 0, k < 2 ? scale : 0.3);
    for (int k = 0; k < 4; ++k) inputs_[k] = drawn(input_sizes[k]);
    for (int k = 0; k < 6; ++k) errors_[k] = drawn(tape_sizes[error_of[k]]);
    for (std::int64_t row = 0; one.ragged && row < n_.B; ++row) lengths_.push_back((row * 3 + n_.T - 1) % (n_.T + 1));
    for (int k = 0; k < tape_arrays; ++k) sizes_[k] = tape_sizes[k];
    for (int k = 0; k < 4; ++k) sizes_[tape_arrays + k] = input_sizes[k];
    for (int k = 0; k < 8; ++k) sizes_[tape_arrays + 4 + k] = is_there[k] ? weight_sizes[k] : 0;
  }

  Outcome run(const peephole_threads& threads) const {
    Outcome out;
    for (int k = 0; k < 22; ++k) out.arrays[k].assign(static_cast<std::size_t>(sizes_[k]), k < 10 ? 0.0 : 7.0);
    const auto& w = weights_;
    const peephole_weights_f64 weights{at(w[0]), at(w[1]), at(w[2]), at(w[3]), at(w[4]), at(w[5]), at(w[6]), at(w[7])};
    const peephole_inputs_f64 inputs{
        at(inputs_[0]), at(inputs_[1]), at(inputs_[2]), at(inputs_[3]), lengths_.empty() ? nullptr : lengths_.data(),
        nullptr,        nullptr,        nullptr,        nullptr};
    auto* t = out.tape();
    for (int k : {7, 8}) t[k].reserve(1);  // the final state has an address also where there are no rows
    const peephole_tape_f64 tape{
        at(t[0]), at(t[1]), at(t[2]),    at(t[3]),    cell_.zoneout_cell > 0 ? at(t[4]) : nullptr,
        at(t[5]), at(t[6]), t[7].data(), t[8].data(), at(t[9])};
    const auto& e = errors_;
    const peephole_errors_f64 errors{at(e[0]), at(e[1]), at(e[2]), at(e[3]), at(e[4]), at(e[5])};
    auto* d = out.gradients();
    const peephole_gradients_f64 gradients{at(d[0]), at(d[1]), at(d[2]), at(d[3]), at(d[4]),  at(d[5]),
                                           at(d[6]), at(d[7]), at(d[8]), at(d[9]), at(d[10]), at(d[11])};
    std::vector<unsigned char> bytes = memory(PEEPHOLE_FORWARD, threads);
    peephole_workspace workspace{bytes.data(), bytes.size()};
    expect(peephole_forward_f64(&cell_, &n_, &weights, &inputs, &tape, &workspace, &threads) == PEEPHOLE_OK, "forward");
    bytes = memory(PEEPHOLE_BACKWARD, threads);
    workspace = {bytes.data(), bytes.size()};
    expect(peephole_backward_f64(&cell_, &n_, &weights, &inputs, &tape, &errors, &gradients, &workspace, &threads) ==
               PEEPHOLE_OK,
           "backward");
    return out;
  }

 private:
  // The place on the tape of what dy, dh_n, dc_n, dr_n, dgates, dc are errors on.
  static constexpr int error_of[] = {0, 7, 8, 9, 1, 2};

  static double* at(std::vector<double>& values) { return values.empty() ? nullptr : values.data(); }
  static const double* at(const std::vector<double>& values) { return values.empty() ? nullptr : values.data(); }
  // Filled, so that nothing rests upon what a workspace holds.
  std::vector<unsigned char> memory(peephole_pass pass, const peephole_threads& threads) const {
    return std::vector<unsigned char>(peephole_workspace_bytes(&cell_, &n_, pass, sizeof(double), threads.count), 0xff);
  }

  peephole_cell cell_;
  peephole_sizes n_;
  std::vector<double> weights_[8], inputs_[4], errors_[6];
  std::vector<std::int64_t> lengths_;
  std::int64_t sizes_[22];
};

void expect_near(const Outcome& actual, const Outcome& expected, const Case& one, int threads) {
  for (int k = 0; k < 22; ++k) {
    double scale = 1, error = 0;
    for (std::size_t j = 0; j < expected.arrays[k].size(); ++j) {
      scale = std::max(scale, std::fabs(expected.arrays[k][j]));
      const double difference = std::fabs(actual.arrays[k][j] - expected.arrays[k][j]);
      error = difference > error || std::isnan(difference) ? difference : error;
    }
    if (error <= tolerance * scale) continue;
    std::fprintf(stderr, "FAILED: %s of %s by %d threads of %s is not that of plain: error %g of %g\n", names[k],
                 one.name, threads, peephole_isa(), error, scale);
    ++failures;
  }
}

void expect_same_bits(const Outcome& actual, const Outcome& expected, int count, const Case& one, const char* law) {
  for (int k = 0; k < count; ++k) {
    const std::size_t bytes = expected.arrays[k].size() * sizeof(double);
    if (bytes == 0 || std::memcmp(actual.arrays[k].data(), expected.arrays[k].data(), bytes) == 0) continue;
    std::fprintf(stderr, "FAILED: %s of %s by %s: %s\n", names[k], one.name, peephole_isa(), law);
    ++failures;
  }
}

void check(const Case& one, const char* isa) {
  const Trial trial(one);
  expect(peephole_force_isa("plain") == PEEPHOLE_OK, "the plain kernels");
  const Outcome plain = trial.run(alone);
  expect(peephole_force_isa(isa) == PEEPHOLE_OK, "an instruction set by name");
  const Outcome first = trial.run(alone);
  expect_near(first, plain, one, 1);
  for (const peephole_threads* lent : {&two, &three}) {
    const Outcome out = trial.run(*lent);
    expect_near(out, plain, one, lent->count);
    expect_same_bits(out, first, tape_arrays, one, "the tape depends on the number of threads");
    expect_same_bits(trial.run(*lent), out, 22, one, "not the same bits run after run");
  }
  expect_same_bits(trial.run(promised), first, 22, one, "threads that did not come are missed");
}

}  // namespace

int main() {
  for (int index = 1; peephole_isa_name(index) != nullptr; ++index) {
    const char* isa = peephole_isa_name(index);
    if (!peephole_isa_runs(isa)) {
      std::printf("team: this machine has no %s\n", isa);
      continue;
    }
    for (const Case& one : cases) check(one, isa);
  }
  if (failures == 0) std::puts("team: all well");
  return failures == 0 ? 0 : 1;
}
