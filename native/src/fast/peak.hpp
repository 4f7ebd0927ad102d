// What the processor can do at most, multiplying and adding in registers alone, and what the tiles do; on one thread.
#pragma once

#include <chrono>

#include "product.hpp"

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

// Operations a second of work that does so many in each call; the best of what fits into about so many seconds.
template <class Work>
double best_rate(double operations, double seconds, Work work) noexcept {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  do {
    const auto begun = Clock::now();
    work();
    const double took = std::chrono::duration<double>(Clock::now() - begun).count();
    if (took > 0 && operations / took > best) best = operations / took;
  } while (Clock::now() < end);
  return best;
}

// A product and a sum count as two.
template <class Real>
double measure_peak(double seconds) noexcept {
  constexpr int rounds = 20000;
  volatile Real kept = 0;
  return best_rate(2.0 * rounds * 12 * static_cast<double>(lanes<Real>), seconds,
                   [&] { kept = run_sums<Real>(rounds); });
}

// The same of the tile of so many rows and registers, over a panel that lies in the first-level cache; 0 if there is
// none.
template <class Real>
double measure_tile(Index rows, Index vectors, double seconds) noexcept {
  if (rows < 1 || rows > tile_rows || vectors < 1 || vectors > tile_vectors) return 0.0;
  constexpr Index depth = 96;
  constexpr int rounds = 200;
  alignas(64) Real panel[depth * tile_columns<Real>], left[tile_rows * depth], Z[tile_rows * tile_columns<Real>];
  for (Real& one : panel) one = Real(0.5);
  for (Real& one : left) one = Real(0.25);
  for (Real& one : Z) one = Real(0);
  TileRows<Real> a;
  a.step = 1;
  for (Index r = 0; r < rows; ++r) a.row[r] = left + r * depth;
  a.ahead = reinterpret_cast<const unsigned char*>(panel);
  a.ahead_step = 0;
  const Index width = vectors * lanes<Real>;
  const Tile<Real> tile = tile_of<Real>(rows, vectors);
  return best_rate(2.0 * rounds * static_cast<double>(depth * rows * width), seconds, [&] {
    for (int round = 0; round < rounds; ++round) tile(depth, a, panel, Z, width, Z, width);
  });
}

}  // namespace peephole::PEEPHOLE_ISA
