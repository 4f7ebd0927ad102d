// One layer of neurons whose weights are laid out, y = φ(W x + b): what a stream of steps does.
//
// Of a single row every sum is cut into several that do not wait for one another. The order of the sums is thus another
// than in dense.hpp.
#pragma once

#include "activations.hpp"
#include "kernels.hpp"
#include "product.hpp"
#include "steps.hpp"

namespace peephole::PEEPHOLE_ISA {

// z = Σ_k x[k] panel[k, ·], as the sum of `chains` sums.
template <class Real, int vectors>
void run_dense_tile(Index depth, const Real* x, const Real* panel, Real* z) noexcept {
  constexpr Index width = lanes<Real>;
  constexpr int chains = vectors == 1 ? 8 : vectors == 2 ? 4 : 2;
  Vector<Real> sums[chains][vectors] = {};
  Index k = 0;
  for (; k + chains <= depth; k += chains) {
#pragma GCC unroll 8
    for (int chain = 0; chain < chains; ++chain) {
      const Vector<Real> one = broadcast(x[k + chain]);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sums[chain][v] += one * load(panel + (chain * vectors + v) * width);
    }
    panel += chains * vectors * width;
  }
  for (; k < depth; ++k, panel += vectors * width) {
    const Vector<Real> one = broadcast(x[k]);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sums[0][v] += one * load(panel + v * width);
  }
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) {
#pragma GCC unroll 4
    for (int half = chains / 2; half > 0; half /= 2) {
#pragma GCC unroll 4
      for (int chain = 0; chain < half; ++chain) sums[chain][v] += sums[chain + half][v];
    }
    store(z + v * width, sums[0][v]);
  }
}

// Σ_j a_j b_j, as the sum of four sums.
template <class Real>
inline Real dot(const Real* a, const Real* b, Index count) noexcept {
  constexpr Index width = lanes<Real>;
  Vector<Real> sums[4] = {};
  Index j = 0;
  for (; j + 4 * width <= count; j += 4 * width) {
#pragma GCC unroll 4
    for (Index q = 0; q < 4; ++q) sums[q] += load(a + j + q * width) * load(b + j + q * width);
  }
  for (; j < count; j += width) sums[0] += load_up_to(a + j, count - j) * load_up_to(b + j, count - j);
  return sum<Real>((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

template <class Real>
class DenseStep {
 public:
  // Takes the panels and its scratch from the arena; prepare() and run() need one that has memory.
  DenseStep(const Layer<Real>& layer, Arena<Real>& arena) noexcept
      : n_(layer.dense), given_(layer.W), b_(layer.b), phi_(static_cast<peephole_activation>(layer.dense.activation)) {
    if (!by_dots()) W_ = take_panels(arena, n_.I, n_.O);
    z_ = arena.take(n_.B * padded<Real>(n_.O));
  }

  void prepare() const noexcept {
    if (by_dots()) return;
    pack_matrix(W_, 0, W_.count(), given_, n_.O);
  }

  // y may be x.
  void run(const Real* x, Real* y) const noexcept {
    const FlushSubnormals flush;
    if (n_.B == 1) {
      run_row(x);
      activate<Real>(phi_, z_, y, n_.O);
      return;
    }
    const Index columns = W_.columns();
    for (Index m = 0; m < n_.B; ++m) {
      copy_or_zero<Real>(z_ + m * columns, nullptr, columns);
      copy_or_zero(z_ + m * columns, b_, n_.O);
    }
    make_product<Real>(W_, Walk{0, W_.count()}, n_.B, [&](Index m) { return x + m * n_.I; }, nullptr, z_, columns);
    for (Index m = 0; m < n_.B; ++m) activate<Real>(phi_, z_ + m * columns, y + m * n_.O, n_.O);
  }

 private:
  // So few columns would leave a register nearly empty.
  bool by_dots() const noexcept { return n_.B == 1 && n_.O < 4; }

  void run_row(const Real* x) const noexcept {
    if (by_dots()) {
      for (Index k = 0; k < n_.O; ++k) z_[k] = dot(given_ + k * n_.I, x, n_.I);
    } else {
      static constexpr void (*tiles[])(Index, const Real*, const Real*, Real*) noexcept = {
          run_dense_tile<Real, 1>, run_dense_tile<Real, 2>, run_dense_tile<Real, 3>, run_dense_tile<Real, 4>};
      for (Index panel = 0; panel < W_.count(); ++panel) {
        tiles[W_.vectors_of(panel) - 1](n_.I, x, W_.at(panel), z_ + W_.column(panel));
      }
    }
    add_if(z_, b_, n_.O);
  }

  const peephole_dense n_;
  const Real *const given_, *const b_;
  const peephole_activation phi_;
  Panels<Real> W_;
  Real* z_;
};

}  // namespace peephole::PEEPHOLE_ISA
