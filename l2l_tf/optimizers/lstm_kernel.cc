// The cell of l2l_tf/optimizers/lstm.py as one operation, and its gradient as another, on a CPU.
//
//   i, f, g, o = split(W^T [x, h] + b)
//   c' = sigmoid(f + 1) c + sigmoid(i) tanh(g),  h' = sigmoid(o) tanh(c')
//
// TensorFlow's operations each read and write all gates of a block of coordinates. Here a tile of
// coordinates goes through the whole cell in the first caches. The gradient computes the gates
// again: to keep them costs more than that.
//
// All matrices are [features, coordinates], row after row. Tiles are padded with zeros, and so
// are units, up to a multiple of kUnits: these have weights of 0.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/util/work_sharder.h"

namespace l2l {

// Sums of a product that fit the registers: kRows (or 4 kUnits, or kInputs x 4) times kVectors.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kUnits = 2, kRows = 8, kInputs = 6;
#elif defined(__AVX__)
constexpr int kLanes = 8, kUnits = 1, kRows = 4, kInputs = 2;
#else
constexpr int kLanes = 4, kUnits = 1, kRows = 4, kInputs = 2;
#endif
constexpr int kVectors = 3;
constexpr int kColumns = kVectors * kLanes;
constexpr int kForwardTile = 2 * kColumns, kBackwardTile = 4 * kColumns;
// Coordinates of a chunk at least, chunks at most: what a thread takes, and the order of sums.
constexpr int64_t kChunk = 4096, kMostChunks = 64;

typedef float Vector __attribute__((vector_size(4 * kLanes)));
typedef float Unaligned __attribute__((vector_size(4 * kLanes), aligned(4)));

inline Vector Load(const float* p) { return *reinterpret_cast<const Vector*>(p); }
inline void Store(float* p, Vector v) { *reinterpret_cast<Vector*>(p) = v; }
inline int RoundUp(int x, int k) { return (x + k - 1) / k * k; }

// The rational approximation of Eigen's tanh, to some units in the last place; NaN stays NaN.
inline Vector Tanh(Vector x) {
  const Vector most = 7.90531110763549805f - Vector{};
  x = x > most ? most : x;
  x = x < -most ? -most : x;
  const Vector y = x * x;
  Vector p = y * -2.76076847742355e-16f + 2.00018790482477e-13f;
  p = p * y + -8.60467152213735e-11f;
  p = p * y + 5.12229709037114e-08f;
  p = p * y + 1.48572235717979e-05f;
  p = p * y + 6.37261928875436e-04f;
  p = p * y + 4.89352455891786e-03f;
  Vector q = y * 1.19825839466702e-06f + 1.18534705686654e-04f;
  q = q * y + 2.26843463243900e-03f;
  q = q * y + 4.89352518554385e-03f;
  return x * p / q;
}

// Aligned zeros.
class Buffer {
 public:
  explicit Buffer(size_t size) : data_(static_cast<float*>(Allocate(size)), &std::free) {
    std::fill_n(data_.get(), size, 0.0f);
  }
  operator float*() const { return data_.get(); }

 private:
  static void* Allocate(size_t size) {
    void* memory = std::aligned_alloc(64, (4 * size + 63) / 64 * 64);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }
  std::unique_ptr<float, decltype(&std::free)> data_;
};

struct Cell {
  int features, units;  // of x; of h and c
  int64_t n;            // coordinates
  const float *x, *h, *c, *w, *b;

  int inputs() const { return features + units; }
  int padded() const { return RoundUp(units, kUnits); }
  int gates() const { return 4 * padded(); }
};

// out[r][.] = sum over k of w[k][r] * x[k][.], for R rows and kColumns columns.
template <int R>
__attribute__((noinline)) void Product(int inner, const float* w, const float* x, int x_stride,
                                       float* out, int out_stride) {
  Vector sum[R][kVectors] = {};
  for (int k = 0; k < inner; ++k, w += R, x += x_stride) {
    Vector y[kVectors];
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) y[v] = Load(x + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) sum[r][v] += w[r] * y[v];
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) Store(out + r * out_stride + v * kLanes, sum[r][v]);
}

