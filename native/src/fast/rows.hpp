// How a team divides a pass, and which rows are at work at a step.
//
// Mostly each thread has rows of its own and runs the whole time loop for them without meeting anybody. Where there are
// fewer rows than threads, or where to read the weights costs more than to meet, all have all rows and each some of the
// units; they then meet at every step.
//
// Rows stand in slots: those of one thread side by side, the longest sequence first, so that the rows at work at a step
// are always the first so many. Without lengths a slot is the row itself.
#pragma once

#include <algorithm>

#include "forward_panels.hpp"
#include "tape.hpp"
#include "team.hpp"

namespace peephole::PEEPHOLE_ISA {

struct Division {
  bool by_units;
  Index rows;   // the most that one thread has
  Index steps;  // taken together

  Index most_rows() const noexcept { return rows * steps; }
  Range own_rows(const Team& team, Index B) const noexcept { return by_units ? Range{0, B} : team.share(B); }
  Range own_panels(const Team& team, Index count) const noexcept {
    return by_units ? team.share(count) : Range{0, count};
  }
};

// A product over fewer rows is not worth the reading of its panels.
constexpr Index fewest_rows = 64;

// The same on the way back, where every product over some rows reads and writes the gradients of all weights: the
// larger they are, the more rows they are worth.
inline Index fewest_rows_back(const Shape& s) noexcept { return std::max(fewest_rows, s.K / 16); }

// Steps are taken together so that what they leave for one product fills part of the second-level cache, but for no
// fewer rows than the product needs.
inline Index steps_together(Index T, Index rows, Index row_bytes, Index fewest) noexcept {
  constexpr Index bytes = 384 * 1024;
  const Index fitting = bytes / row_bytes;
  const Index steps = std::max(fitting, fewest) / (rows > 0 ? rows : 1);
  return std::max<Index>(1, std::min(steps, T));
}

// `columns`: of one row of z, of real_bytes each. `fewest`: rows of the products that no step waits for.
inline Division divide(const Shape& s, Index threads, std::size_t real_bytes, Index columns, Index fewest) noexcept {
  const Index real = static_cast<Index>(real_bytes);
  const Index weight_bytes = s.K * s.P * real;
  // To meet costs less than a microsecond. 64 rows make a large product worth the reading of its weights.
  const bool pays = s.B < threads ? weight_bytes >= 128 * 1024 : weight_bytes >= 2048 * 1024 && s.B < 32 * threads;
  const Index blocks = (s.H + 4 * lanes<float> - 1) / (4 * lanes<float>);
  Division division{};
  division.by_units =
      threads > 1 && gates_meet(s) && !s.projection && !s.full_gate_recurrence && blocks >= threads && pays;
  division.rows = division.by_units ? s.B : (s.B + threads - 1) / threads;
  division.steps = steps_together(s.T, division.rows, columns * real, fewest);
  return division;
}

// The rows, the longest first; equal ones in their own order.
inline void sort_rows(const std::int64_t* lengths, Index B, Index* sorted) noexcept {
  for (Index b = 0; b < B; ++b) sorted[b] = b;
  if (lengths == nullptr) return;
  std::sort(sorted, sorted + B,
            [=](Index a, Index b) { return lengths[a] != lengths[b] ? lengths[a] > lengths[b] : a < b; });
}

// Deals a thread's share: neighbours, but of a ragged batch every size-th, so that all have about the same to do.
inline void deal_rows(const Team& team, const Division& division, bool ragged, const Index* sorted, Range share,
                      Index* slots) noexcept {
  const Index first = division.by_units ? 0 : team.rank, apart = division.by_units ? 1 : team.size;
  for (Index slot = share.begin; slot < share.end; ++slot) {
    slots[slot] = ragged ? sorted[first + (slot - share.begin) * apart] : slot;
  }
}

// The number of rows at work, step by step in the order of the loop.
class Active {
 public:
  Active(const std::int64_t* lengths, const Index* slots, Range share) noexcept
      : lengths_(lengths), slots_(slots + share.begin), all_(share.count()), now_(all_) {}

  Index at(Index t) noexcept {
    if (lengths_ == nullptr) return all_;
    while (now_ > 0 && lengths_[slots_[now_ - 1]] <= t) --now_;
    while (now_ < all_ && lengths_[slots_[now_]] > t) ++now_;
    return now_;
  }

 private:
  const std::int64_t* lengths_;
  const Index* slots_;
  Index all_, now_;
};

}  // namespace peephole::PEEPHOLE_ISA
