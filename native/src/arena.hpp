// Cuts the caller's workspace into arrays.
#pragma once

#include <cstddef>
#include <cstdint>

#include "isa.hpp"
#include "shape.hpp"

namespace peephole::PEEPHOLE_ISA {

// Hands out arrays one after the other, each on a cache line of its own. With no memory behind it, it only counts: the
// same code that takes the arrays says how many bytes they need.
template <class Real>
class Arena {
 public:
  static constexpr std::size_t line = 64;

  Arena() noexcept = default;
  explicit Arena(void* data) noexcept : start_(data) {
    if (data != nullptr) used_ = (line - reinterpret_cast<std::uintptr_t>(data) % line) % line;
  }

  template <class Element = Real>
  Element* take(Index count) noexcept {
    const std::size_t at = used_;
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(Element);
    used_ += (bytes + line - 1) / line * line;
    if (start_ == nullptr) return nullptr;
    return reinterpret_cast<Element*>(static_cast<unsigned char*>(start_) + at);
  }

  // Bytes that any start address suffices with.
  std::size_t needed() const noexcept { return used_ + line; }

 private:
  void* start_ = nullptr;
  std::size_t used_ = 0;
};

}  // namespace peephole::PEEPHOLE_ISA
