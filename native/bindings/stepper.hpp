// peephole._native.Stepper.
#pragma once

#include <nanobind/nanobind.h>

namespace peephole_python {

void bind_stepper(nanobind::module_& m);

}  // namespace peephole_python
