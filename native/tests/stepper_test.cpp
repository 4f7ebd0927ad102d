// Steppers: every cell that switches can make, in a stack with and without neurons behind it, float and double, one row
// and several, by the kernels of every instruction set that this machine has, on buffers of exactly the stated size.
//
// A step must do nothing that could keep its thread waiting (watch.hpp), and steps must give the bits of one pass over
// the whole sequence, also of one with prepared weights.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <vector>

#include "peephole.hpp"
#include "watch.hpp"

static_assert(noexcept(peephole_step_f32(nullptr, nullptr, nullptr)));
static_assert(noexcept(peephole_step_f64(nullptr, nullptr, nullptr)));

namespace {

using peephole::Api;

// Of neurons against a sum in another order, relative to a sum of the parts' sizes.
template <class Real>
constexpr double tolerance = sizeof(Real) == 4 ? 1e-5 : 1e-14;

constexpr std::int64_t steps = 3;

int failures = 0;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "FAILED: %s (%s)\n", what, peephole_isa());
  ++failures;
}

template <class Real>
std::vector<Real> drawn(std::int64_t count) {
  static std::uint64_t state = 1;
  std::vector<Real> values(static_cast<std::size_t>(count));
  for (Real& value : values) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    value = static_cast<Real>(static_cast<double>(state >> 11) / 4503599627370496.0 - 1.0);
  }
  return values;
}

template <class Real>
bool same_bits(const std::vector<Real>& a, const std::vector<Real>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(Real)) == 0;
}

// A cell with weights and a state.
template <class Real>
struct Cell {
  using A = Api<Real>;
  using Reals = std::vector<Real>;

  peephole_cell cell;
  peephole_sizes sizes;  // of a step
  std::int64_t N, gates, G, K, U;
  Reals W, R, b, p, S, W_p, gain, shift, h, c, r;

  Cell(const peephole_cell& one, const peephole_sizes& n)
      : cell(one),
        sizes(n),
        N(n.H / one.cells_per_block),
        gates(one.rnn != 0 ? 0 : one.input_gate + (one.forget_gate && !one.coupled) + one.output_gate),
        G(gates * N),
        K(G + n.H),
        U(one.rnn != 0 ? K : K + n.H),
        W(drawn<Real>(K * n.I)),
        R(drawn<Real>(K * n.P)),
        b(drawn<Real>(K)),
        p(drawn<Real>(gates * n.H)),
        S(drawn<Real>(G * G)),
        W_p(drawn<Real>(n.P * n.H)),
        gain(drawn<Real>(U)),
        shift(drawn<Real>(U)),
        h(drawn<Real>(n.B * n.P)),
        c(drawn<Real>(n.B * n.H)),
        r(drawn<Real>(n.B * G)) {}

  typename A::Weights weights() const {
    return {W.data(), R.data(), b.data(), p.data(), S.data(), W_p.data(), gain.data(), shift.data()};
  }

  // h of every step, by one pass from the present state, which goes on to the last.
  Reals run(const Reals& x, bool prepared) {
    peephole_sizes n = sizes;
    n.T = steps;
    Reals y(static_cast<std::size_t>(steps * n.B * n.P));
    const typename A::Weights w = weights();
    typename A::Inputs in{};
    typename A::Tape tape{};
    in.x = x.data();
    in.h0 = tape.h_n = h.data();
    in.c0 = tape.c_n = c.data();
    in.r0 = tape.r_n = r.data();
    tape.y = y.data();
    if (!prepared) {
      std::vector<unsigned char> memory(peephole_workspace_bytes(&cell, &n, PEEPHOLE_FORWARD, sizeof(Real), 1));
      const peephole_workspace workspace{memory.data(), memory.size()};
      expect(A::forward(&cell, &n, &w, &in, &tape, &workspace, nullptr) == PEEPHOLE_OK, "forward");
      return y;
    }
    std::vector<unsigned char> laid(peephole_prepared_bytes(&cell, &n, sizeof(Real)));
    expect(A::prepare(&cell, &n, &w, laid.data(), laid.size()) == PEEPHOLE_OK, "prepare");
    std::vector<unsigned char> memory(peephole_prepared_workspace_bytes(&cell, &n, sizeof(Real), 1));
    const peephole_workspace workspace{memory.data(), memory.size()};
    expect(A::forward_prepared(&cell, &n, &w, laid.data(), &in, &tape, &workspace, nullptr) == PEEPHOLE_OK,
           "forward with prepared weights");
    return y;
  }
};

