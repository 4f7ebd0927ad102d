/* Peephole: the whole LSTM family and the simple recurrent network, forward and backward through time.
 *
 * A C interface of raw pointers and sizes. No function allocates, throws, prints, or keeps anything between calls: the
 * caller owns every buffer, the workspace included, and lends the threads that a pass may use. Calls on different
 * buffers may run at the same time. The same arguments and threads give the same bits, run after run.
 *
 * Notation (docs: the mathematics): sizes T steps, B rows of the batch, I input features, N memory blocks of C cells,
 * H = N*C cells, P the size of h (H without projection), K rows of the stacked weights. Arrays are dense, row-major and
 * time-major. z_* is a value before its activation, the bare letter i f g o after; dq is the gradient of q.
 *
 *   rows   the stacked parts of W, R and b: those of i, f, g, o that the cell has, in this order;
 *          N rows for each gate, H rows for g. A coupled f = 1 - i has no rows; a simple recurrent cell has g alone.
 *   gates  those of i, f, o that have rows, in this order. G = gates * N, K = G + H.
 *   U      values that layer normalisation makes of one step and row: K + H (K in a simple recurrent cell).
 *   V      parts it normalises: the rows' parts in order, then the cell (just 1 in a simple recurrent cell).
 *
 * Any pointer marked "or NULL" may be NULL, with the meaning that is said. `real` is float in the functions and structs
 * ending in _f32 and double in those ending in _f64. No alignment is asked for beyond that of `real`.
 */
#ifndef PEEPHOLE_H
#define PEEPHOLE_H

#include <stddef.h>
#include <stdint.h>

#define PEEPHOLE_ABI_VERSION 3

