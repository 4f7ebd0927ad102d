// One layer of neurons (000 eq. 3-14).
//
//   z  = (W ⊙ M) x + b      y  = φ(z)
//   dz = dy ⊙ φ'(z)         dW += M ⊙ Σ dz xᵀ    db += Σ dz    dx += (W ⊙ M)ᵀ dz
#pragma once

#include "activations.hpp"
#include "arena.hpp"
#include "peephole.hpp"
#include "products.hpp"
#include "steps.hpp"

namespace peephole::PEEPHOLE_ISA {

template <class Real>
class Dense {
  using Values = typename Buffers<Real>::Dense;

 public:
  // Takes its scratch from the arena; forward() and backward() need one that has memory.
  Dense(const peephole_dense& layer, peephole_pass pass, const Values& values, Arena<Real>& arena) noexcept
      : layer_(layer), v(values), phi_(static_cast<peephole_activation>(layer.activation)) {
    const Index weights = layer.O * layer.I;
    connected_ = layer.masked != 0 ? arena.take(weights) : nullptr;
    if (pass == PEEPHOLE_FORWARD) return;
    dW_ = layer.masked != 0 ? arena.take(weights) : nullptr;
    dz_ = arena.take(layer.B * layer.O);
  }

  void forward() const noexcept {
    for (Index row = 0; row < layer_.B; ++row) copy_or_zero(v.y + row * layer_.O, v.b, layer_.O);
    add_seen(input(), connected(), dense_matrix(v.y, layer_.B, layer_.O));
    activate(phi_, v.y, layer_.B * layer_.O);
  }

  void backward() const noexcept {
    copy_or_zero(dz_, v.dy, layer_.B * layer_.O);
    activate_backward<Real>(phi_, v.y, dz_, layer_.B * layer_.O);
    const Matrix<const Real> dz{dz_, layer_.B, layer_.O, layer_.O};
    clear_if(v.dW, layer_.O * layer_.I);
    clear_if(v.db, layer_.O);
    clear_if(v.dx, layer_.B * layer_.I);
    if (v.dW != nullptr) add_weight_gradient(dz);
    if (v.db != nullptr) add_rows(dz, v.db);
    if (v.dx != nullptr) add_carried_back(dz, connected(), dense_matrix(v.dx, layer_.B, layer_.I));
  }

 private:
  Matrix<const Real> input() const noexcept { return dense_matrix(v.x, layer_.B, layer_.I); }

  // W ⊙ M
  Matrix<const Real> connected() const noexcept {
    if (layer_.masked == 0) return dense_matrix(v.W, layer_.O, layer_.I);
    for (Index k = 0; k < layer_.O * layer_.I; ++k) connected_[k] = v.W[k] * v.mask[k];
    return dense_matrix<const Real>(connected_, layer_.O, layer_.I);
  }

  void add_weight_gradient(Matrix<const Real> dz) const noexcept {
    if (layer_.masked == 0) {
      add_outer(dz, input(), dense_matrix(v.dW, layer_.O, layer_.I));
      return;
    }
    copy_or_zero<Real>(dW_, nullptr, layer_.O * layer_.I);
    add_outer(dz, input(), dense_matrix(dW_, layer_.O, layer_.I));
    for (Index k = 0; k < layer_.O * layer_.I; ++k) v.dW[k] += dW_[k] * v.mask[k];
  }

  const peephole_dense& layer_;
  const Values& v;
  peephole_activation phi_;
  Real* connected_ = nullptr;
  Real* dW_ = nullptr;
  Real* dz_ = nullptr;
};

}  // namespace peephole::PEEPHOLE_ISA
