// The core alone: every cell that switches can make, on buffers of exactly the size that the header states, by the
// kernels of every instruction set that this machine has, by one thread and by three.
//
// For each, the derivative along a random direction through all parameters, inputs and initial states at once, taken by
// the backward pass, must equal the central difference of the forward pass. Under a sanitizer this also finds any read
// or write beside a buffer. (peephole.equations judges the numbers themselves; see tests/kernels.)
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "support.hpp"

extern "C" int run_from_c(void);

namespace {

using namespace peephole_test;

constexpr double difference = 2e-5;
constexpr double tolerance = 1e-7;

const peephole_threads* threads = &alone;

double inner(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t k = 0; k < a.size(); ++k) sum += a[k] * b[k];
  return sum;
}

// One quantity that the loss is differentiated by: its value, a direction, its gradient, which has to be written.
struct Variable {
  std::vector<double> value, direction, gradient;
  explicit Variable(std::int64_t count)
      : value(drawn(count, 0.5)), direction(drawn(count)), gradient(value.size(), 7.0) {}
  void move(double by) {
    for (std::size_t k = 0; k < value.size(); ++k) value[k] += by * direction[k];
  }
};

struct Case {
  peephole_cell cell;
  peephole_sizes sizes;
  bool ragged;
};

class Trial {
 public:
  explicit Trial(const Case& one)
      : cell_(one.cell),
        n_(one.sizes),
        N(n_.H / cell_.cells_per_block),
        gates(cell_.rnn != 0 ? 0 : cell_.input_gate + (cell_.forget_gate && !cell_.coupled) + cell_.output_gate),
        G(gates * N),
        K(G + n_.H),
        U(cell_.rnn != 0 ? K : K + n_.H),
        V(cell_.rnn != 0 ? 1 : gates + 2),
        W(K * n_.I),
        R(K * n_.P),
        b(K),
        p(gates * n_.H),
        S(G * G),
        W_p(n_.P * n_.H),
        gain(U),
        shift(U),
        x(n_.T * n_.B * n_.I),
        h0(n_.B * n_.P),
        c0(n_.B * n_.H),
        r0(n_.B * G) {
    if (one.ragged) {
      for (std::int64_t row = 0; row < n_.B; ++row) lengths_.push_back((row * 2) % (n_.T + 1));
    }
    if (cell_.zoneout_hidden > 0) zoneout_h_ = drawn(n_.T * n_.B * n_.P);
    if (cell_.zoneout_cell > 0) zoneout_c_ = drawn(n_.T * n_.B * n_.H);
    drop_h_ = drawn(n_.B * n_.P);
    drop_g_ = drawn(n_.B * n_.H);
    const std::int64_t steps = n_.T * n_.B;
    y_ = dy_ = drawn(steps * n_.P);
    gates_ = dgates_ = drawn(steps * K);
    c_ = dc_ = a_ = c_hat_ = drawn(steps * n_.H);
    normed_ = drawn(steps * U);
    rstd_ = drawn(steps * V);
    h_n_ = dh_n_ = drawn(n_.B * n_.P);
    c_n_ = dc_n_ = drawn(n_.B * n_.H);
    r_n_ = dr_n_ = drawn(n_.B * G);
  }

  // |analytic − numeric| over the size of what was summed.
  double error() {
    loss();
    backward();
    double analytic = 0, scale = 1;
    for (const Variable* variable : variables()) {
      const double part = inner(variable->gradient, variable->direction);
      analytic += part;
      scale += std::fabs(part);
    }
    return std::fabs(analytic - numeric()) / scale;
  }

 private:
  std::vector<Variable*> variables() {
    std::vector<Variable*> all = {&W, &R, &b, &x, &h0};
    if (cell_.peepholes) all.push_back(&p);
    if (cell_.full_gate_recurrence) all.insert(all.end(), {&S, &r0});
    if (cell_.projection) all.push_back(&W_p);
    if (cell_.layer_norm) all.insert(all.end(), {&gain, &shift});
    if (!cell_.rnn) all.push_back(&c0);
    return all;
  }
  double loss_at(double distance) {
    for (Variable* variable : variables()) variable->move(distance);
    const double value = loss();
    for (Variable* variable : variables()) variable->move(-distance);
    return value;
  }

