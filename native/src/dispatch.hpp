// Which instruction set's kernels are in use.
#pragma once

#include "kernels.hpp"

namespace peephole {

// Names, the slowest first; null behind the last.
const char* isa_name(int index) noexcept;

// Whether this machine has it.
bool isa_runs(const char* name) noexcept;

const char* isa_in_use() noexcept;

// Null for the fastest that this machine has. False, and nothing is changed, if it has not that one.
bool force_isa(const char* name) noexcept;

// The kernels in use.
template <class Real>
const Kernels<Real>& chosen() noexcept;

}  // namespace peephole
