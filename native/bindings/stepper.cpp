// peephole._native.Stepper: a stepper of peephole.h for Python, made once and called for every step.
//
// A step is a microsecond or less, so that how it is called is most of what it costs. step() takes arrays by the buffer
// protocol, looks at what they are, and says whether it took them: what it does not take goes the slow way, where all
// is checked and told in Python. The GIL is kept where a step is quicker than giving it away is worth.
#include "stepper.hpp"

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "addresses.hpp"
#include "peephole.hpp"

namespace peephole_python {
namespace {

using namespace nb::literals;
using Address = std::uintptr_t;

// The multiplications from which on a step takes some 20 microseconds or more: another thread may then run meanwhile.
constexpr double long_step = 5e5;

// Layers as Python tells them: (Cell, B, I, H, P, addresses) with the state among the addresses as h_n, c_n, r_n, or
// (B, I, O, activation, addresses).
template <class Real>
class Layers {
  using F = peephole::Api<Real>;

 public:
  explicit Layers(const nb::list& told) : parts_(told.size()) {
    for (std::size_t k = 0; k < told.size(); ++k) {
      const nb::tuple one = nb::cast<nb::tuple>(told[k]);
      if (nb::len(one) == 6) {
        read_cell(one, parts_[k]);
      } else {
        read_dense(one, parts_[k]);
      }
    }
    for (const Part& part : parts_) layers_.push_back(part.layer);
  }

  const std::vector<typename F::Layer>& all() const { return layers_; }
  double multiplications() const { return multiplications_; }

 private:
  // What the layer points to while the stepper is made.
  struct Part {
    peephole_sizes sizes;
    typename F::Weights weights;
    peephole_dense dense;
    typename F::Dense values;
    typename F::Layer layer;
  };

  void read_cell(const nb::tuple& one, Part& part) {
    const auto size = [&](int place) { return nb::cast<std::int64_t>(one[place]); };
    const peephole_cell& cell = nb::cast<const peephole_cell&>(one[0]);
    part.sizes = {1, size(1), size(2), size(3), size(4), 0};
    peephole_tape_f32 state{};  // all pointers: that of the other type has the same
    const nb::dict by_name = nb::cast<nb::dict>(one[5]);
    Addresses addresses(by_name);
    addresses.fill(part.weights, weight_fields);
    addresses.fill(state, tape_fields);
    addresses.refuse_the_rest();
    part.layer.cell = &cell;
    part.layer.sizes = &part.sizes;
    part.layer.weights = &part.weights;
    part.layer.h = reinterpret_cast<Real*>(state.h_n);
    part.layer.c = reinterpret_cast<Real*>(state.c_n);
    part.layer.r = reinterpret_cast<Real*>(state.r_n);
    const auto real = [](std::int64_t count) { return static_cast<double>(count); };
    multiplications_ += 4.0 * real(size(1)) * real(size(3)) * real(size(2) + size(4));
  }

  void read_dense(const nb::tuple& one, Part& part) {
    const auto size = [&](int place) { return nb::cast<std::int64_t>(one[place]); };
    part.dense = {size(0), size(1), size(2), nb::cast<std::int32_t>(one[3]), 0};
    const nb::dict by_name = nb::cast<nb::dict>(one[4]);
    Addresses addresses(by_name);
    addresses.fill(part.values, dense_fields);
    addresses.refuse_the_rest();
    part.layer.dense = &part.dense;
    part.layer.values = &part.values;
    multiplications_ += static_cast<double>(size(0)) * static_cast<double>(size(1)) * static_cast<double>(size(2));
  }

  std::vector<Part> parts_;
  std::vector<typename F::Layer> layers_;
  double multiplications_ = 0;
};

struct Free {
  void operator()(unsigned char* memory) const noexcept { std::free(memory); }
};
using Memory = std::unique_ptr<unsigned char[], Free>;

// Large weights lie in large pages where the system has them: read from end to end at every step, they take more small
// ones than the processor keeps track of.
Memory allocate(std::size_t bytes) {
  void* memory = nullptr;
#if defined(__linux__)
  constexpr std::size_t large_page = std::size_t{1} << 21;
  if (bytes >= large_page / 2) {
    const std::size_t whole = (bytes + large_page - 1) / large_page * large_page;
    memory = std::aligned_alloc(large_page, whole);
    if (memory != nullptr) madvise(memory, whole, MADV_HUGEPAGE);  // advice: where it is not taken all is well too
  }
#endif
  if (memory == nullptr) memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return Memory(static_cast<unsigned char*>(memory));
}

// The memory of one array, lent by its owner for as long as this lives.
class Lent {
 public:
  Lent() = default;
  ~Lent() {
    if (lent_) PyBuffer_Release(&view_);
  }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;