#if defined(__cplusplus)
#define PEEPHOLE_NOEXCEPT noexcept
extern "C" {
#else
#define PEEPHOLE_NOEXCEPT
#endif

#if defined(_WIN32)
#define PEEPHOLE_API
#else
#define PEEPHOLE_API __attribute__((visibility("default")))
#endif

/* What a function returns. */
typedef enum peephole_status {
  PEEPHOLE_OK = 0,
  PEEPHOLE_BAD_CELL = 1,  /* switches or activations that have no meaning together */
  PEEPHOLE_BAD_SIZES = 2, /* a negative size, C that does not divide H, P that does not suit the cell, or overflow */
  PEEPHOLE_MISSING_BUFFER = 3,  /* a pointer is NULL that must not be */
  PEEPHOLE_BAD_LENGTHS = 4,     /* a length below 0 or above T */
  PEEPHOLE_SMALL_WORKSPACE = 5, /* workspace_bytes is less than peephole_workspace_bytes says */
  PEEPHOLE_BAD_ISA = 6,         /* no instruction set of that name, or this machine has it not */
  PEEPHOLE_BAD_PREPARED = 7     /* prepared memory that is none, was moved, or belongs to another cell, sizes, type or
                                   instruction set */
} peephole_status;

typedef enum peephole_activation {
  PEEPHOLE_TANH = 0,
  PEEPHOLE_LOGISTIC = 1,
  PEEPHOLE_RELU = 2,
  PEEPHOLE_IDENTITY = 3
} peephole_activation;

typedef enum peephole_pass { PEEPHOLE_FORWARD = 0, PEEPHOLE_BACKWARD = 1 } peephole_pass;

/* One cell: which parts it has. Flags are 0 or 1. With rnn = 1 it is h = phi(W x + R h' + b), phi = input_activation;
 * the other flags but layer_norm and truncated are then 0, cells_per_block is 1 and zoneout_cell is 0. */
typedef struct peephole_cell {
  int32_t rnn;
  int32_t input_gate;           /* 0: i = 1 */
  int32_t forget_gate;          /* 0: f = 1 */
  int32_t output_gate;          /* 0: o = 1 */
  int32_t coupled;              /* f = 1 - i; needs input_gate and forget_gate */
  int32_t peepholes;            /* i and f see the old c, o the new one */
  int32_t full_gate_recurrence; /* the gates see the gates of the step before */
  int32_t layer_norm;           /* each z_k over its units, and c before phi_out; epsilon 1e-5 */
  int32_t projection;           /* h = W_p (o a) */
  int32_t truncated;            /* the error of 1997: only the carousel carries it back (rnn: nothing does) */
  int32_t cells_per_block;      /* C >= 1 */
  int32_t input_activation;     /* peephole_activation, phi_in */
  int32_t output_activation;    /* peephole_activation, phi_out */
  double zoneout_hidden;        /* zeta_h in [0, 1): the share of the old h that stays where there is no mask */
  double zoneout_cell;          /* zeta_c in [0, 1): the same for c */
} peephole_cell;

typedef struct peephole_sizes {
  int64_t T, B, I, H, P; /* P = H without projection, 0 < P < H with it */
  int32_t reverse;       /* 1: time runs from the last valid step of each row to its first */
  int32_t compact;       /* 1: gates to rstd on the tape hold the valid rows alone, in order of t, then b */
} peephole_sizes;

/* Scratch memory of one call, and nothing that lives longer. */
typedef struct peephole_workspace {
  void* data;   /* any alignment; may be NULL if bytes is 0 and none is needed */
  size_t bytes; /* at least peephole_workspace_bytes(...) */
} peephole_workspace;

/* What a thread of a pass does: its rank, 0 to size - 1, among the size threads that do it. */
typedef void (*peephole_task)(void* argument, int32_t rank, int32_t size) PEEPHOLE_NOEXCEPT;

/* Threads for a pass. run(context, count, task, argument) calls task(argument, rank, size) once for every rank below
 * size, all at the same time, each in a thread of its own, for they wait for one another, and returns when all have
 * returned. size is to be count; if there are fewer threads than that, the pass notices and runs in the caller's own.
 */
typedef struct peephole_threads {
  int32_t count;
  void (*run)(void* context, int32_t count, peephole_task task, void* argument);
  void* context;
} peephole_threads;

/* The structs of buffers, once for each real type. */
#define PEEPHOLE_DEFINE_BUFFERS(real, suffix)                                                             \
  /* Parameters of one cell. */                                                                           \
  typedef struct peephole_weights_##suffix {                                                              \
    const real* W;     /* [K, I]     input weights */                                                     \
    const real* R;     /* [K, P]     recurrent weights */                                                 \
    const real* b;     /* [K]        biases, or NULL for none */                                          \
    const real* p;     /* [gates, H] peepholes; with peepholes only */                                    \
    const real* S;     /* [G, G]     gates on gates; with full_gate_recurrence only */                    \
    const real* W_p;   /* [P, H]     projection; with projection only */                                  \
    const real* gain;  /* [U]        with layer_norm only */                                              \
    const real* shift; /* [U]        with layer_norm only */                                              \
  } peephole_weights_##suffix;                                                                            \
                                                                                                          \
  /* What a pass reads. */                                                                                \
  typedef struct peephole_inputs_##suffix {                                                               \
    const real* x;          /* [T, B, I] never read beyond a row's length */                              \
    const real* h0;         /* [B, P]    state before the first step, or NULL for zeros */                \
    const real* c0;         /* [B, H]    the same; not read by a simple recurrent cell */                 \
    const real* r0;         /* [B, G]    the same, gates of the step before; full_gate_recurrence only */ \
    const int64_t* lengths; /* [B]       valid steps of each row, 0..T, or NULL: all T */                 \
    const real* zoneout_h;  /* [T, B, P] 1 where the old h stays, else 0; or NULL: the expectation */     \
    const real* zoneout_c;  /* [T, B, H] 1 where the old c stays, else 0; or NULL: the expectation */     \
    const real* drop_h;     /* [B, P]    factor on the old h before R, or NULL for 1 */                   \
    const real* drop_g;     /* [B, H]    factor on g in the cell update, or NULL for 1 */                 \
  } peephole_inputs_##suffix;                                                                             \
                                                                                                          \
  /* What forward writes, and backward reads. Beyond a row's length y is 0, and nothing else is touched.  \
   * With sizes.compact the arrays from gates to rstd have one row for each valid step, not T * B.        \
   * Without backward, every pointer up to rstd may be NULL: not kept. */                                 \
  typedef struct peephole_tape_##suffix {                                                                 \
    real* y;      /* [T, B, P] h of every step */                                                         \
    real* gates;  /* [T, B, K] activations, rows in order */                                              \
    real* c;      /* [T, B, H] cell state; LSTM only */                                                   \
    real* a;      /* [T, B, H] phi_out of the new cell; LSTM only */                                      \
    real* c_hat;  /* [T, B, H] the new cell before zoneout; with zoneout of c only, else NULL */          \
    real* normed; /* [T, B, U] normalised values before gain and shift; layer_norm only */                \
    real* rstd;   /* [T, B, V] reciprocal standard deviations; layer_norm only */                         \
    real* h_n;    /* [B, P]    state after the last valid step, always written; may be h0 itself */       \
    real* c_n;    /* [B, H]    the same; LSTM only; may be c0 itself */                                   \
    real* r_n;    /* [B, G]    the same; full_gate_recurrence only; may be r0 itself */                   \
  } peephole_tape_##suffix;                                                                               \
                                                                                                          \
  /* The errors that come from above; NULL for zeros. Nothing is read beyond a row's length. */           \
  typedef struct peephole_errors_##suffix {                                                               \
    const real* dy;     /* [T, B, P] on h of every step */                                                \
    const real* dh_n;   /* [B, P]    on the final state */                                                \
    const real* dc_n;   /* [B, H] */                                                                      \
    const real* dr_n;   /* [B, G] */                                                                      \
    const real* dgates; /* [T, B, K] on the gates' activations */                                         \
    const real* dc;     /* [T, B, H] on the cell state of every step */                                   \
  } peephole_errors_##suffix;                                                                             \
                                                                                                          \
  /* What backward writes. NULL: not wanted. */                                                           \
  typedef struct peephole_gradients_##suffix {                                                            \
    real* dx;     /* [T, B, I] */                                                                         \
    real* dh0;    /* [B, P] */                                                                            \
    real* dc0;    /* [B, H] */                                                                            \
    real* dr0;    /* [B, G] */                                                                            \
    real* dW;     /* [K, I] */                                                                            \
    real* dR;     /* [K, P] */                                                                            \
    real* db;     /* [K] */                                                                               \
    real* dp;     /* [gates, H] */                                                                        \
    real* dS;     /* [G, G] */                                                                            \
    real* dW_p;   /* [P, H] */                                                                            \
    real* dgain;  /* [U] */                                                                               \
    real* dshift; /* [U] */                                                                               \
  } peephole_gradients_##suffix;