// Adds x[r][.] * y[g][.] to the lanes sums[r][g], for kInputs rows of x and four of y.
__attribute__((noinline)) void AddOuterProduct(const float* x, const float* y, float* sums,
                                               int stride) {
  constexpr int T = kBackwardTile;
  Vector sum[kInputs][4];
#pragma GCC unroll 8
  for (int r = 0; r < kInputs; ++r)
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) sum[r][g] = Load(sums + r * stride + g * kLanes);
#pragma GCC unroll 1
  for (int at = 0; at < T; at += kLanes) {
    Vector b[4];
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) b[g] = Load(y + g * T + at);
#pragma GCC unroll 8
    for (int r = 0; r < kInputs; ++r) {
      const Vector a = Load(x + r * T + at);
#pragma GCC unroll 4
      for (int g = 0; g < 4; ++g) sum[r][g] += a * b[g];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kInputs; ++r)
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) Store(sums + r * stride + g * kLanes, sum[r][g]);
}

// Copies `count` columns of `rows` rows from a matrix into a tile, or back. The columns of the next
// tile are asked for: no processor foresees so many short rows.
template <int T>
void CopyIn(const float* from, int64_t n, int rows, int64_t column, int count, float* to) {
  for (int r = 0; r < rows; ++r, from += n, to += T)
    if (count == T)
      for (int i = 0; i < T; i += kLanes) {
        __builtin_prefetch(from + column + T + i);
        Store(to + i, *reinterpret_cast<const Unaligned*>(from + column + i));
      }
    else
      for (int i = 0; i < T; ++i) to[i] = i < count ? from[column + i] : 0;
}

template <int T>
void CopyOut(const float* from, int rows, int64_t column, int count, float* to, int64_t n) {
  for (int r = 0; r < rows; ++r, from += T, to += n)
    if (count == T)
      for (int i = 0; i < T; i += kLanes) {
        __builtin_prefetch(to + column + T + i, 1);
        *reinterpret_cast<Unaligned*>(to + column + i) = Load(from + i);
      }
    else
      std::copy_n(from, count, to + column);
}

// What both directions begin with: the gates of a tile of T coordinates.
template <int T>
class Gates {
 public:
  explicit Gates(const Cell& cell)
      : cell_(cell),
        weights_((cell.inputs() + 1) * cell.gates()),
        xh1_(RoundUp(cell.inputs() + 1, kInputs) * T),
        c_(cell.padded() * T) {
    // [a group of units][x, h, 1][gate][unit]; sigmoid(z) = (1 + tanh(z / 2)) / 2.
    float* out = weights_;
    for (int u = 0; u < cell.padded(); u += kUnits)
      for (int k = 0; k <= cell.inputs(); ++k)
        for (int gate = 0; gate < 4; ++gate)
          for (int j = u; j < u + kUnits; ++j, ++out) {
            if (j >= cell.units) continue;
            const int place = gate * cell.units + j;
            const float* row = k < cell.inputs() ? cell.w + k * 4 * cell.units : cell.b;
            const float weight = row[place] + (k == cell.inputs() && gate == 1);
            *out = gate == 2 ? weight : 0.5f * weight;
          }
    std::fill_n(xh1_ + cell.inputs() * T, T, 1.0f);
  }

  void Read(int64_t column, int count) {
    CopyIn<T>(cell_.x, cell_.n, cell_.features, column, count, xh1_);
    CopyIn<T>(cell_.h, cell_.n, cell_.units, column, count, xh1_ + cell_.features * T);
    CopyIn<T>(cell_.c, cell_.n, cell_.units, column, count, c_);
  }