  // False where the object lends no contiguous memory of this shape and format; no error is then left behind.
  bool take(PyObject* array, int flags, char format, Py_ssize_t item, const std::vector<Py_ssize_t>& shape) {
    if (PyObject_GetBuffer(array, &view_, flags | PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) != 0) {
      PyErr_Clear();
      return false;
    }
    lent_ = true;
    if (view_.itemsize != item || view_.format == nullptr || view_.format[0] != format || view_.format[1] != '\0') {
      return false;
    }
    if (view_.ndim != static_cast<int>(shape.size())) return false;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      if (view_.shape[axis] != shape[axis]) return false;
    }
    return reinterpret_cast<std::uintptr_t>(view_.buf) % static_cast<std::size_t>(item) == 0;
  }

  void* data() const { return view_.buf; }

 private:
  Py_buffer view_;
  bool lent_ = false;
};

class Stepper {
 public:
  Stepper(bool is_double, const nb::list& layers, const nb::tuple& x_shape, const nb::tuple& y_shape)
      : is_double_(is_double), x_shape_(shape_of(x_shape)), y_shape_(shape_of(y_shape)) {
    status_ = is_double ? make<double>(layers) : make<float>(layers);
  }

  // Why it could not be made; 0 where it could.
  int status() const { return status_; }

  // Whether x and y are arrays that could be taken; the step is then done.
  bool step(nb::handle x, nb::handle y) {
    const char format = is_double_ ? 'd' : 'f';
    const Py_ssize_t item = is_double_ ? 8 : 4;
    Lent from, to;
    if (!from.take(x.ptr(), PyBUF_SIMPLE, format, item, x_shape_)) return false;
    if (!to.take(y.ptr(), PyBUF_WRITABLE, format, item, y_shape_)) return false;
    return run(from.data(), to.data()) == PEEPHOLE_OK;
  }

  int step_at(Address x, Address y) { return run(reinterpret_cast<void*>(x), reinterpret_cast<void*>(y)); }

 private:
  static std::vector<Py_ssize_t> shape_of(const nb::tuple& told) {
    std::vector<Py_ssize_t> shape;
    for (nb::handle size : told) shape.push_back(nb::cast<Py_ssize_t>(size));
    return shape;
  }

  template <class Real>
  int make(const nb::list& told) {
    using F = peephole::Api<Real>;
    const Layers<Real> layers(told);
    const auto& all = layers.all();
    const std::size_t bytes = F::stepper_bytes(all.data(), static_cast<std::int64_t>(all.size()));
    if (bytes == SIZE_MAX) {
      unsigned char none = 0;
      const int status = F::make_stepper(all.data(), static_cast<std::int64_t>(all.size()), &none, 0);
      return status == PEEPHOLE_OK ? PEEPHOLE_BAD_SIZES : status;
    }
    memory_ = allocate(bytes);
    is_long_ = layers.multiplications() >= long_step;
    return F::make_stepper(all.data(), static_cast<std::int64_t>(all.size()), memory_.get(), bytes);
  }

  int run(void* x, void* y) const noexcept {
    if (!is_long_) return run_now(x, y);
    PyThreadState* held = PyEval_SaveThread();
    const int status = run_now(x, y);
    PyEval_RestoreThread(held);
    return status;
  }

  int run_now(void* x, void* y) const noexcept {
    return is_double_ ? peephole_step_f64(memory_.get(), static_cast<const double*>(x), static_cast<double*>(y))
                      : peephole_step_f32(memory_.get(), static_cast<const float*>(x), static_cast<float*>(y));
  }

  bool is_double_, is_long_ = false;
  int status_ = PEEPHOLE_OK;
  std::vector<Py_ssize_t> x_shape_, y_shape_;
  Memory memory_;
};

}  // namespace

void bind_stepper(nb::module_& m) {
  nb::class_<Stepper>(m, "Stepper", "A network that takes one input at a time: a stepper of peephole.h.")
      .def(nb::init<bool, const nb::list&, const nb::tuple&, const nb::tuple&>())
      .def("status", &Stepper::status)
      .def("step", &Stepper::step)
      .def("step_at", &Stepper::step_at);
}

}  // namespace peephole_python