PEEPHOLE_DEFINE_BUFFERS(float, f32)
PEEPHOLE_DEFINE_BUFFERS(double, f64)

/* The version of this interface that the library was built with: PEEPHOLE_ABI_VERSION. */
PEEPHOLE_API uint32_t peephole_abi_version(void) PEEPHOLE_NOEXCEPT;

/* One line of English for a status. */
PEEPHOLE_API const char* peephole_status_text(int status) PEEPHOLE_NOEXCEPT;

/* The instruction sets that there are kernels for, on any machine of this kind, the slowest first; NULL behind the
 * last. "plain" is the mathematics in plain loops, the oracle of the others; "baseline" is what every such machine has.
 */
PEEPHOLE_API const char* peephole_isa_name(int index) PEEPHOLE_NOEXCEPT;

/* Whether this machine has the instruction set of that name; 0 for an unknown one. */
PEEPHOLE_API int peephole_isa_runs(const char* name) PEEPHOLE_NOEXCEPT;

/* The instruction set in use: the fastest that this machine has, or the one that was forced. */
PEEPHOLE_API const char* peephole_isa(void) PEEPHOLE_NOEXCEPT;

/* Use the instruction set of that name, or, for NULL, the fastest that this machine has, for all passes that begin from
 * now on. PEEPHOLE_BAD_ISA, and nothing is changed, if there is none of that name or this machine has it not. */
