#include "dispatch.hpp"

#include <atomic>
#include <cstring>

namespace peephole {
namespace {

bool always() noexcept { return true; }

#if defined(PEEPHOLE_X86_KERNELS)
#if defined(__GNUC__) || defined(__clang__)
bool has_avx2() noexcept { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() noexcept {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif
#endif

struct Isa {
  const char* name;
  bool (*runs)() noexcept;
  const Kernels<float>& (*f32)() noexcept;
  const Kernels<double>& (*f64)() noexcept;
};

// On aarch64 the baseline is NEON.
constexpr Isa isas[] = {
    {"plain", always, plain::kernels<float>, plain::kernels<double>},
    {PEEPHOLE_BASELINE, always, baseline::kernels<float>, baseline::kernels<double>},
#if defined(PEEPHOLE_X86_KERNELS)
    {"avx2", has_avx2, avx2::kernels<float>, avx2::kernels<double>},
    {"avx512", has_avx512, avx512::kernels<float>, avx512::kernels<double>},
#endif
};
constexpr int count = static_cast<int>(sizeof isas / sizeof isas[0]);

const Isa* fastest() noexcept {
  const Isa* best = &isas[0];
  for (const Isa& isa : isas) {
    if (isa.runs()) best = &isa;
  }
  return best;
}

const Isa* named(const char* name) noexcept {
  for (const Isa& isa : isas) {
    if (std::strcmp(isa.name, name) == 0) return &isa;
  }
  return nullptr;
}

std::atomic<const Isa*> in_use{nullptr};

const Isa& current() noexcept {
  const Isa* isa = in_use.load(std::memory_order_acquire);
  if (isa != nullptr) return *isa;
  const Isa* best = fastest();
  in_use.compare_exchange_strong(isa, best, std::memory_order_acq_rel);
  return *in_use.load(std::memory_order_acquire);
}

}  // namespace

const char* isa_name(int index) noexcept { return index >= 0 && index < count ? isas[index].name : nullptr; }

bool isa_runs(const char* name) noexcept {
  const Isa* isa = named(name);
  return isa != nullptr && isa->runs();
}

const char* isa_in_use() noexcept { return current().name; }

bool force_isa(const char* name) noexcept {
  const Isa* isa = name == nullptr ? fastest() : named(name);
  if (isa == nullptr || !isa->runs()) return false;
  in_use.store(isa, std::memory_order_release);
  return true;
}

template <>
const Kernels<float>& chosen<float>() noexcept {
  return current().f32();
}
template <>
const Kernels<double>& chosen<double>() noexcept {
  return current().f64();
}

}  // namespace peephole
