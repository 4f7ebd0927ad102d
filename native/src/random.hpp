// Random masks: the generator xoshiro128++ of Blackman and Vigna (2021), sixteen streams side by side so that registers
// of any width are filled, each begun with SplitMix64 (Steele et al. 2014) from the one seed. Number n is that of
// stream n mod 16. The same seed gives the same mask whatever the instruction set.
#pragma once

#include <cstdint>

#include "isa.hpp"
#include "shape.hpp"

namespace peephole::PEEPHOLE_ISA {

constexpr int streams = 16;

class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept {
    for (int stream = 0; stream < streams; ++stream) {
      for (int word = 0; word < 4; word += 2) {
        const std::uint64_t mixed = split(seed);
        words_[word][stream] = static_cast<std::uint32_t>(mixed);
        words_[word + 1][stream] = static_cast<std::uint32_t>(mixed >> 32);
      }
    }
  }

  // The next number of each stream, uniform in [0, 2^32).
  void next(std::uint32_t* numbers) noexcept {
    auto& [s0, s1, s2, s3] = words_;
    for (int k = 0; k < streams; ++k) {
      numbers[k] = turned(s0[k] + s3[k], 7) + s0[k];
      const std::uint32_t shifted = s1[k] << 9;
      s2[k] ^= s0[k];
      s3[k] ^= s1[k];
      s1[k] ^= s2[k];
      s0[k] ^= s3[k];
      s2[k] ^= shifted;
      s3[k] = turned(s3[k], 11);
    }
  }

 private:
  static std::uint32_t turned(std::uint32_t word, int bits) noexcept { return (word << bits) | (word >> (32 - bits)); }

  static std::uint64_t split(std::uint64_t& state) noexcept {
    std::uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  alignas(64) std::uint32_t words_[4][streams];
};

// Each of `count` elements is `value` with a probability in [0, 1], kept to 2^-32, else 0.
template <class Real>
void draw_mask(std::uint64_t seed, double probability, Real value, Real* mask, Index count) noexcept {
  Random random(seed);
  const std::uint64_t all = std::uint64_t{1} << 32;
  const std::uint64_t below = static_cast<std::uint64_t>(probability * static_cast<double>(all) + 0.5);
  const bool always = below >= all;
  const std::uint32_t bound = static_cast<std::uint32_t>(below);
  std::uint32_t numbers[streams];
  for (Index first = 0; first < count; first += streams) {
    random.next(numbers);
    const Index some = count - first < streams ? count - first : streams;
    for (Index k = 0; k < some; ++k) mask[first + k] = numbers[k] < bound || always ? value : Real(0);
  }
}

}  // namespace peephole::PEEPHOLE_ISA