PEEPHOLE_API int peephole_force_isa(const char* name) PEEPHOLE_NOEXCEPT;

/* Operations a second that one thread can do at most in registers alone, a product and a sum counting as two; measured
 * for about so many seconds. real_bytes is 4 or 8; 0 for other sizes and for the plain kernels. */
PEEPHOLE_API double peephole_peak(size_t real_bytes, double seconds) PEEPHOLE_NOEXCEPT;

/* The same of the tile of so many rows and registers that the products are made of, its operands in the first-level
 * cache; 0 where there is none. */
PEEPHOLE_API double peephole_tile_rate(size_t real_bytes, int32_t rows, int32_t vectors,
                                       double seconds) PEEPHOLE_NOEXCEPT;

/* y = phi(z), element by element; y may be z. */
PEEPHOLE_API int peephole_activate_f32(int32_t activation, const float* z, float* y, int64_t count) PEEPHOLE_NOEXCEPT;
PEEPHOLE_API int peephole_activate_f64(int32_t activation, const double* z, double* y, int64_t count) PEEPHOLE_NOEXCEPT;

/* A random mask: each element is `value` with this probability, kept to 2^-32, else 0. The same seed gives the same
 * mask on every machine. PEEPHOLE_BAD_SIZES for a probability outside [0, 1] or a count below 0. */
PEEPHOLE_API int peephole_draw_mask_f32(uint64_t seed, double probability, float value, float* mask,
                                        int64_t count) PEEPHOLE_NOEXCEPT;
PEEPHOLE_API int peephole_draw_mask_f64(uint64_t seed, double probability, double value, double* mask,
                                        int64_t count) PEEPHOLE_NOEXCEPT;

/* How many of `most` threads a pass over these sizes is worth: one for each 10 microseconds or so of work. 1 for bad
 * arguments. */
PEEPHOLE_API int32_t peephole_worthwhile_threads(const peephole_cell* cell, const peephole_sizes* sizes,
                                                 peephole_pass pass, int32_t most) PEEPHOLE_NOEXCEPT;

/* The workspace, in bytes, that a pass over these sizes needs with so many threads; real_bytes is 4 or 8. SIZE_MAX for
 * bad arguments. It depends on the instruction set in use. */
PEEPHOLE_API size_t peephole_workspace_bytes(const peephole_cell* cell, const peephole_sizes* sizes, peephole_pass pass,
                                             size_t real_bytes, int32_t threads) PEEPHOLE_NOEXCEPT;

/* Run the cell over all steps. threads may be NULL: the caller's own alone. */
PEEPHOLE_API int peephole_forward_f32(const peephole_cell* cell, const peephole_sizes* sizes,
                                      const peephole_weights_f32* weights, const peephole_inputs_f32* inputs,
                                      const peephole_tape_f32* tape, const peephole_workspace* workspace,
                                      const peephole_threads* threads) PEEPHOLE_NOEXCEPT;
PEEPHOLE_API int peephole_forward_f64(const peephole_cell* cell, const peephole_sizes* sizes,
                                      const peephole_weights_f64* weights, const peephole_inputs_f64* inputs,
                                      const peephole_tape_f64* tape, const peephole_workspace* workspace,
                                      const peephole_threads* threads) PEEPHOLE_NOEXCEPT;

/* Prepared weights: laid out as the forward pass reads them, which it else does anew in every call. They serve any T, B
 * and number of threads. They hold what the weights were when they were prepared: prepare them again when the weights
 * change. They are tied to the cell, to I, H and P, to the type, to the instruction set in use and to where they lie,
 * all of which peephole_forward_prepared_* looks at; the weights themselves must be given to it too, and be the same.
 *
 * Bytes of the memory, of any alignment; real_bytes is 4 or 8. SIZE_MAX for bad arguments. */
PEEPHOLE_API size_t peephole_prepared_bytes(const peephole_cell* cell, const peephole_sizes* sizes,
                                            size_t real_bytes) PEEPHOLE_NOEXCEPT;
