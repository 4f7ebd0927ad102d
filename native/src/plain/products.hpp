// The three matrix products of a recurrent network, each adding to what its result holds.
//
// Plain loops in an order that is written down, so that the same arguments give the same bits. All are called on as
// many rows at a time as there are, over all steps where the mathematics allows it.
#pragma once

#include "isa.hpp"
#include "shape.hpp"

namespace peephole::PEEPHOLE_ISA {

// Rows and columns in somebody else's memory; stride is the distance between rows.
template <class Real>
struct Matrix {
  Real* data;
  Index rows, columns, stride;

  Real* row(Index index) const noexcept { return data + index * stride; }
};

template <class Real>
Matrix<Real> dense_matrix(Real* data, Index rows, Index columns) noexcept {
  return {data, rows, columns, columns};
}

// Σ_k x_k w_k in eight running sums: a fixed order that vector units can keep.
template <class Real>
Real dot(const Real* x, const Real* w, Index count) noexcept {
  constexpr Index lanes = 8;
  Real sums[lanes] = {};
  Index k = 0;
  for (; k + lanes <= count; k += lanes) {
    for (Index lane = 0; lane < lanes; ++lane) sums[lane] += x[k + lane] * w[k + lane];
  }
  for (Index lane = 0; k < count; ++k, ++lane) sums[lane] += x[k] * w[k];
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

// target += factor · x
template <class Real>
void add_scaled(Real* target, Real factor, const Real* x, Index count) noexcept {
  for (Index j = 0; j < count; ++j) target[j] += factor * x[j];
}

// Z[M, N] += X[M, Q] W[N, Q]ᵀ: what the units see.
template <class Real>
void add_seen(Matrix<const Real> X, Matrix<const Real> W, Matrix<Real> Z) noexcept {
  for (Index m = 0; m < X.rows; ++m) {
    for (Index n = 0; n < W.rows; ++n) Z.row(m)[n] += dot(X.row(m), W.row(n), X.columns);
  }
}

// dX[M, Q] += dZ[M, N] W[N, Q]: the error that goes back through the weights.
template <class Real>
void add_carried_back(Matrix<const Real> dZ, Matrix<const Real> W, Matrix<Real> dX) noexcept {
  for (Index m = 0; m < dZ.rows; ++m) {
    for (Index n = 0; n < dZ.columns; ++n) add_scaled(dX.row(m), dZ.row(m)[n], W.row(n), dX.columns);
  }
}

// dW[N, Q] += dZ[M, N]ᵀ X[M, Q]: the gradient of the weights.
template <class Real>
void add_outer(Matrix<const Real> dZ, Matrix<const Real> X, Matrix<Real> dW) noexcept {
  for (Index m = 0; m < dZ.rows; ++m) {
    for (Index n = 0; n < dZ.columns; ++n) add_scaled(dW.row(n), dZ.row(m)[n], X.row(m), dW.columns);
  }
}

// db[N] += Σ_m dZ[m, N]
template <class Real>
void add_rows(Matrix<const Real> dZ, Real* db) noexcept {
  for (Index m = 0; m < dZ.rows; ++m) {
    for (Index n = 0; n < dZ.columns; ++n) db[n] += dZ.row(m)[n];
  }
}

}  // namespace peephole::PEEPHOLE_ISA
