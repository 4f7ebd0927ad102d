// peephole._native: the C interface for Python. With the files beside it all that knows nanobind.
//
// Buffers come as a dict from the names of peephole.h to addresses (whole numbers); a name that is absent is NULL. The
// caller keeps the memory alive and has checked its shapes (peephole.kernels); the GIL is released while a pass runs.
#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "addresses.hpp"
#include "peephole.hpp"
#include "stepper.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using namespace peephole_python;

namespace {

using Address = std::uintptr_t;
using Run = decltype(peephole_threads::run);

peephole_workspace workspace_at(Address address, std::size_t bytes) {
  return {reinterpret_cast<void*>(address), bytes};
}

// A pass with all its arguments, ready to run without the GIL.
using Pass = std::function<int(const peephole_threads*)>;

template <class Real>
Pass forward_pass(const peephole_cell& cell, const peephole_sizes& sizes, const nb::dict& by_name,
                  const peephole_workspace& workspace) {
  using E = peephole::Api<Real>;
  typename E::Weights weights{};
  typename E::Inputs inputs{};
  typename E::Tape tape{};
  Addresses addresses(by_name);
  addresses.fill(weights, weight_fields);
  addresses.fill(inputs, input_fields);
  addresses.fill(tape, tape_fields);
  addresses.refuse_the_rest();
  return [=](const peephole_threads* threads) {
    return E::forward(&cell, &sizes, &weights, &inputs, &tape, &workspace, threads);
  };
}

template <class Real>
Pass backward_pass(const peephole_cell& cell, const peephole_sizes& sizes, const nb::dict& by_name,
                   const peephole_workspace& workspace) {
  using E = peephole::Api<Real>;
  typename E::Weights weights{};
  typename E::Inputs inputs{};
  typename E::Tape tape{};
  typename E::Errors errors{};
  typename E::Gradients gradients{};
  Addresses addresses(by_name);
  addresses.fill(weights, weight_fields);
  addresses.fill(inputs, input_fields);
  addresses.fill(tape, tape_fields);
  addresses.fill(errors, error_fields);
  addresses.fill(gradients, gradient_fields);
  addresses.refuse_the_rest();
  return [=](const peephole_threads* threads) {
    return E::backward(&cell, &sizes, &weights, &inputs, &tape, &errors, &gradients, &workspace, threads);
  };
}

Pass pass_of_job(const peephole_cell& cell, const peephole_sizes& sizes, bool backward, bool is_double,
                 const nb::dict& by_name, const peephole_workspace& workspace) {
  if (backward) {
    return is_double ? backward_pass<double>(cell, sizes, by_name, workspace)
                     : backward_pass<float>(cell, sizes, by_name, workspace);
  }
  return is_double ? forward_pass<double>(cell, sizes, by_name, workspace)
                   : forward_pass<float>(cell, sizes, by_name, workspace);
}

// T, B, I, H, P, whether time is reversed and whether the tape is compact.
peephole_sizes sizes_of(const nb::tuple& sizes) {
  const auto number = [&](std::size_t at) { return nb::cast<std::int64_t>(sizes[at]); };
  return {number(0), number(1), number(2), number(3), number(4), nb::cast<bool>(sizes[5]), nb::cast<bool>(sizes[6])};
}

// Independent passes, each by a thread of its own; one after the other where the threads do not come.
std::vector<int> run_beside(const nb::list& jobs, Address runner) {
  struct Jobs {
    std::vector<Pass> passes;
    std::vector<int> status;
  };
  Jobs all;
  for (const nb::handle one : jobs) {
    const nb::tuple job = nb::cast<nb::tuple>(one);
    all.passes.push_back(pass_of_job(nb::cast<const peephole_cell&>(job[0]), sizes_of(nb::cast<nb::tuple>(job[1])),
                                     nb::cast<bool>(job[2]), nb::cast<bool>(job[3]), nb::cast<nb::dict>(job[4]),
                                     workspace_at(nb::cast<Address>(job[5]), nb::cast<std::size_t>(job[6]))));
  }
  all.status.resize(all.passes.size());
  const nb::gil_scoped_release released;
  reinterpret_cast<Run>(runner)(
      nullptr, static_cast<std::int32_t>(all.passes.size()),
      [](void* argument, std::int32_t rank, std::int32_t size) noexcept {
        Jobs& own = *static_cast<Jobs*>(argument);
        for (std::size_t at = static_cast<std::size_t>(rank); at < own.passes.size();
             at += static_cast<std::size_t>(size)) {
          own.status[at] = own.passes[at](nullptr);
        }
      },
      &all);
  return all.status;
}

template <class Real>
int run_dense(const peephole_dense& layer, peephole_pass pass, const nb::dict& by_name,
              const peephole_workspace& workspace) {
  using E = peephole::Api<Real>;
  typename E::Dense buffers{};
  Addresses addresses(by_name);
  addresses.fill(buffers, dense_fields);
  addresses.refuse_the_rest();
  const nb::gil_scoped_release released;
  return pass == PEEPHOLE_FORWARD ? E::dense_forward(&layer, &buffers, &workspace)
                                  : E::dense_backward(&layer, &buffers, &workspace);
}

peephole_pass pass_of(bool backward) { return backward ? PEEPHOLE_BACKWARD : PEEPHOLE_FORWARD; }

void bind_cell(nb::module_& m) {
  nb::class_<peephole_cell>(m, "Cell", "Which parts a cell has: peephole_cell of peephole.h.")
      .def(
          "__init__",
          [](peephole_cell* self, bool rnn, bool input_gate, bool forget_gate, bool output_gate, bool coupled,
             bool peepholes, bool full_gate_recurrence, bool layer_norm, bool projection, bool truncated,
             std::int32_t cells_per_block, std::int32_t input_activation, std::int32_t output_activation,
             double zoneout_hidden, double zoneout_cell) {
            new (self) peephole_cell{rnn,
                                     input_gate,
                                     forget_gate,
                                     output_gate,
                                     coupled,
                                     peepholes,
                                     full_gate_recurrence,
                                     layer_norm,
                                     projection,
                                     truncated,
                                     cells_per_block,
                                     input_activation,
                                     output_activation,
                                     zoneout_hidden,
                                     zoneout_cell};
          },
          nb::kw_only(), "rnn"_a, "input_gate"_a, "forget_gate"_a, "output_gate"_a, "coupled"_a, "peepholes"_a,
          "full_gate_recurrence"_a, "layer_norm"_a, "projection"_a, "truncated"_a, "cells_per_block"_a,
          "input_activation"_a, "output_activation"_a, "zoneout_hidden"_a, "zoneout_cell"_a);
}

void bind_passes(nb::module_& m) {
  m.def("workspace_bytes", [](const peephole_cell& cell, const nb::tuple& sizes, bool backward, std::size_t real_bytes,
                              std::int32_t threads) {
    const peephole_sizes all = sizes_of(sizes);
    return peephole_workspace_bytes(&cell, &all, pass_of(backward), real_bytes, threads);
  });
  m.def("worthwhile_threads", [](const peephole_cell& cell, const nb::tuple& sizes, bool backward, std::int32_t most) {
    const peephole_sizes all = sizes_of(sizes);
    return peephole_worthwhile_threads(&cell, &all, pass_of(backward), most);
  });
  m.def("run", [](const peephole_cell& cell, const nb::tuple& sizes, bool backward, bool is_double,
                  const nb::dict& addresses, Address workspace, std::size_t workspace_bytes, std::int32_t thread_count,
                  Address runner) {
    const peephole_threads threads{thread_count, reinterpret_cast<Run>(runner), nullptr};
    const Pass pass =
        pass_of_job(cell, sizes_of(sizes), backward, is_double, addresses, workspace_at(workspace, workspace_bytes));
    const nb::gil_scoped_release released;
    return pass(&threads);
  });
  m.def("run_beside", &run_beside);
}

void bind_dense(nb::module_& m) {
  m.def("dense_workspace_bytes", [](std::int64_t B, std::int64_t I, std::int64_t O, std::int32_t activation,
                                    bool masked, bool backward, std::size_t real_bytes) {
    const peephole_dense layer{B, I, O, activation, masked};
    return peephole_dense_workspace_bytes(&layer, pass_of(backward), real_bytes);
  });
  m.def("run_dense",
        [](std::int64_t B, std::int64_t I, std::int64_t O, std::int32_t activation, bool masked, bool backward,
           bool is_double, const nb::dict& addresses, Address workspace, std::size_t workspace_bytes) {
          const peephole_dense layer{B, I, O, activation, masked};
          const peephole_workspace memory = workspace_at(workspace, workspace_bytes);
          return is_double ? run_dense<double>(layer, pass_of(backward), addresses, memory)
                           : run_dense<float>(layer, pass_of(backward), addresses, memory);
        });
}

void bind_instruction_sets(nb::module_& m) {
  m.def("isa_names", [] {
    nb::list names;
    for (int index = 0; peephole_isa_name(index) != nullptr; ++index) names.append(peephole_isa_name(index));
    return names;
  });
  m.def("isa_runs", &peephole_isa_runs);
  m.def("isa", &peephole_isa);
  m.def("force_isa", [](const char* name) { return peephole_force_isa(*name == '\0' ? nullptr : name); });
  m.def("peak", &peephole_peak, nb::call_guard<nb::gil_scoped_release>());
  m.def("tile_rate", &peephole_tile_rate, nb::call_guard<nb::gil_scoped_release>());
  m.def("draw_mask",
        [](bool is_double, std::uint64_t seed, double probability, double value, Address mask, std::int64_t count) {
          const nb::gil_scoped_release released;
          return is_double ? peephole_draw_mask_f64(seed, probability, value, reinterpret_cast<double*>(mask), count)
                           : peephole_draw_mask_f32(seed, probability, static_cast<float>(value),
                                                    reinterpret_cast<float*>(mask), count);
        });
  m.def("activate", [](std::int32_t activation, bool is_double, Address z, Address y, std::int64_t count) {
    return is_double ? peephole_activate_f64(activation, reinterpret_cast<const double*>(z),
                                             reinterpret_cast<double*>(y), count)
                     : peephole_activate_f32(activation, reinterpret_cast<const float*>(z), reinterpret_cast<float*>(y),
                                             count);
  });
}

}  // namespace

NB_MODULE(_native, m) {
  m.doc() = "Peephole's compiled kernels, on addresses. Use peephole.kernels.";
  intern_names();
  bind_cell(m);
  bind_passes(m);
  bind_dense(m);
  bind_instruction_sets(m);
  bind_stepper(m);
  m.def("abi_version", &peephole_abi_version);
  m.def("status_text", &peephole_status_text);
}