// A stepper in memory of exactly the stated size that begins at any address, and its steps, watched.
template <class Real>
class Stepper {
  using A = Api<Real>;

 public:
  Stepper(const std::vector<typename A::Layer>& layers, std::size_t shift) : shift_(shift) {
    const std::int64_t count = static_cast<std::int64_t>(layers.size());
    const std::size_t bytes = A::stepper_bytes(layers.data(), count);
    memory_.resize(shift + bytes);
    expect(A::make_stepper(layers.data(), count, memory_.data() + shift, bytes - 1) == PEEPHOLE_SMALL_WORKSPACE,
           "small memory");
    watch::begin();
    const int status = A::make_stepper(layers.data(), count, memory_.data() + shift, bytes);
    expect(watch::end() == 0 && status == PEEPHOLE_OK, "a stepper is made in the memory it is given");
  }

  std::vector<Real> run(const std::vector<Real>& x, std::int64_t in, std::int64_t out) {
    std::vector<Real> y(static_cast<std::size_t>(steps * out));
    for (std::int64_t t = 0; t < steps; ++t) {
      watch::begin();
      const int status = A::step(memory_.data() + shift_, x.data() + t * in, y.data() + t * out);
      expect(watch::end() == 0, "a step allocates nothing and takes no lock");
      expect(status == PEEPHOLE_OK, "a step");
    }
    return y;
  }

 private:
  std::size_t shift_;
  std::vector<unsigned char> memory_;
};

template <class Real>
typename Api<Real>::Layer layer_of(Cell<Real>& one, const typename Api<Real>::Weights& weights) {
  typename Api<Real>::Layer layer{};
  layer.cell = &one.cell;
  layer.sizes = &one.sizes;
  layer.weights = &weights;
  layer.h = one.h.data();
  layer.c = one.cell.rnn ? nullptr : one.c.data();
  layer.r = one.r.data();
  return layer;
}

// Two layers of a cell: steps, passes, and passes with prepared weights give the same bits.
template <class Real>
void check_stack(const peephole_cell& cell, std::int64_t B, std::int64_t H, std::int64_t P, std::size_t shift) {
  constexpr std::int64_t I = 2;
  Cell<Real> first(cell, {1, B, I, H, P, 0, 0}), second(cell, {1, B, P, H, P, 0, 0});
  const std::vector<Real> x = drawn<Real>(steps * B * I);
  Cell<Real> whole_first = first, whole_second = second, laid_first = first, laid_second = second;
  const std::vector<Real> expected = whole_second.run(whole_first.run(x, false), false);
  expect(same_bits(laid_second.run(laid_first.run(x, true), true), expected), "prepared weights change no bit");
  const auto w_first = first.weights(), w_second = second.weights();
  Stepper<Real> stepper({layer_of(first, w_first), layer_of(second, w_second)}, shift);
  // By other kernels from now on: a stepper keeps to its own.
  const char* before = peephole_isa();
  peephole_force_isa("plain");
  const std::vector<Real> got = stepper.run(x, B * I, B * P);
  peephole_force_isa(before);
  expect(same_bits(got, expected), "steps give the bits of a pass");
  expect(same_bits(first.h, whole_first.h) && same_bits(second.h, whole_second.h), "the state is h");
  if (!cell.rnn) expect(same_bits(first.c, whole_first.c) && same_bits(second.c, whole_second.c), "the state is c");
  if (cell.full_gate_recurrence) expect(same_bits(second.r, whole_second.r), "the state is r");
}

