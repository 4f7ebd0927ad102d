// What the tests of the core share: threads to lend, reproducible numbers, and a count of what failed.
#pragma once

#include <cstdint>
#include <cstdio>
#include <thread>
#include <vector>

#include "peephole.h"

namespace peephole_test {

inline int failures = 0;

inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "FAILED: %s\n", what);
  ++failures;
}

// Threads as a caller may lend them.
inline void run_together(void*, std::int32_t count, peephole_task task, void* argument) {
  std::vector<std::thread> others;
  for (std::int32_t rank = 1; rank < count; ++rank) others.emplace_back(task, argument, rank, count);
  task(argument, 0, count);
  for (std::thread& other : others) other.join();
}

// Fewer than were asked for, as a process that has no more may do.
inline void run_alone(void*, std::int32_t, peephole_task task, void* argument) { task(argument, 0, 1); }

inline const peephole_threads alone{1, nullptr, nullptr}, two{2, run_together, nullptr},
    three{3, run_together, nullptr}, promised{3, run_alone, nullptr};

// Uniform in (-1, 1), the same in every run.
inline double draw() {
  static std::uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return static_cast<double>(state >> 11) / 4503599627370496.0 - 1.0;
}

inline std::vector<double> drawn(std::int64_t count, double scale = 1.0) {
  std::vector<double> values(static_cast<std::size_t>(count));
  for (double& value : values) value = scale * draw();
  return values;
}

}  // namespace peephole_test
