// What the processor can do at most: multiply and add in registers alone, on one thread.
#pragma once

#include <chrono>

#include "simd.hpp"

namespace peephole::PEEPHOLE_ISA {

// So many rounds of twelve sums, which depend on one another only from round to round: enough to hide the time that one
// takes, and no more than there are registers.
template <class Real>
inline Real run_sums(int rounds) noexcept {
  using V = Vector<Real>;
  const V factor = broadcast(Real(0.5)), more = broadcast(Real(0.5));
  V a = more, b = more, c = more, d = more, e = more, f = more, g = more, h = more, i = more, j = more, k = more,
    l = more;
  for (int round = 0; round < rounds; ++round) {
    a = a * factor + more, b = b * factor + more, c = c * factor + more, d = d * factor + more;
    e = e * factor + more, f = f * factor + more, g = g * factor + more, h = h * factor + more;
    i = i * factor + more, j = j * factor + more, k = k * factor + more, l = l * factor + more;
    // The compiler is told that they change here, or it would work the loop out beforehand.
#if defined(__x86_64__)
    __asm__ __volatile__("" : "+x"(a), "+x"(b), "+x"(c), "+x"(d), "+x"(e), "+x"(f));
    __asm__ __volatile__("" : "+x"(g), "+x"(h), "+x"(i), "+x"(j), "+x"(k), "+x"(l));
#elif defined(__aarch64__)
    __asm__ __volatile__("" : "+w"(a), "+w"(b), "+w"(c), "+w"(d), "+w"(e), "+w"(f));
    __asm__ __volatile__("" : "+w"(g), "+w"(h), "+w"(i), "+w"(j), "+w"(k), "+w"(l));
#endif
  }
  return sum<Real>(a + b + c + d + e + f + g + h + i + j + k + l);
}

// Operations a second, a product and a sum counting as two; the best of what fits into about so many seconds.
template <class Real>
double measure_peak(double seconds) noexcept {
  using Clock = std::chrono::steady_clock;
  constexpr int rounds = 20000;
  double best = 0;
  volatile Real kept = 0;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  do {
    const auto begun = Clock::now();
    kept = run_sums<Real>(rounds);
    static_cast<void>(kept);
    const double took = std::chrono::duration<double>(Clock::now() - begun).count();
    const double rate = 2.0 * rounds * 12 * static_cast<double>(lanes<Real>) / took;
    if (rate > best) best = rate;
  } while (Clock::now() < end);
  return best;
}

}  // namespace peephole::PEEPHOLE_ISA