  // Calls visit(place, i, f, g, o) with tanh of all gates; `place` is that of a unit's vector.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (int u = 0; u < cell_.padded(); u += kUnits)
      for (int at = 0; at < T; at += kColumns) {
        Vector z[4 * kUnits][kVectors];
        Product<4 * kUnits>(cell_.inputs() + 1, weights_ + u * 4 * (cell_.inputs() + 1), xh1_ + at,
                            T, reinterpret_cast<float*>(z), kColumns);
        for (auto& row : z)
          for (auto& v : row) v = Tanh(v);
        for (int j = 0; j < kUnits; ++j)
          for (int v = 0; v < kVectors; ++v)
            visit((u + j) * T + at + v * kLanes, z[j][v], z[kUnits + j][v], z[2 * kUnits + j][v],
                  z[3 * kUnits + j][v]);
      }
  }

  const float* xh1() const { return xh1_; }
  const float* c() const { return c_; }

 private:
  const Cell cell_;
  const Buffer weights_, xh1_, c_;
};

// The next h and c of coordinates start..end.
void Forward(const Cell& cell, int64_t start, int64_t end, float* next_h, float* next_c) {
  constexpr int T = kForwardTile;
  Gates<T> gates(cell);
  const Buffer h(cell.padded() * T), c(cell.padded() * T);
  for (int64_t column = start; column < end; column += T) {
    const int count = std::min<int64_t>(T, end - column);
    gates.Read(column, count);
    gates.ForEach([&](int place, Vector i, Vector f, Vector g, Vector o) {
      const Vector next = 0.5f * ((1 + f) * Load(gates.c() + place) + (1 + i) * g);
      Store(c + place, next);
      Store(h + place, 0.5f * (1 + o) * Tanh(next));
    });
    CopyOut<T>(h, cell.units, column, count, next_h, cell.n);
    CopyOut<T>(c, cell.units, column, count, next_c, cell.n);
  }
}

// The gradients behind those of the next h and c, of coordinates start..end; that of [W, b] is
// [inputs + 1, 4 units].
void Backward(const Cell& cell, int64_t start, int64_t end, const float* d_next_h,
              const float* d_next_c, float* d_x, float* d_h, float* d_c, float* d_wb) {
  constexpr int T = kBackwardTile;
  const int inputs = cell.inputs(), all = cell.gates(), one_gate = cell.padded() * T;
  const int rows = RoundUp(inputs, kRows), inputs_and_1 = RoundUp(inputs + 1, kInputs);
  Gates<T> gates(cell);
  const Buffer weights(rows * all), d_hidden(one_gate), d_cell(one_gate), d_z(all * T),
      d_xh(rows * T), sums(static_cast<size_t>(inputs_and_1) * all * kLanes);
  for (int k = 0; k < inputs; ++k)  // [a group of inputs][gate, unit][input]
    for (int gate = 0; gate < 4; ++gate)
      for (int u = 0; u < cell.units; ++u)
        weights[((k / kRows) * all + gate * cell.padded() + u) * kRows + k % kRows] =
            cell.w[(k * 4 + gate) * cell.units + u];
  for (int64_t column = start; column < end; column += T) {
    const int count = std::min<int64_t>(T, end - column);
    gates.Read(column, count);
    CopyIn<T>(d_next_h, cell.n, cell.units, column, count, d_hidden);
    CopyIn<T>(d_next_c, cell.n, cell.units, column, count, d_cell);
    gates.ForEach([&](int place, Vector i, Vector f, Vector g, Vector o) {
      const Vector c = Load(gates.c() + place);
      const Vector squashed = Tanh(0.5f * ((1 + f) * c + (1 + i) * g));
      const Vector half = 0.5f * Load(d_hidden + place);
      const Vector d_next =
          0.5f * (Load(d_cell + place) + (1 - squashed * squashed) * (half * (1 + o)));
      Store(d_cell + place, (1 + f) * d_next);
      Store(d_z + place, 0.5f * (1 - i * i) * (g * d_next));
      Store(d_z + one_gate + place, 0.5f * (1 - f * f) * (c * d_next));
      Store(d_z + 2 * one_gate + place, (1 - g * g) * ((1 + i) * d_next));
      Store(d_z + 3 * one_gate + place, 0.5f * (1 - o * o) * (squashed * half));
    });
    for (int u = cell.units; u < cell.padded(); ++u) {  // 0 times an infinite h is no number
      std::fill_n(d_cell + u * T, T, 0.0f);
      for (int gate = 0; gate < 4; ++gate) std::fill_n(d_z + gate * one_gate + u * T, T, 0.0f);
    }
    for (int row = 0; row < rows; row += kRows)
      for (int at = 0; at < T; at += kColumns)
        Product<kRows>(all, weights + row * all, d_z + at, T, d_xh + row * T + at, T);
    for (int k = 0; k < inputs_and_1; k += kInputs)
      for (int gate = 0; gate < all; gate += 4)
        AddOuterProduct(gates.xh1() + k * T, d_z + gate * T,
                        sums + (static_cast<size_t>(k) * all + gate) * kLanes, all * kLanes);
    CopyOut<T>(d_xh, cell.features, column, count, d_x, cell.n);
    CopyOut<T>(d_xh + cell.features * T, cell.units, column, count, d_h, cell.n);
    CopyOut<T>(d_cell, cell.units, column, count, d_c, cell.n);
  }
  for (int k = 0; k <= inputs; ++k)
    for (int gate = 0; gate < 4; ++gate)
      for (int u = 0; u < cell.units; ++u) {
        const float* lanes =
            sums + (static_cast<size_t>(k) * all + gate * cell.padded() + u) * kLanes;
        float sum = 0;
        for (int lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
        d_wb[(k * 4 + gate) * cell.units + u] = sum;
      }
}

}  // namespace l2l