  // The central difference of fourth order.
  double numeric() {
    const double near = loss_at(difference) - loss_at(-difference);
    const double far = loss_at(2 * difference) - loss_at(-2 * difference);
    return (8 * near - far) / (12 * difference);
  }

  peephole_weights_f64 weights() const {
    return {W.value.data(), R.value.data(),   b.value.data(),    p.value.data(),
            S.value.data(), W_p.value.data(), gain.value.data(), shift.value.data()};
  }
  peephole_inputs_f64 inputs() const {
    return {x.value.data(),
            h0.value.data(),
            c0.value.data(),
            r0.value.data(),
            lengths_.empty() ? nullptr : lengths_.data(),
            zoneout_h_.empty() ? nullptr : zoneout_h_.data(),
            zoneout_c_.empty() ? nullptr : zoneout_c_.data(),
            drop_h_.data(),
            cell_.rnn ? nullptr : drop_g_.data()};
  }
  peephole_tape_f64 tape() {
    return {y_.data(),      gates_.data(), c_.data(),   a_.data(),   c_hat_.data(),
            normed_.data(), rstd_.data(),  h_n_.data(), c_n_.data(), r_n_.data()};
  }
  std::vector<unsigned char> memory(peephole_pass pass) const {
    return std::vector<unsigned char>(peephole_workspace_bytes(&cell_, &n_, pass, sizeof(double), threads->count));
  }

  double loss() {
    const auto w = weights();
    const auto in = inputs();
    const auto out = tape();
    std::vector<unsigned char> bytes = memory(PEEPHOLE_FORWARD);
    const peephole_workspace workspace{bytes.data(), bytes.size()};
    expect(peephole_forward_f64(&cell_, &n_, &w, &in, &out, &workspace, threads) == PEEPHOLE_OK, "forward");
    double sum = inner(dy_, y_) + inner(dgates_, gates_) + inner(dh_n_, h_n_);
    if (!cell_.rnn) sum += inner(dc_, c_) + inner(dc_n_, c_n_);
    return cell_.full_gate_recurrence ? sum + inner(dr_n_, r_n_) : sum;
  }

  void backward() {
    const auto w = weights();
    const auto in = inputs();
    const auto out = tape();
    const peephole_errors_f64 above{dy_.data(), dh_n_.data(), dc_n_.data(), dr_n_.data(), dgates_.data(), dc_.data()};
    const peephole_gradients_f64 gradients{x.gradient.data(),   h0.gradient.data(),   c0.gradient.data(),
                                           r0.gradient.data(),  W.gradient.data(),    R.gradient.data(),
                                           b.gradient.data(),   p.gradient.data(),    S.gradient.data(),
                                           W_p.gradient.data(), gain.gradient.data(), shift.gradient.data()};
    std::vector<unsigned char> bytes = memory(PEEPHOLE_BACKWARD);
    const peephole_workspace workspace{bytes.data(), bytes.size()};
    expect(peephole_backward_f64(&cell_, &n_, &w, &in, &out, &above, &gradients, &workspace, threads) == PEEPHOLE_OK,
           "backward");
  }

  peephole_cell cell_;
  peephole_sizes n_;
  std::int64_t N, gates, G, K, U, V;
  Variable W, R, b, p, S, W_p, gain, shift, x, h0, c0, r0;
  std::vector<std::int64_t> lengths_;
  std::vector<double> zoneout_h_, zoneout_c_, drop_h_, drop_g_;
  std::vector<double> y_, gates_, c_, a_, c_hat_, normed_, rstd_, h_n_, c_n_, r_n_;
  std::vector<double> dy_, dgates_, dc_, dh_n_, dc_n_, dr_n_;
};

void check(const Case& one) {
  const double error = Trial(one).error();
  if (error <= tolerance) return;
  std::fprintf(stderr,
               "FAILED: derivative of cell %d%d%d coupled %d peepholes %d full %d norm %d P %d C %d, %s: error %g\n",
               one.cell.input_gate, one.cell.forget_gate, one.cell.output_gate, one.cell.coupled, one.cell.peepholes,
               one.cell.full_gate_recurrence, one.cell.layer_norm, static_cast<int>(one.sizes.P),
               one.cell.cells_per_block, peephole_isa(), error);
  ++failures;
}

