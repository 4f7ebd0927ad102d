// One layer of neurons (000 eq. 3-14).
//
//   z  = (W ⊙ M) x + b      y  = φ(z)
//   dz = dy ⊙ φ'(z)         dW = M ⊙ Σ dz xᵀ     db = Σ dz     dx = (W ⊙ M)ᵀ dz
#pragma once

#include "gradients.hpp"

namespace peephole::PEEPHOLE_ISA {

template <class Real>
class Dense {
  using Values = typename Buffers<Real>::Dense;

 public:
  // Takes its scratch from the arena; forward() and backward() need one that has memory. A single row is not worth that
  // the weights are laid out.
  Dense(const peephole_dense& layer, peephole_pass pass, const Values& values, Arena<Real>& arena) noexcept
      : layer_(layer),
        v(values),
        phi_(static_cast<peephole_activation>(layer.activation)),
        rows_(layer.B < most_rows ? layer.B : most_rows) {
    connected_ = arena.take(layer.masked != 0 ? layer.O * layer.I : 0);
    if (pass == PEEPHOLE_FORWARD) {
      if (layer.B > 1) W_ = take_panels(arena, layer.I, layer.O);
      z_ = arena.take(rows_ * padded<Real>(layer.O));
      return;
    }
    dW_ = arena.take(layer.masked != 0 ? layer.O * layer.I : 0);
    W_ = take_panels(arena, layer.O, layer.I);
    z_ = arena.take(rows_ * padded<Real>(layer.O));
    dx_ = arena.take(rows_ * W_.columns());
    dz_ = take_columns(arena, rows_, layer.O);
    x_ = take_panels(arena, rows_, layer.I);
  }

  void forward() const noexcept {
    const FlushSubnormals flush;
    const Real* W = connected();
    if (layer_.B == 1) {
      forward_row(W);
      return;
    }
    pack_matrix(W_, 0, W_.count(), W, layer_.O);
    const Index columns = W_.columns();
    for (Index first = 0; first < layer_.B; first += rows_) {
      const Index count = layer_.B - first < rows_ ? layer_.B - first : rows_;
      for (Index m = 0; m < count; ++m) {
        copy_or_zero<Real>(z_ + m * columns, nullptr, columns);
        copy_or_zero(z_ + m * columns, v.b, layer_.O);
      }
      make_product<Real>(
          W_, Walk{0, W_.count()}, count, [&](Index m) { return v.x + (first + m) * layer_.I; }, nullptr, z_, columns);
      for (Index m = 0; m < count; ++m) activate<Real>(phi_, z_ + m * columns, v.y + (first + m) * layer_.O, layer_.O);
    }
  }

  void backward() const noexcept {
    const FlushSubnormals flush;
    const Real* W = connected();
    for (Index k = 0; v.dx != nullptr && k < layer_.O; ++k) {
      pack_row<Real>(W_, k, 0, W + k * layer_.I, nullptr, layer_.I);
      pad_row(W_, k, layer_.I);
    }
    Real* dW = layer_.masked != 0 && v.dW != nullptr ? dW_ : v.dW;
    clear_if(dW, layer_.O * layer_.I);
    clear_if(v.db, layer_.O);
    for (Index first = 0; first < layer_.B; first += rows_) {
      backward_rows(first, layer_.B - first < rows_ ? layer_.B - first : rows_, dW);
    }
    for (Index k = 0; dW != v.dW && k < layer_.O * layer_.I; ++k) v.dW[k] = dW[k] * v.mask[k];
  }

 private:
  static constexpr Index most_rows = 256;

  // W ⊙ M
  const Real* connected() const noexcept {
    if (layer_.masked == 0) return v.W;
    for (Index k = 0; k < layer_.O * layer_.I; ++k) connected_[k] = v.W[k] * v.mask[k];
    return connected_;
  }

  void forward_row(const Real* W) const noexcept {
    for (Index k = 0; k < layer_.O; ++k) {
      Vector<Real> z{};
      for_registers<Real>(layer_.I,
                          [&](Index j, Index n) { z += load_up_to(W + k * layer_.I + j, n) * load_up_to(v.x + j, n); });
      z_[k] = sum<Real>(z) + (v.b != nullptr ? v.b[k] : Real(0));
    }
    activate<Real>(phi_, z_, v.y, layer_.O);
  }

  void backward_rows(Index first, Index count, Real* dW) const noexcept {
    const Index stride = padded<Real>(layer_.O), columns = W_.columns();
    for (Index m = 0; m < count; ++m) {
      Real* dz = z_ + m * stride;
      copy_or_zero(dz, v.dy + (first + m) * layer_.O, layer_.O);
      activate_backward<Real>(phi_, v.y + (first + m) * layer_.O, dz, layer_.O);
      add_if<Real>(v.db, dz, layer_.O);
      if (dW == nullptr) continue;
      pack_row<Real>(x_, m, 0, v.x + (first + m) * layer_.I, nullptr, layer_.I);
      pad_row(x_, m, layer_.I);
    }
    if (dW != nullptr) {
      dz_.pack(0, count, z_, stride);
      add_outer_product<Real>(dz_, 0, dz_.groups(), x_, count, nullptr, dW, layer_.I);
    }
    if (v.dx == nullptr) return;
    copy_or_zero<Real>(dx_, nullptr, count * columns);
    make_product<Real>(W_, Walk{0, W_.count()}, count, [&](Index m) { return z_ + m * stride; }, nullptr, dx_, columns);
    for (Index m = 0; m < count; ++m) copy_or_zero<Real>(v.dx + (first + m) * layer_.I, dx_ + m * columns, layer_.I);
  }

  const peephole_dense& layer_;
  const Values& v;
  peephole_activation phi_;
  Index rows_;
  Real *connected_ = nullptr, *dW_ = nullptr, *z_ = nullptr, *dx_ = nullptr;
  Panels<Real> W_, x_;
  Columns<Real> dz_;
};

}  // namespace peephole::PEEPHOLE_ISA