namespace tensorflow {
namespace {

// Reads x, h, c, W, b, or says what is wrong with their shapes.
Status ReadCell(OpKernelContext* context, l2l::Cell* cell) {
  const Tensor &x = context->input(0), &h = context->input(1), &c = context->input(2),
               &w = context->input(3), &b = context->input(4);
  const bool matrices = x.dims() == 2 && h.dims() == 2;
  const int64_t features = matrices ? x.dim_size(0) : 0, units = matrices ? h.dim_size(0) : 0;
  const int64_t n = matrices ? h.dim_size(1) : 0;
  if (!matrices || x.dim_size(1) != n || c.shape() != h.shape() ||
      w.shape() != TensorShape({features + units, 4 * units}) ||
      b.shape() != TensorShape({4 * units}))
    return errors::InvalidArgument(
        "x [features, n], h and c [units, n], W [features + units, 4 units] and b [4 units] must "
        "go together, got ", x.shape().DebugString(), ", ", h.shape().DebugString(), ", ",
        c.shape().DebugString(), ", ", w.shape().DebugString(), " and ", b.shape().DebugString());
  *cell = {static_cast<int>(features), static_cast<int>(units), n, x.flat<float>().data(),
           h.flat<float>().data(), c.flat<float>().data(), w.flat<float>().data(),
           b.flat<float>().data()};
  return absl::OkStatus();
}

int64_t ChunkSize(int64_t n) {
  const int64_t size = std::max(l2l::kChunk, (n + l2l::kMostChunks - 1) / l2l::kMostChunks);
  return (size + l2l::kBackwardTile - 1) / l2l::kBackwardTile * l2l::kBackwardTile;
}

// Calls work(chunk, start, end) for chunks of the coordinates, whose borders depend on n alone.
template <typename Work>
void InChunks(OpKernelContext* context, const l2l::Cell& cell, Work work) {
  const int64_t size = ChunkSize(cell.n), chunks = (cell.n + size - 1) / size;
  const auto& workers = *context->device()->tensorflow_cpu_worker_threads();
  const int64_t cost = size * cell.gates() * (cell.inputs() + 8) / l2l::kLanes;  // in cycles, about
  Shard(workers.num_threads, workers.workers, chunks, cost, [&](int64_t first, int64_t last) {
    for (int64_t chunk = first; chunk < last; ++chunk)
      work(chunk, chunk * size, std::min(cell.n, (chunk + 1) * size));
  });
}

class LstmCellOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    l2l::Cell cell;
    OP_REQUIRES_OK(context, ReadCell(context, &cell));
    Tensor *h, *c;
    OP_REQUIRES_OK(context, context->allocate_output(0, context->input(1).shape(), &h));
    OP_REQUIRES_OK(context, context->allocate_output(1, context->input(2).shape(), &c));
    float *next_h = h->flat<float>().data(), *next_c = c->flat<float>().data();
    InChunks(context, cell, [&](int64_t, int64_t start, int64_t end) {
      l2l::Forward(cell, start, end, next_h, next_c);
    });
  }
};

class LstmCellGradOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    l2l::Cell cell;
    OP_REQUIRES_OK(context, ReadCell(context, &cell));
    const Tensor &d_next_h = context->input(5), &d_next_c = context->input(6);
    OP_REQUIRES(context,
                d_next_h.shape() == context->input(1).shape() &&
                    d_next_c.shape() == context->input(1).shape(),
                errors::InvalidArgument("Gradients must be of the shape of h, got ",
                                        d_next_h.shape().DebugString(), " and ",
                                        d_next_c.shape().DebugString()));
    float* out[5];
    for (int i = 0; i < 5; ++i) {
      Tensor* tensor;
      OP_REQUIRES_OK(context, context->allocate_output(i, context->input(i).shape(), &tensor));
      out[i] = tensor->flat<float>().data();
    }
    const int64_t weights = int64_t{4} * cell.units * cell.inputs(), biases = 4 * cell.units;
    const int64_t chunks = (cell.n + ChunkSize(cell.n) - 1) / ChunkSize(cell.n);
    std::vector<float> d_wb(chunks * (weights + biases));
    InChunks(context, cell, [&](int64_t chunk, int64_t start, int64_t end) {
      l2l::Backward(cell, start, end, d_next_h.flat<float>().data(), d_next_c.flat<float>().data(),
                    out[0], out[1], out[2], d_wb.data() + chunk * (weights + biases));
    });
    std::fill_n(out[3], weights, 0.0f);
    std::fill_n(out[4], biases, 0.0f);
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {  // in this order, whoever was first
      const float* part = d_wb.data() + chunk * (weights + biases);
      for (int64_t i = 0; i < weights; ++i) out[3][i] += part[i];
      for (int64_t i = 0; i < biases; ++i) out[4][i] += part[weights + i];
    }
  }
};

Status SameShapes(shape_inference::InferenceContext* context) {
  const bool gradient = context->num_outputs() == 5;
  for (int i = 0; i < context->num_outputs(); ++i)
    context->set_output(i, context->input(gradient ? i : i + 1));
  return absl::OkStatus();
}

REGISTER_OP("L2lLstmCell")
    .Input("x: float")
    .Input("h: float")
    .Input("c: float")
    .Input("w: float")
    .Input("b: float")
    .Output("next_h: float")
    .Output("next_c: float")
    .SetShapeFn(SameShapes);

REGISTER_OP("L2lLstmCellGrad")
    .Input("x: float")
    .Input("h: float")
    .Input("c: float")
    .Input("w: float")
    .Input("b: float")
    .Input("d_next_h: float")
    .Input("d_next_c: float")
    .Output("d_x: float")
    .Output("d_h: float")
    .Output("d_c: float")
    .Output("d_w: float")
    .Output("d_b: float")
    .SetShapeFn(SameShapes);

REGISTER_KERNEL_BUILDER(Name("L2lLstmCell").Device(DEVICE_CPU), LstmCellOp);
REGISTER_KERNEL_BUILDER(Name("L2lLstmCellGrad").Device(DEVICE_CPU), LstmCellGradOp);

}  // namespace
}  // namespace tensorflow