// Switches counted in binary: one bit each.
void check_every_lstm() {
  for (int bits = 0; bits < 1 << 9; ++bits) {
    const auto bit = [bits](int place) { return (bits >> place) & 1; };
    peephole_cell cell{};
    cell.input_gate = bit(0);
    cell.forget_gate = bit(1);
    cell.output_gate = bit(2);
    cell.coupled = bit(3);
    cell.peepholes = bit(4);
    cell.full_gate_recurrence = bit(5);
    cell.layer_norm = bit(6);
    cell.projection = bit(7);
    cell.cells_per_block = bit(8) ? 3 : 1;
    cell.input_activation = bit(6) ? PEEPHOLE_IDENTITY : PEEPHOLE_TANH;
    cell.output_activation = bit(5) ? PEEPHOLE_LOGISTIC : PEEPHOLE_TANH;
    cell.zoneout_hidden = bit(4) ? 0.25 : 0.0;
    cell.zoneout_cell = bit(7) ? 0.5 : 0.0;
    const bool any_gate = bit(0) || bit(1) || bit(2);
    if (cell.coupled && !(bit(0) && bit(1))) continue;
    if (!any_gate && (cell.peepholes || cell.full_gate_recurrence)) continue;
    const std::int64_t H = 9, P = cell.projection ? 2 : H;
    check({cell, {4, 3, 2, H, P, bit(3), 0}, bit(2) != 0});
  }
}

void check_every_rnn() {
  for (int activation : {PEEPHOLE_TANH, PEEPHOLE_LOGISTIC, PEEPHOLE_IDENTITY}) {
    for (int norm : {0, 1}) {
      peephole_cell cell{};
      cell.rnn = cell.cells_per_block = 1;
      cell.input_activation = activation;
      cell.layer_norm = norm;
      cell.zoneout_hidden = norm ? 0.25 : 0.0;
      check({cell, {4, 3, 2, 5, 5, norm, 0}, norm == 0});
    }
  }
}

void check_refusals() {
  const double some[64] = {};
  double out[64];
  unsigned char bytes[16384];
  peephole_cell cell{};
  cell.input_gate = cell.forget_gate = cell.output_gate = cell.cells_per_block = 1;
  const peephole_sizes sizes{1, 1, 1, 1, 1, 0, 0};
  peephole_weights_f64 weights{};
  peephole_inputs_f64 inputs{};
  peephole_tape_f64 tape{};
  const auto forward = [&](std::size_t space = sizeof bytes) {
    const peephole_workspace workspace{bytes, space};
    return peephole_forward_f64(&cell, &sizes, &weights, &inputs, &tape, &workspace, nullptr);
  };
  expect(forward() == PEEPHOLE_MISSING_BUFFER, "no buffers");
  weights.W = weights.R = inputs.x = some;
  tape.h_n = tape.c_n = out;
  expect(forward() == PEEPHOLE_OK, "all buffers");
  expect(forward(1) == PEEPHOLE_SMALL_WORKSPACE, "small workspace");
  const std::int64_t length = 2;
  inputs.lengths = &length;
  expect(forward() == PEEPHOLE_BAD_LENGTHS, "length above T");
  cell.coupled = 1;
  cell.input_gate = 0;
  expect(forward() == PEEPHOLE_BAD_CELL, "coupled without input gate");
  const peephole_sizes large{std::int64_t{1} << 40, std::int64_t{1} << 40, 1, 1, 1, 0, 0};
  cell.input_gate = 1;
  expect(peephole_workspace_bytes(&cell, &large, PEEPHOLE_FORWARD, 8, 1) == SIZE_MAX, "sizes that overflow");
}

}  // namespace

int main() {
  for (int index = 0; peephole_isa_name(index) != nullptr; ++index) {
    const char* isa = peephole_isa_name(index);
    if (!peephole_isa_runs(isa)) {
      std::printf("core: this machine has no %s\n", isa);
      continue;
    }
    expect(peephole_force_isa(isa) == PEEPHOLE_OK && std::strcmp(peephole_isa(), isa) == 0,
           "an instruction set by name");
    expect(run_from_c() == 0, "a call from C");
    for (const peephole_threads* lent : {&alone, &three, &promised}) {
      threads = lent;
      check_every_lstm();
      check_every_rnn();
    }
    check_refusals();
  }
  expect(peephole_force_isa("none such") == PEEPHOLE_BAD_ISA, "an unknown instruction set");
  if (failures == 0) std::puts("core: all well");
  return failures == 0 ? 0 : 1;
}