template <class Real>
void check_cell(const peephole_cell& cell, bool projection) {
  for (const std::int64_t H : {6, 48}) {
    for (const std::int64_t B : {1, 3})
      check_stack<Real>(cell, B, H, projection ? H - 3 : H, static_cast<std::size_t>(B));
  }
}

// Switches counted in binary: one bit each.
template <class Real>
void check_every_cell() {
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
    cell.zoneout_hidden = bit(4) ? 0.25 : 0.0;
    cell.zoneout_cell = bit(7) ? 0.5 : 0.0;
    const bool any_gate = bit(0) || bit(1) || bit(2);
    if (cell.coupled && !(bit(0) && bit(1))) continue;
    if (!any_gate && (cell.peepholes || cell.full_gate_recurrence)) continue;
    check_cell<Real>(cell, bit(7) != 0);
  }
  for (int norm : {0, 1}) {
    peephole_cell cell{};
    cell.rnn = cell.cells_per_block = 1;
    cell.layer_norm = norm;
    cell.zoneout_hidden = norm ? 0.25 : 0.0;
    check_cell<Real>(cell, false);
  }
}

// Neurons of every width that the kernels tell apart, alone: y may be x.
template <class Real>
void check_neurons(std::int64_t B, std::int64_t I, std::int64_t O) {
  using A = Api<Real>;
  const std::vector<Real> W = drawn<Real>(O * I), b = drawn<Real>(O), x = drawn<Real>(steps * B * I);
  const peephole_dense dense{B, I, O, PEEPHOLE_IDENTITY, 0};
  typename A::Dense values{};
  values.W = W.data();
  values.b = b.data();
  typename A::Layer layer{};
  layer.dense = &dense;
  layer.values = &values;
  const std::vector<Real> y = Stepper<Real>({layer}, 1).run(x, B * I, B * O);
  for (std::int64_t row = 0; row < steps * B; ++row) {
    for (std::int64_t k = 0; k < O; ++k) {
      double sum = static_cast<double>(b[static_cast<std::size_t>(k)]), scale = std::fabs(sum);
      for (std::int64_t j = 0; j < I; ++j) {
        const double part = static_cast<double>(W[static_cast<std::size_t>(k * I + j)]) *
                            static_cast<double>(x[static_cast<std::size_t>(row * I + j)]);
        sum += part;
        scale += std::fabs(part);
      }
      const double error = std::fabs(static_cast<double>(y[static_cast<std::size_t>(row * O + k)]) - sum);
      expect(error <= tolerance<Real> * scale, "neurons");
    }
  }
}

void check_refusals() {
  peephole_cell lstm{};
  lstm.input_gate = lstm.forget_gate = lstm.output_gate = lstm.cells_per_block = 1;
  Cell<float> one(lstm, {1, 1, 2, 4, 4, 0, 0}), wide(lstm, {1, 1, 5, 4, 4, 0, 0}), many(lstm, {1, 2, 4, 4, 4, 0, 0});
  const auto w = one.weights(), w_wide = wide.weights(), w_many = many.weights();
  const peephole_layer_f32 good = layer_of(one, w);
  float x[8] = {}, y[8];
  std::vector<unsigned char> memory(peephole_stepper_bytes_f32(&good, 1) + 4096);
  const auto make = [&](const std::vector<peephole_layer_f32>& layers) {
    return peephole_make_stepper_f32(layers.data(), static_cast<std::int64_t>(layers.size()), memory.data(),
                                     memory.size());
  };
  expect(peephole_step_f32(memory.data(), x, y) == PEEPHOLE_BAD_PREPARED, "memory that is no stepper");
  expect(make({good}) == PEEPHOLE_OK, "a good layer");
  expect(peephole_step_f64(memory.data(), reinterpret_cast<double*>(x), reinterpret_cast<double*>(y)) ==
             PEEPHOLE_BAD_PREPARED,
         "a stepper of the other type");
  expect(peephole_step_f32(memory.data(), nullptr, y) == PEEPHOLE_MISSING_BUFFER, "no x");
  expect(make({}) != PEEPHOLE_OK, "no layers");
  expect(make({good, layer_of(wide, w_wide)}) == PEEPHOLE_BAD_SIZES, "a width that does not fit");
  expect(make({good, layer_of(many, w_many)}) == PEEPHOLE_BAD_SIZES, "other rows");
  peephole_layer_f32 bad = good;
  bad.c = nullptr;
  expect(make({bad}) == PEEPHOLE_MISSING_BUFFER, "no state");
  one.sizes.T = 2;
  expect(make({good}) == PEEPHOLE_BAD_SIZES, "two steps");
  one.sizes.T = 1;
}

