// One vector register of the instruction set at hand, in the compiler's own vector types.
//
// The width follows from what the translation unit is compiled for: 64 bytes with AVX-512, 32 with AVX2, else 16 (SSE2,
// NEON). Arithmetic is that of the operators; a*b + c becomes one fused operation where the processor has it.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "isa.hpp"
#include "shape.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace peephole::PEEPHOLE_ISA {

#if defined(__AVX512F__)
constexpr Index vector_bytes = 64;
#elif defined(__AVX2__)
constexpr Index vector_bytes = 32;
#else
constexpr Index vector_bytes = 16;
#endif

template <class Real>
struct Simd;

template <>
struct Simd<float> {
  typedef float V __attribute__((vector_size(vector_bytes)));
  typedef std::int32_t Bits __attribute__((vector_size(vector_bytes)));
  typedef float Unaligned __attribute__((vector_size(vector_bytes), aligned(4), may_alias));
};

template <>
struct Simd<double> {
  typedef double V __attribute__((vector_size(vector_bytes)));
  typedef std::int64_t Bits __attribute__((vector_size(vector_bytes)));
  typedef double Unaligned __attribute__((vector_size(vector_bytes), aligned(8), may_alias));
};

template <class Real>
using Vector = typename Simd<Real>::V;

// Elements of one vector.
template <class Real>
constexpr Index lanes = vector_bytes / static_cast<Index>(sizeof(Real));

// The smallest multiple of whole vectors that holds count elements.
template <class Real>
constexpr Index padded(Index count) noexcept {
  return (count + lanes<Real> - 1) / lanes<Real> * lanes<Real>;
}

// The distance between the rows of a scratch array: an odd number of cache lines, for rows that are a power of two
// apart would all want the same few places of the cache.
template <class Real>
constexpr Index row_stride(Index count) noexcept {
  constexpr Index line = 64 / static_cast<Index>(sizeof(Real));
  const Index lines = (count + line - 1) / line;
  return (lines % 2 == 0 && lines > 1 ? lines + 1 : lines) * line;
}

template <class Real>
inline Vector<Real> load(const Real* from) noexcept {
  return *reinterpret_cast<const typename Simd<Real>::Unaligned*>(from);
}

template <class Real>
inline void store(Real* to, Vector<Real> v) noexcept {
  *reinterpret_cast<typename Simd<Real>::Unaligned*>(to) = v;
}

template <class Real>
inline Vector<Real> broadcast(Real x) noexcept {
  return x - Vector<Real>{};
}

#if defined(__AVX512F__)
inline Vector<float> load_some(const float* from, Index count) noexcept {
  return (Vector<float>)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
}
inline Vector<double> load_some(const double* from, Index count) noexcept {
  return (Vector<double>)_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1), from);
}
inline void store_some(float* to, Vector<float> v, Index count) noexcept {
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), (__m512)v);
}
inline void store_some(double* to, Vector<double> v, Index count) noexcept {
  _mm512_mask_storeu_pd(to, static_cast<__mmask8>((1u << count) - 1), (__m512d)v);
}
#else
// The first `count` elements, 1 to all of them; the others are 0 and their memory is not touched.
template <class Real>
inline Vector<Real> load_some(const Real* from, Index count) noexcept {
  Real all[lanes<Real>] = {};
  for (Index lane = 0; lane < count; ++lane) all[lane] = from[lane];
  return load(all);
}

template <class Real>
inline void store_some(Real* to, Vector<Real> v, Index count) noexcept {
  Real all[lanes<Real>];
  store(all, v);
  for (Index lane = 0; lane < count; ++lane) to[lane] = all[lane];
}
#endif

template <class Real>
inline Vector<Real> load_up_to(const Real* from, Index count) noexcept {
  return count >= lanes<Real> ? load(from) : load_some(from, count);
}

template <class Real>
inline void store_up_to(Real* to, Vector<Real> v, Index count) noexcept {
  if (count >= lanes<Real>) {
    store(to, v);
  } else {
    store_some(to, v, count);
  }
}

// Lane l of the result is lane Pick::of(l) of a, or of b where that is `lanes` and more.
template <class Real, class Pick, int... lane>
inline Vector<Real> shuffled(Vector<Real> a, Vector<Real> b, std::integer_sequence<int, lane...>) noexcept {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, Pick::of(lane)...);
#else
  return __builtin_shuffle(a, b, typename Simd<Real>::Bits{Pick::of(lane)...});
#endif
}

template <int far, int all>
struct Rotated {
  static constexpr int of(int lane) noexcept { return (lane + far) % all; }
};

// The sum of all elements, the two halves of the lanes added, then their halves.
template <class Real, int far = static_cast<int>(lanes<Real>) / 2>
inline Real sum(Vector<Real> v) noexcept {
  constexpr int all = static_cast<int>(lanes<Real>);
  v += shuffled<Real, Rotated<far, all>>(v, v, std::make_integer_sequence<int, all>{});
  if constexpr (far > 1) {
    return sum<Real, far / 2>(v);
  } else {
    return v[0];
  }
}

// Lets the processor take subnormal numbers for zero as long as it lives: they are up to a hundred times slower.
class FlushSubnormals {
 public:
#if defined(__x86_64__) || defined(_M_X64)
  FlushSubnormals() noexcept : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040u); }
  ~FlushSubnormals() noexcept { _mm_setcsr(before_); }

 private:
  unsigned before_;
#elif defined(__aarch64__)
  FlushSubnormals() noexcept {
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(before_));
    __asm__ __volatile__("msr fpcr, %0" : : "r"(before_ | (std::uint64_t{1} << 24)));
  }
  ~FlushSubnormals() noexcept { __asm__ __volatile__("msr fpcr, %0" : : "r"(before_)); }

 private:
  std::uint64_t before_;
#else
  FlushSubnormals() noexcept {}
#endif
 public:
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;
};

}  // namespace peephole::PEEPHOLE_ISA
