#include "watch.hpp"

#include <cstddef>
#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <features.h>
#endif
#if defined(__has_feature)  // Clang's way to say it
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WATCH_C_LIBRARY
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#endif

namespace {

// Of the thread that watches; others do as they like.
thread_local bool watching = false;
thread_local int calls = 0;

void count() noexcept {
  if (watching) ++calls;
}

}  // namespace

namespace watch {

void begin() noexcept {
  calls = 0;
  watching = true;
}

int end() noexcept {
  watching = false;
  return calls;
}

bool complete() noexcept {
#if defined(WATCH_C_LIBRARY)
  return true;
#else
  return false;
#endif
}

}  // namespace watch

void* operator new(std::size_t bytes) {
  count();
  void* memory = std::malloc(bytes);
  if (memory == nullptr) std::abort();
  return memory;
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  count();
  return std::malloc(bytes);
}
void operator delete(void* memory) noexcept {
  count();
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  count();
  std::free(memory);
}

#if defined(WATCH_C_LIBRARY)

extern "C" {

void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t bytes) noexcept {
  count();
  return __libc_malloc(bytes);
}
void* calloc(std::size_t number, std::size_t bytes) noexcept {
  count();
  return __libc_calloc(number, bytes);
}
void* realloc(void* memory, std::size_t bytes) noexcept {
  count();
  return __libc_realloc(memory, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  count();
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  count();
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) noexcept {
  count();
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr;
}
void free(void* memory) noexcept {
  count();
  __libc_free(memory);
}

// What stands in front calls what it stands before.
#define WATCH(name, parameter)                                                                            \
  int name(parameter* which) noexcept {                                                                   \
    count();                                                                                              \
    static int (*const own)(parameter*) = reinterpret_cast<int (*)(parameter*)>(dlsym(RTLD_NEXT, #name)); \
    return own(which);                                                                                    \
  }

WATCH(pthread_mutex_lock, pthread_mutex_t)
WATCH(pthread_mutex_trylock, pthread_mutex_t)
WATCH(pthread_rwlock_rdlock, pthread_rwlock_t)
WATCH(pthread_rwlock_wrlock, pthread_rwlock_t)

int sched_yield() noexcept {
  count();
  return 0;
}

}  // extern "C"

#endif
