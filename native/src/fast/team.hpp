// The threads that run one pass together.
//
// A pass is begun by every thread of its team at once. They divide the rows of the batch and meet only where one needs
// what another has made; no thread is started or stopped in between.
#pragma once

#include <atomic>
#include <thread>

#include "isa.hpp"
#include "shape.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace peephole::PEEPHOLE_ISA {

// Where all wait until all have come. It spins, for the wait is mostly shorter than a system call, but gives the
// processor away when somebody is long in coming.
class Barrier {
 public:
  void wait(Index size) noexcept {
    const Index phase = phase_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      return;
    }
    for (int turns = 0; phase_.load(std::memory_order_acquire) == phase; ++turns) {
      if (turns < patience) {
        pause();
      } else {
        std::this_thread::yield();
      }
    }
  }

 private:
  static constexpr int patience = 20000;

  static void pause() noexcept {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_pause();
#endif
  }

  alignas(64) std::atomic<Index> arrived_{0};
  alignas(64) std::atomic<Index> phase_{0};
};

// Indices [begin, end).
struct Range {
  Index begin, end;
  Index count() const noexcept { return end - begin; }
};

// One thread's view of its team.
struct Team {
  Index rank, size;
  Barrier* barrier;

  void wait() const noexcept {
    if (size > 1) barrier->wait(size);
  }

  // This thread's share of `count` things that lie side by side.
  Range share(Index count) const noexcept {
    const Index each = count / size, more = count % size;
    const Index begin = rank * each + (rank < more ? rank : more);
    return {begin, begin + each + (rank < more ? 1 : 0)};
  }
};

}  // namespace peephole::PEEPHOLE_ISA