PEEPHOLE_API int peephole_prepare_f32(const peephole_cell* cell, const peephole_sizes* sizes,
                                      const peephole_weights_f32* weights, void* memory,
                                      size_t bytes) PEEPHOLE_NOEXCEPT;
PEEPHOLE_API int peephole_prepare_f64(const peephole_cell* cell, const peephole_sizes* sizes,
                                      const peephole_weights_f64* weights, void* memory,
                                      size_t bytes) PEEPHOLE_NOEXCEPT;

/* peephole_forward_* with prepared weights: the same bits, and a smaller workspace will do. */
PEEPHOLE_API size_t peephole_prepared_workspace_bytes(const peephole_cell* cell, const peephole_sizes* sizes,
                                                      size_t real_bytes, int32_t threads) PEEPHOLE_NOEXCEPT;
PEEPHOLE_API int peephole_forward_prepared_f32(const peephole_cell* cell, const peephole_sizes* sizes,
                                               const peephole_weights_f32* weights, const void* prepared,
                                               const peephole_inputs_f32* inputs, const peephole_tape_f32* tape,
                                               const peephole_workspace* workspace,
                                               const peephole_threads* threads) PEEPHOLE_NOEXCEPT;
PEEPHOLE_API int peephole_forward_prepared_f64(const peephole_cell* cell, const peephole_sizes* sizes,
                                               const peephole_weights_f64* weights, const void* prepared,
                                               const peephole_inputs_f64* inputs, const peephole_tape_f64* tape,
                                               const peephole_workspace* workspace,
                                               const peephole_threads* threads) PEEPHOLE_NOEXCEPT;

/* Carry the errors back through time: weights, inputs and tape as forward had and left them (h_n, c_n, r_n unread). */
PEEPHOLE_API int peephole_backward_f32(const peephole_cell* cell, const peephole_sizes* sizes,
                                       const peephole_weights_f32* weights, const peephole_inputs_f32* inputs,
                                       const peephole_tape_f32* tape, const peephole_errors_f32* errors,
                                       const peephole_gradients_f32* gradients, const peephole_workspace* workspace,
                                       const peephole_threads* threads) PEEPHOLE_NOEXCEPT;
PEEPHOLE_API int peephole_backward_f64(const peephole_cell* cell, const peephole_sizes* sizes,
                                       const peephole_weights_f64* weights, const peephole_inputs_f64* inputs,
                                       const peephole_tape_f64* tape, const peephole_errors_f64* errors,
                                       const peephole_gradients_f64* gradients, const peephole_workspace* workspace,
                                       const peephole_threads* threads) PEEPHOLE_NOEXCEPT;

/* One layer of neurons, y = phi((W M) x + b), over B rows of I inputs, giving O outputs. */
typedef struct peephole_dense {
  int64_t B, I, O;
  int32_t activation; /* peephole_activation */
  int32_t masked;     /* 1: there is a mask M */
} peephole_dense;

#define PEEPHOLE_DEFINE_DENSE(real, suffix)                                                 \
  typedef struct peephole_dense_buffers_##suffix {                                          \
    const real* W;    /* [O, I] */                                                          \
    const real* b;    /* [O]    or NULL for none */                                         \
    const real* mask; /* [O, I] M: 1 where there is a connection, else 0; only if masked */ \
    const real* x;    /* [B, I] */                                                          \
    real* y;          /* [B, O] written by forward, read by backward */                     \
    const real* dy;   /* [B, O] backward only */                                            \
    real* dx;         /* [B, I] backward only, as the rest: written, or NULL: not wanted */ \
    real* dW;         /* [O, I] */                                                          \
    real* db;         /* [O] */                                                             \
  } peephole_dense_buffers_##suffix;

PEEPHOLE_DEFINE_DENSE(float, f32)
PEEPHOLE_DEFINE_DENSE(double, f64)