// Weights prepared for other kernels, another size, or moved elsewhere.
void check_prepared(const char* other) {
  peephole_cell lstm{};
  lstm.input_gate = lstm.forget_gate = lstm.output_gate = lstm.cells_per_block = 1;
  Cell<float> one(lstm, {1, 1, 2, 4, 4, 0, 0});
  const auto w = one.weights();
  const std::vector<float> x = drawn<float>(2);
  peephole_inputs_f32 in{};
  peephole_tape_f32 tape{};
  in.x = x.data();
  tape.h_n = one.h.data();
  tape.c_n = one.c.data();
  std::vector<unsigned char> laid(peephole_prepared_bytes(&lstm, &one.sizes, 4) + 1), scratch(1 << 16);
  const peephole_workspace workspace{scratch.data(), scratch.size()};
  const auto run = [&](const unsigned char* at) {
    return peephole_forward_prepared_f32(&lstm, &one.sizes, &w, at, &in, &tape, &workspace, nullptr);
  };
  expect(peephole_prepare_f32(&lstm, &one.sizes, &w, laid.data(), laid.size() - 2) == PEEPHOLE_SMALL_WORKSPACE,
         "small");
  expect(peephole_prepare_f32(&lstm, &one.sizes, &w, laid.data(), laid.size() - 1) == PEEPHOLE_OK, "prepared");
  expect(run(laid.data()) == PEEPHOLE_OK, "with prepared weights");
  expect(run(nullptr) == PEEPHOLE_MISSING_BUFFER, "without prepared weights");
  const char* before = peephole_isa();
  peephole_force_isa(other);
  expect(run(laid.data()) == PEEPHOLE_BAD_PREPARED, "prepared for another instruction set");
  peephole_force_isa(before);
  one.sizes.I = 1;
  expect(run(laid.data()) == PEEPHOLE_BAD_PREPARED, "prepared for other sizes");
  one.sizes.I = 2;
  std::memmove(laid.data() + 1, laid.data(), laid.size() - 1);
  expect(run(laid.data() + 1) == PEEPHOLE_BAD_PREPARED, "prepared and moved");
}

// That the watch sees anything.
void check_watch() {
  watch::begin();
  {
    const std::vector<int> some(8);
  }
  expect(watch::end() >= 2, "new and delete are watched");
  std::mutex lock;
  watch::begin();
  lock.lock();
  expect((watch::end() > 0) == watch::complete(), "locks are watched");
  lock.unlock();
}

}  // namespace

int main() {
  check_watch();
  const char* last = "baseline";
  for (int index = 0; peephole_isa_name(index) != nullptr; ++index) {
    const char* isa = peephole_isa_name(index);
    if (peephole_force_isa(isa) != PEEPHOLE_OK) continue;
    check_every_cell<float>();
    check_every_cell<double>();
    for (const std::int64_t B : {1, 3}) {
      for (const std::int64_t O : {1, 3, 4, 5, 24, 40, 52, 70}) {
        for (const std::int64_t I : {1, 70, 131}) {
          check_neurons<float>(B, I, O);
          check_neurons<double>(B, I, O);
        }
      }
    }
    check_refusals();
    check_prepared(index == 0 ? peephole_isa_name(1) : "plain");
    last = isa;
  }
  if (failures == 0) std::printf("stepper: all well up to %s%s\n", last, watch::complete() ? ", watched" : "");
  return failures == 0 ? 0 : 1;
}
