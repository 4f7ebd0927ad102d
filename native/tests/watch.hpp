// Counts what a thread that must not be kept waiting may not do: allocate, free, lock, wait, yield.
//
// The functions stand in front of the C library's own, for the whole program, wherever they are called from. Under a
// sanitizer, which does the same, and on other C libraries, only new and delete are watched.
#pragma once

namespace watch {

// From now on calls are counted.
void begin() noexcept;

// How many there were since begin(); they are no longer counted.
int end() noexcept;

// Whether malloc and the locks are watched too.
bool complete() noexcept;

}  // namespace watch
