// Structs of pointers from Python: a dict from the names of peephole.h to addresses.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstring>

#include "peephole.h"

namespace peephole_python {

namespace nb = nanobind;

// A pointer in one of the structs of peephole.h, by name. The key is made once, when the module is loaded.
struct Field {
  const char* name;
  std::size_t offset;
  PyObject* key = nullptr;
};

#define PEEPHOLE_FIELD(group, member) \
  Field { #member, offsetof(peephole_##group##_f32, member) }

// The structs hold nothing but pointers, so that the offsets are those of the f64 structs too.
inline Field weight_fields[] = {PEEPHOLE_FIELD(weights, W),    PEEPHOLE_FIELD(weights, R),
                                PEEPHOLE_FIELD(weights, b),    PEEPHOLE_FIELD(weights, p),
                                PEEPHOLE_FIELD(weights, S),    PEEPHOLE_FIELD(weights, W_p),
                                PEEPHOLE_FIELD(weights, gain), PEEPHOLE_FIELD(weights, shift)};
inline Field input_fields[] = {
    PEEPHOLE_FIELD(inputs, x),         PEEPHOLE_FIELD(inputs, h0),      PEEPHOLE_FIELD(inputs, c0),
    PEEPHOLE_FIELD(inputs, r0),        PEEPHOLE_FIELD(inputs, lengths), PEEPHOLE_FIELD(inputs, zoneout_h),
    PEEPHOLE_FIELD(inputs, zoneout_c), PEEPHOLE_FIELD(inputs, drop_h),  PEEPHOLE_FIELD(inputs, drop_g)};
inline Field tape_fields[] = {PEEPHOLE_FIELD(tape, y),    PEEPHOLE_FIELD(tape, gates), PEEPHOLE_FIELD(tape, c),
                              PEEPHOLE_FIELD(tape, a),    PEEPHOLE_FIELD(tape, c_hat), PEEPHOLE_FIELD(tape, normed),
                              PEEPHOLE_FIELD(tape, rstd), PEEPHOLE_FIELD(tape, h_n),   PEEPHOLE_FIELD(tape, c_n),
                              PEEPHOLE_FIELD(tape, r_n)};
inline Field error_fields[] = {PEEPHOLE_FIELD(errors, dy),     PEEPHOLE_FIELD(errors, dh_n),
                               PEEPHOLE_FIELD(errors, dc_n),   PEEPHOLE_FIELD(errors, dr_n),
                               PEEPHOLE_FIELD(errors, dgates), PEEPHOLE_FIELD(errors, dc)};
inline Field gradient_fields[] = {
    PEEPHOLE_FIELD(gradients, dx),   PEEPHOLE_FIELD(gradients, dh0),   PEEPHOLE_FIELD(gradients, dc0),
    PEEPHOLE_FIELD(gradients, dr0),  PEEPHOLE_FIELD(gradients, dW),    PEEPHOLE_FIELD(gradients, dR),
    PEEPHOLE_FIELD(gradients, db),   PEEPHOLE_FIELD(gradients, dp),    PEEPHOLE_FIELD(gradients, dS),
    PEEPHOLE_FIELD(gradients, dW_p), PEEPHOLE_FIELD(gradients, dgain), PEEPHOLE_FIELD(gradients, dshift)};
inline Field dense_fields[] = {
    PEEPHOLE_FIELD(dense_buffers, W),  PEEPHOLE_FIELD(dense_buffers, b),  PEEPHOLE_FIELD(dense_buffers, mask),
    PEEPHOLE_FIELD(dense_buffers, x),  PEEPHOLE_FIELD(dense_buffers, y),  PEEPHOLE_FIELD(dense_buffers, dy),
    PEEPHOLE_FIELD(dense_buffers, dx), PEEPHOLE_FIELD(dense_buffers, dW), PEEPHOLE_FIELD(dense_buffers, db)};

static_assert(sizeof(peephole_weights_f32) == sizeof weight_fields / sizeof(Field) * sizeof(void*));
static_assert(sizeof(peephole_inputs_f32) == sizeof input_fields / sizeof(Field) * sizeof(void*));
static_assert(sizeof(peephole_tape_f32) == sizeof tape_fields / sizeof(Field) * sizeof(void*));
static_assert(sizeof(peephole_errors_f32) == sizeof error_fields / sizeof(Field) * sizeof(void*));
static_assert(sizeof(peephole_gradients_f32) == sizeof gradient_fields / sizeof(Field) * sizeof(void*));
static_assert(sizeof(peephole_dense_buffers_f32) == sizeof dense_fields / sizeof(Field) * sizeof(void*));

template <std::size_t count>
void intern(Field (&fields)[count]) {
  for (Field& field : fields) {
    field.key = PyUnicode_InternFromString(field.name);
    if (field.key == nullptr) nb::raise_python_error();
  }
}

inline void intern_names() {
  intern(weight_fields);
  intern(input_fields);
  intern(tape_fields);
  intern(error_fields);
  intern(gradient_fields);
  intern(dense_fields);
}

// Fills structs from a dict, and refuses a dict with names that no struct took.
class Addresses {
 public:
  explicit Addresses(const nb::dict& by_name) : by_name_(by_name) {}

  template <class Group, std::size_t count>
  void fill(Group& group, const Field (&fields)[count]) {
    static_assert(sizeof(Group) == count * sizeof(void*));
    for (const Field& field : fields) {
      PyObject* number = PyDict_GetItemWithError(by_name_.ptr(), field.key);
      if (number == nullptr) {
        if (PyErr_Occurred()) nb::raise_python_error();
        continue;
      }
      void* address = PyLong_AsVoidPtr(number);
      if (address == nullptr && PyErr_Occurred()) nb::raise_python_error();
      std::memcpy(reinterpret_cast<unsigned char*>(&group) + field.offset, &address, sizeof address);
      ++taken_;
    }
  }

  void refuse_the_rest() const {
    if (taken_ == by_name_.size()) return;
    const nb::list names = by_name_.keys();
    PyErr_Format(PyExc_ValueError, "_native: there is a name that is no buffer of this pass among %R", names.ptr());
    nb::raise_python_error();
  }

 private:
  const nb::dict& by_name_;
  std::size_t taken_ = 0;
};

}  // namespace peephole_python
