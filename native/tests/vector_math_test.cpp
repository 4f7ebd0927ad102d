// The functions of fast/vector_math.hpp against libm of the next wider type: error, monotonicity, special values.
//
//     vector_math_test [--every N] [--time]
//
// Of all floats every Nth is looked at, and all beside the points where the computation changes; --every 1 looks at all
// of them (minutes). Doubles are looked at in runs of neighbours, as many as suit N. --time prints nanoseconds instead.
// Each instruction set that the compiler and the processor have is tested; one that is left out is named.
#include "vector_math_test.hpp"

#include <algorithm>
#include <cfloat>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "fast/vector_math.hpp"

using namespace peephole;

namespace {

int failures = 0;

// A float or double as a number of its own order: 0 is 0, the next larger one 1, and so on up to ∞.
template <class Real>
struct Layout;
template <>
struct Layout<float> {
  using Rank = std::uint32_t;
  using Wide = double;
};
template <>
struct Layout<double> {
  using Rank = std::uint64_t;
  using Wide = long double;
};
template <class Real>
using Rank = typename Layout<Real>::Rank;
template <class Real>
using Wide = typename Layout<Real>::Wide;

template <class Real>
Rank<Real> rank(Real x) {
  Rank<Real> bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

template <class Real>
Real at(Rank<Real> bits) {
  Real x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

template <class Real>
constexpr Real infinity = std::numeric_limits<Real>::infinity();

// The distance in units of the last place that the exact value has in the type; of the least where it is subnormal.
double ulps(float got, double exact) {
  const std::uint64_t power = rank(exact) & 0x7ff0000000000000u;
  const double least = 0x1p-126;
  const double unit = std::fmax(at<double>(power), least) * 0x1p-23;
  return std::fabs(got - exact) / unit;
}
double ulps(double got, long double exact) {
  const int power = exact == 0 ? -1022 : std::max(std::ilogb(exact), -1022);
  return static_cast<double>(std::ldexp(std::fabs(got - exact), 52 - power));
}

// What one function on one instruction set was found to do.
template <class Real>
struct Finding {
  double worst = 0;  // ULP
  Real where = 0;
  long long falls = 0, unequal = 0, unflushed = 0;
  Real fall = 0;

  void error(double ulp, Real x) {
    if (!(ulp <= worst)) {
      worst = ulp;
      where = x;
    }
  }
};

// One instruction set under test; all of its results for a block of x ≥ 0 and for −x.
template <class Real>
struct Candidate {
  const char* name;
  bool fused;
  Functions<Real> functions;
  Finding<Real> logistic{}, tanh{};
  std::vector<Real> up{}, down{}, odd{}, even{}, flushed{};  // logistic(x), logistic(−x), tanh(x), tanh(−x)
};

template <class Real>
bool same(Real a, Real b) {
  return rank(a) == rank(b);
}

template <class Real>
class Trial {
 public:
  explicit Trial(const std::vector<VectorMath>& all) {
    for (const VectorMath& one : all) {
      if constexpr (sizeof(Real) == 4) {
        candidates_.push_back({one.name, one.fused, one.of_float});
      } else {
        candidates_.push_back({one.name, one.fused, one.of_double});
      }
    }
  }

  // x = the values of ranks first, first + step …, up to last, and −x.
  void visit(Rank<Real> first, Rank<Real> last, Rank<Real> step) {
    constexpr Rank<Real> block = 4096;
    const Rank<Real> count = (last - first) / step + 1;
    for (Rank<Real> done = 0; done < count; done += block - 1) {  // blocks share an end: no fall hides between them
      x_.clear();
      for (Rank<Real> k = done; k < count && k < done + block; ++k) x_.push_back(at<Real>(first + k * step));
      visit_block();
    }
  }

  // The values beside one, to both sides.
  void visit_beside(Real x, Rank<Real> reach) {
    const Rank<Real> middle = rank(x), end = rank(infinity<Real>);
    visit(middle > reach ? middle - reach : 0, end - middle > reach ? middle + reach : end, 1);
  }

  void visit_nans(Rank<Real> step);
  void judge() const;

 private:
  void visit_block() {
    const std::size_t count = x_.size();
    while (x_.size() % whole_vectors != 0) x_.push_back(x_.back());
    minus_.clear();
    for (const Real x : x_) minus_.push_back(-x);
    for (Candidate<Real>& one : candidates_) run(one, count);
    for (std::size_t k = 0; k < count; ++k) {
      const Wide<Real> x = x_[k], e = std::exp(-x), y = 1 / (1 + e), z = e / (1 + e), t = std::tanh(x);
      for (Candidate<Real>& one : candidates_) {
        one.logistic.error(ulps(one.up[k], y), x_[k]);
        one.logistic.error(ulps(one.down[k], z), -x_[k]);
        one.tanh.error(ulps(one.odd[k], t), x_[k]);
      }
    }
  }

  // All values of one candidate, and what can be said of them without knowing the exact ones.
  void run(Candidate<Real>& one, std::size_t count) {
    apply(one, one.functions.logistic, x_, one.up, one.logistic);
    apply(one, one.functions.logistic, minus_, one.down, one.logistic);
    apply(one, one.functions.hyperbolic_tangent, x_, one.odd, one.tanh);
    apply(one, one.functions.hyperbolic_tangent, minus_, one.even, one.tanh);
    for (std::size_t k = 0; k < count; ++k) {
      one.tanh.unequal += !same(one.odd[k], -one.even[k]);
      if (k == 0) continue;
      if (!(one.up[k - 1] <= one.up[k])) fall(one.logistic, x_[k]);
      if (!(one.down[k - 1] >= one.down[k])) fall(one.logistic, minus_[k]);
      if (!(one.odd[k - 1] <= one.odd[k])) fall(one.tanh, x_[k]);
    }
    for (const Candidate<Real>& first : candidates_) {
      if (!one.fused || !first.fused || &first >= &one) continue;
      for (std::size_t k = 0; k < count; ++k) {
        one.logistic.unequal += !same(one.up[k], first.up[k]) || !same(one.down[k], first.down[k]);
        one.tanh.unequal += !same(one.odd[k], first.odd[k]);
      }
    }
  }

  // y = φ(x). Flushed it is the same, or a zero of its sign where it would be subnormal.
  static void apply(Candidate<Real>& one, OverArray<Real> phi, const std::vector<Real>& x, std::vector<Real>& y,
                    Finding<Real>& finding) {
    y.resize(x.size());
    one.flushed.resize(x.size());
    phi(x.data(), y.data(), static_cast<Index>(x.size()), false);
    phi(x.data(), one.flushed.data(), static_cast<Index>(x.size()), true);
    for (std::size_t k = 0; k < x.size(); ++k) {
      const bool subnormal = std::fabs(y[k]) < std::numeric_limits<Real>::min();
      finding.unflushed += !same(one.flushed[k], subnormal ? std::copysign(Real(0), y[k]) : y[k]);
    }
  }

  static void fall(Finding<Real>& finding, Real x) {
    if (finding.falls++ == 0) finding.fall = x;
  }

  void judge(const char* isa, const char* function, const Finding<Real>& found, double bound) const {
    const char* type = sizeof(Real) == 4 ? "float" : "double";
    const bool well = found.worst <= bound && found.falls == 0 && found.unequal == 0 && found.unflushed == 0;
    std::printf("%s %-8s %-6s %-8s %.3f ULP at %a (stated %.2f), %lld falls", well ? "ok    " : "FAILED", isa, type,
                function, found.worst, static_cast<double>(found.where), bound, found.falls);
    if (found.falls > 0) std::printf(" (first at %a)", static_cast<double>(found.fall));
    if (found.unequal > 0) std::printf(", %lld not odd or not as elsewhere", found.unequal);
    if (found.unflushed > 0) std::printf(", %lld wrong when flushed", found.unflushed);
    std::printf("\n");
    failures += !well;
  }

  std::vector<Candidate<Real>> candidates_;
  std::vector<Real> x_, minus_;
};

template <class Real>
void Trial<Real>::judge() const {
  for (const Candidate<Real>& one : candidates_) {
    judge(one.name, "logistic", one.logistic, baseline::logistic_ulp<Real>);
    judge(one.name, "tanh", one.tanh, baseline::hyperbolic_tangent_ulp<Real>);
  }
}

// NaNs of every payload give a NaN; 0 and ±∞ give exactly what they should.
template <class Real>
void Trial<Real>::visit_nans(Rank<Real> step) {
  constexpr Real inf = infinity<Real>;
  const Real x[whole_vectors] = {0, Real(-0.0), inf, -inf};
  const Real sigma[] = {Real(0.5), Real(0.5), 1, 0}, tau[] = {0, Real(-0.0), 1, -1};
  std::vector<Real> in, out(whole_vectors);
  for (const Candidate<Real>& one : candidates_) {
    for (const OverArray<Real> phi : {one.functions.logistic, one.functions.hyperbolic_tangent}) {
      const Real* expected = phi == one.functions.logistic ? sigma : tau;
      bool well = true;
      for (const bool flush : {false, true}) {
        phi(x, out.data(), whole_vectors, flush);
        for (int k = 0; k < 4; ++k) well = well && same(out[static_cast<std::size_t>(k)], expected[k]);
        const Rank<Real> end = static_cast<Rank<Real>>(-1) / 2;
        for (Rank<Real> nan = rank(inf) + 1; nan <= end; nan += std::min(step, std::max<Rank<Real>>(end - nan, 1))) {
          in.assign(whole_vectors, at<Real>(nan));
          in[1] = -in[0];
          phi(in.data(), out.data(), whole_vectors, flush);
          for (const Real y : out) well = well && y != y;
        }
      }
      if (well) continue;
      std::printf("FAILED %s: 0, ±∞ or NaN\n", one.name);
      ++failures;
    }
  }
}

// Where n steps, where powers of two and the clamps lie, and where results leave the normal numbers.
template <class Real>
void visit_seams(Trial<Real>& trial, Rank<Real> reach) {
  const long double ln_2 = 0.693147180559945309417232121458176568L;
  for (int n = 0; n < (sizeof(Real) == 4 ? 160 : 1090); ++n) {
    trial.visit_beside(static_cast<Real>((n + 0.5L) * ln_2), reach);
    trial.visit_beside(static_cast<Real>((n + 0.5L) * ln_2 / 2), reach);
    trial.visit_beside(static_cast<Real>(n * ln_2), reach);
    trial.visit_beside(static_cast<Real>(n), reach);
  }
  for (Real x = std::numeric_limits<Real>::max() / 2 + 1; x > 0; x /= 2) trial.visit_beside(x, reach);
  // Where the errors of all floats are largest.
  trial.visit_beside(static_cast<Real>(0x1.09bde6p-1), reach);
  trial.visit_beside(static_cast<Real>(0x1.0a47d2p+4), reach);
  trial.visit_beside(0, reach);
  trial.visit_beside(std::numeric_limits<Real>::max(), reach);
}

// Uniform in [0, 1), the same in every run.
double draw() {
  static std::uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return static_cast<double>(state >> 11) * 0x1p-53;
}

void test_floats(const std::vector<VectorMath>& all, std::uint32_t every) {
  Trial<float> trial(all);
  trial.visit_nans(every);
  visit_seams(trial, 500u);
  trial.visit(0, rank(infinity<float>), every);
  trial.judge();
}

void test_doubles(const std::vector<VectorMath>& all, std::uint32_t every) {
  if (LDBL_MANT_DIG < 64) {
    std::printf("skipped: double, for long double is no wider here\n");
    return;
  }
  Trial<double> trial(all);
  trial.visit_nans(std::uint64_t{1} << 40);
  visit_seams(trial, std::uint64_t{30});
  const std::uint64_t runs = (std::uint64_t{1} << 26) / every;
  for (std::uint64_t run = 0; run < runs; ++run) {
    const double bounds[] = {1, 8, 40, 760};
    const double tiny = std::ldexp(draw(), static_cast<int>(1100 * (draw() - 1)));
    const double x = run % 8 == 0 ? tiny : bounds[run % 4] * draw();
    const std::uint64_t first = rank(x);
    trial.visit(first, first + 3, 1);
  }
  trial.judge();
}

template <class Real>
void time(const char* isa, const char* function, OverArray<Real> phi) {
  constexpr Index count = 2048, repeats = 20;
  static Real x[count], y[count];
  for (Real& one : x) one = static_cast<Real>(16 * draw() - 8);
  double best = infinity<double>;
  for (int trial = 0; trial < 400; ++trial) {
    const auto start = std::chrono::steady_clock::now();
    for (Index k = 0; k < repeats; ++k) phi(x, y, count, true);
    const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - start;
    best = std::fmin(best, spent.count() / static_cast<double>(count * repeats));
  }
  std::printf("%-8s %-6s %-8s %.3f ns per element\n", isa, sizeof(Real) == 4 ? "float" : "double", function, best);
}

std::vector<VectorMath> instruction_sets() {
  std::vector<VectorMath> all = {baseline::vector_math()};
#if defined(PEEPHOLE_TEST_X86)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    all.push_back(avx2::vector_math());
  } else {
    std::printf("skipped: avx2, which this processor has not\n");
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    all.push_back(avx512::vector_math());
  } else {
    std::printf("skipped: avx512, which this processor has not\n");
  }
#endif
  return all;
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<VectorMath> all = instruction_sets();
  std::uint32_t every = 127;
  for (int k = 1; k < count; ++k) {
    if (std::strcmp(arguments[k], "--time") == 0) {
      for (const VectorMath& one : all) {
        time(one.name, "logistic", one.of_float.logistic);
        time(one.name, "tanh", one.of_float.hyperbolic_tangent);
        time(one.name, "logistic", one.of_double.logistic);
        time(one.name, "tanh", one.of_double.hyperbolic_tangent);
      }
      return 0;
    }
    if (std::strcmp(arguments[k], "--every") == 0 && k + 1 < count) {
      every = static_cast<std::uint32_t>(std::strtoul(arguments[++k], nullptr, 10));
    }
  }
  if (every == 0) {
    std::fprintf(stderr, "vector_math_test: --every takes a number of 1 or more\n");
    return 2;
  }
  test_floats(all, every);
  test_doubles(all, every);
  if (failures == 0) std::printf("vector mathematics: all well\n");
  return failures == 0 ? 0 : 1;
}