PEEPHOLE_API size_t peephole_dense_workspace_bytes(const peephole_dense* layer, peephole_pass pass,
                                                   size_t real_bytes) PEEPHOLE_NOEXCEPT;
PEEPHOLE_API int peephole_dense_forward_f32(const peephole_dense* layer, const peephole_dense_buffers_f32* buffers,
                                            const peephole_workspace* workspace) PEEPHOLE_NOEXCEPT;
PEEPHOLE_API int peephole_dense_forward_f64(const peephole_dense* layer, const peephole_dense_buffers_f64* buffers,
                                            const peephole_workspace* workspace) PEEPHOLE_NOEXCEPT;
PEEPHOLE_API int peephole_dense_backward_f32(const peephole_dense* layer, const peephole_dense_buffers_f32* buffers,
                                             const peephole_workspace* workspace) PEEPHOLE_NOEXCEPT;
PEEPHOLE_API int peephole_dense_backward_f64(const peephole_dense* layer, const peephole_dense_buffers_f64* buffers,
                                             const peephole_workspace* workspace) PEEPHOLE_NOEXCEPT;

/* Steppers: a whole network that takes one input at a time, for a thread that must not be kept waiting.
 *
 * All that can be done ahead is done when the stepper is made. A step allocates nothing, takes no lock, calls nothing
 * of the operating system and always does the same work. It keeps to the instruction set that was in use when the
 * stepper was made. A stepper is for one thread at a time; steppers of different memory and state know nothing of one
 * another.
 *
 * A cell's layer gives its h to the next layer, and keeps its state in the caller's arrays, which may be read and
 * written between steps. */
#define PEEPHOLE_DEFINE_LAYER(real, suffix)                                                           \
  typedef struct peephole_layer_##suffix {                                                            \
    const peephole_cell* cell;                     /* or NULL: a layer of neurons */                  \
    const peephole_sizes* sizes;                   /* of the cell; T is 1 */                          \
    const peephole_weights_##suffix* weights;      /* of the cell */                                  \
    real* h;                                       /* [B, P] the state, before a step and after it */ \
    real* c;                                       /* [B, H] the same; LSTM only */                   \
    real* r;                                       /* [B, G] the same; full_gate_recurrence only */   \
    const peephole_dense* dense;                   /* where there is no cell: not masked */           \
    const peephole_dense_buffers_##suffix* values; /* the same: W and b */                            \
  } peephole_layer_##suffix;

PEEPHOLE_DEFINE_LAYER(float, f32)
PEEPHOLE_DEFINE_LAYER(double, f64)

/* Bytes of a stepper's memory, of any alignment. SIZE_MAX for bad arguments: layers that are themselves bad, whose B
 * differ, or whose I is not the width of what comes before. It depends on the instruction set in use. */
PEEPHOLE_API size_t peephole_stepper_bytes_f32(const peephole_layer_f32* layers, int64_t count) PEEPHOLE_NOEXCEPT;
PEEPHOLE_API size_t peephole_stepper_bytes_f64(const peephole_layer_f64* layers, int64_t count) PEEPHOLE_NOEXCEPT;

/* Make a stepper. The weights and the state stay where they are and keep their values as long as it is used (the state
 * may change); the structs are not looked at again. The memory must not be moved, and needs no destroying. */
PEEPHOLE_API int peephole_make_stepper_f32(const peephole_layer_f32* layers, int64_t count, void* memory,
                                           size_t bytes) PEEPHOLE_NOEXCEPT;
PEEPHOLE_API int peephole_make_stepper_f64(const peephole_layer_f64* layers, int64_t count, void* memory,
                                           size_t bytes) PEEPHOLE_NOEXCEPT;

/* One step: x [B, I] of the first layer in, y [B, width] of the last out, and the state moves on. They may overlap. */
PEEPHOLE_API int peephole_step_f32(void* stepper, const float* x, float* y) PEEPHOLE_NOEXCEPT;
PEEPHOLE_API int peephole_step_f64(void* stepper, const double* x, double* y) PEEPHOLE_NOEXCEPT;

#if defined(__cplusplus)
}
#endif

#endif
