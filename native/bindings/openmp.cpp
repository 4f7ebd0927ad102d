// peephole._openmp: threads for the passes from the OpenMP runtime of the process.
//
// torch brings one, and this module uses that very one: a second would put twice as many threads on the processors. It
// is a module of its own, so that a process without torch needs none.
#include <nanobind/nanobind.h>
#include <omp.h>

#include <cstdint>

#if !defined(_WIN32)
#include <pthread.h>
#endif

#include "peephole.h"

namespace nb = nanobind;

namespace {

// A child that fork made has only the thread that called it, but OpenMP's memory of them all, and would wait for them
// for ever. It works alone.
bool forked = false;

void run(void*, std::int32_t count, peephole_task task, void* argument) {
  if (forked) {
    task(argument, 0, 1);
    return;
  }
#pragma omp parallel num_threads(count)
  task(argument, omp_get_thread_num(), omp_get_num_threads());
}

}  // namespace

NB_MODULE(_openmp, m) {
  m.doc() = "OpenMP's threads for Peephole's compiled kernels. Use peephole.kernels.";
#if !defined(_WIN32)
  pthread_atfork(nullptr, nullptr, [] { forked = true; });
#endif
  m.def("runner", [] { return reinterpret_cast<std::uintptr_t>(&run); });
}
