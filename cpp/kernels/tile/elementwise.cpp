// Runs tile programs: places values in registers (tile-sized buffers), fetches the operands that cannot be
// read where they lie, calls the steps' functions, and writes the results that were not produced in place.
#include "kernels/tile/elementwise.h"

#include <cstring>

#include "core/caches.h"
#include "kernels/base/ranges.h"
#include "kernels/base/scratch.h"
#include "kernels/tile/copy.h"
#include "kernels/tile/sum_epilogue.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

constexpr std::int64_t tile_elements = 1024;  // a few values of this size fit the L1 cache
constexpr std::int64_t transposed_columns = 32;
constexpr std::int64_t run_tiles = 128;   // computed on end, long enough for the processor to read ahead
constexpr std::int64_t dense_below = 64;  // columns; shorter rows are computed many at a time, as one
constexpr int max_values = max_tile_inputs + max_tile_steps;
// A tile's rows in registers begin at multiples of this many elements; a register is at most this much
// larger.
constexpr std::int64_t pitch_unit = 16;

static_assert(max_values * (tile_elements + dense_below) * 8 <= static_cast<std::int64_t>(scratch_bytes));

// A tensor over the two inner dimensions, the second of which runs fastest.
struct Strides2 {
  std::int64_t row = 0, column = 0;
};

enum class Access : std::uint8_t {
  in_place,   // read where it lies
  passed_on,  // no step reads it: it is only copied to outputs
  broadcast,  // copied into its register when its address changes
  copied,     // copied for every tile
};

constexpr bool lies_in_tensor(Access access) {
  return access == Access::in_place || access == Access::passed_on;
}

// How a program runs over rows x columns, decided once per call.
struct Layout {
  std::int64_t rows = 1, columns = 1;  // of the inner two dimensions
  std::int64_t element_stride = 0;     // from row to row, in element numbers
  std::int64_t tile_rows = 1, tile_columns = 1;
  std::int64_t pitch = 0;  // from row to row in registers, in elements
  bool dense = false;      // a tile has whole rows, one after the other, and counts as one long row
  std::int64_t register_bytes = 0;
  Strides2 inputs[max_tile_inputs], outputs[max_tile_outputs];
  Access access[max_tile_inputs];
  std::int16_t register_of[max_values];    // -1: none, it lies in a tensor
  std::int16_t output_of[max_tile_steps];  // the output that a step writes directly, or -1
  bool stored[max_tile_outputs];           // outputs to be copied out of their value
  bool streamed[max_tile_outputs] = {};    // past the caches
  int registers = 0;
};

bool transposed(const Strides2& s) { return s.column != 0 && s.row != 0 && s.column > s.row; }

void choose_tiles(const TileProgram& program, Layout& layout, std::int64_t capacity) {
  bool any_transposed = false;
  for (int i = 0; i < program.n_inputs; ++i) any_transposed |= transposed(layout.inputs[i]);
  for (int i = 0; i < program.n_outputs; ++i) any_transposed |= transposed(layout.outputs[i]);
  // As one long row a tile's elements must be numbered on end, which those of a block within wider rows are
  // not.
  bool numbers_matter = false;
  if (layout.element_stride != layout.columns)
    for (int s = 0; s < program.n_steps; ++s) numbers_matter |= program.steps[s].op == TileOp::uniform;
  layout.dense = layout.rows > 1 && layout.columns < dense_below && !numbers_matter;
  if (layout.dense) {
    layout.tile_columns = layout.pitch = layout.columns;
    layout.tile_rows = capacity / layout.columns;
  } else {
    if (any_transposed && layout.rows > 1 && layout.columns > transposed_columns)
      layout.tile_columns = transposed_columns;
    else if (layout.columns > capacity)  // pieces of about the same length
      layout.tile_columns =
          round_up(ceil_div(layout.columns, ceil_div(layout.columns, capacity)), pitch_unit);
    else layout.tile_columns = layout.columns;
    layout.pitch = round_up(layout.tile_columns, pitch_unit);
    layout.tile_rows = capacity / layout.pitch;
  }
  if (layout.tile_rows > layout.rows) layout.tile_rows = layout.rows;
  if (layout.tile_rows < 1) layout.tile_rows = 1;
}

bool dense_rows(const Layout& layout, const Strides2& s) {
  return s.column == 1 && (!layout.dense || s.row == layout.columns);
}

Access access_of(const Layout& layout, const Strides2& s) {
  if (dense_rows(layout, s)) return Access::in_place;
  if (s.row == 0 && (s.column == 0 || layout.dense)) return Access::broadcast;
  return Access::copied;
}

constexpr bool same_size(DType a, DType b) { return size_of(a) == size_of(b); }
constexpr std::int64_t bytes_of(DType dtype) { return static_cast<std::int64_t>(size_of(dtype)); }

// Registers by lifetime, and which outputs their steps write directly. `same_memory(i, o)`: input i is output
// o.
template <class SameMemory>
void assign_registers(const TileProgram& program, Layout& layout, SameMemory same_memory) {
  const int n_inputs = program.n_inputs;
  std::int16_t last_use[max_values];
  for (int v = 0; v < n_inputs + program.n_steps; ++v) last_use[v] = -1;
  for (int s = 0; s < program.n_steps; ++s)
    for (const std::int16_t operand : program.steps[s].operands)
      if (operand >= 0) last_use[operand] = static_cast<std::int16_t>(s);
  constexpr std::int16_t end = max_tile_steps;
  for (int s = 0; s < program.n_steps; ++s) layout.output_of[s] = -1;

  // An input's own register keeps broadcast values from tile to tile.
  for (int i = 0; i < n_inputs; ++i)
    layout.register_of[i] =
        static_cast<std::int16_t>(lies_in_tensor(layout.access[i]) ? -1 : layout.registers++);

  // Later outputs may copy an input, so those inputs live to the end.
  for (int o = 0; o < program.n_outputs; ++o)
    if (program.outputs[o].value < n_inputs) last_use[program.outputs[o].value] = end;
  for (int o = 0; o < program.n_outputs; ++o) {
    const TileOutput& output = program.outputs[o];
    const int step = output.value - n_inputs;
    layout.stored[o] = true;
    if (layout.streamed[o]) continue;
    if (step < 0 || !dense_rows(layout, layout.outputs[o]) || layout.output_of[step] >= 0) continue;
    bool overwrites = false;  // an input that a later step, or another output, reads where it lies
    for (int i = 0; i < n_inputs; ++i)
      overwrites |= lies_in_tensor(layout.access[i]) && last_use[i] > step && same_memory(i, o);
    if (overwrites) continue;
    layout.output_of[step] = static_cast<std::int16_t>(o);
    layout.stored[o] = false;
  }
  for (int o = 0; o < program.n_outputs; ++o)
    if (layout.stored[o]) last_use[program.outputs[o].value] = end;

  std::int16_t free_registers[max_values];
  int n_free = 0;
  for (int s = 0; s < program.n_steps; ++s) {
    const TileStep& step = program.steps[s];
    const int value = n_inputs + s;
    layout.register_of[value] = -1;
    // An operand that dies here gives its register to the result if their elements are of one size.
    const auto release = [&](bool before) {
      for (int k = 0; k < 3; ++k) {
        const std::int16_t operand = step.operands[k];
        if (operand < n_inputs || last_use[operand] != s || layout.register_of[operand] < 0) continue;
        if ((k > 0 && operand == step.operands[0]) || (k > 1 && operand == step.operands[1])) continue;
        const DType dtype = program.steps[operand - n_inputs].result_dtype;
        if (same_size(dtype, step.result_dtype) == before)
          free_registers[n_free++] = layout.register_of[operand];
      }
    };
    release(true);
    if (layout.output_of[s] < 0) {
      layout.register_of[value] =
          n_free > 0 ? free_registers[--n_free] : static_cast<std::int16_t>(layout.registers++);
      if (last_use[value] < 0) free_registers[n_free++] = layout.register_of[value];  // an unused result
    }
    release(false);
  }
}

std::int64_t largest_element(const TileProgram& program) {
  std::int64_t bytes = 1;
  const auto include = [&](DType dtype) {
    if (bytes_of(dtype) > bytes) bytes = bytes_of(dtype);
  };
  for (int i = 0; i < program.n_inputs; ++i) include(program.inputs[i].dtype);
  for (int s = 0; s < program.n_steps; ++s) include(program.steps[s].result_dtype);
  return bytes;
}

void choose_access(const TileProgram& program, Layout& layout) {
  layout.registers = 0;
  for (int i = 0; i < program.n_inputs; ++i) layout.access[i] = Access::passed_on;
  for (int s = 0; s < program.n_steps; ++s)
    for (const std::int16_t operand : program.steps[s].operands)
      if (operand >= 0 && operand < program.n_inputs)
        layout.access[operand] = access_of(layout, layout.inputs[operand]);
}

// Outputs that the program does not read again, of a thread's share of so many elements: written past the
// caches where all that is read and written exceeds them anyway. What is in the caches then stays, and the
// lines that are written whole are not read before. False where there is none.
bool choose_streamed(const TileProgram& program, Layout& layout, std::int64_t elements) {
  if constexpr (vector_bytes < 32) return false;  // stream() is a store
  std::int64_t bytes = 0;                         // of an element of all tensors that do not broadcast
  for (int i = 0; i < program.n_inputs; ++i)
    if (layout.inputs[i].row != 0 || layout.rows == 1) bytes += bytes_of(program.inputs[i].dtype);
  for (int o = 0; o < program.n_outputs; ++o) bytes += bytes_of(program.outputs[o].tensor.dtype);
  if (elements * bytes < caches().l3_bytes * 3 / 2) return false;
  bool any = false;
  for (int o = 0; o < program.n_outputs; ++o) {
    const std::int16_t value = program.outputs[o].value;
    const bool in_rows = value >= program.n_inputs || (layout.access[value] == Access::in_place);
    layout.streamed[o] = program.outputs[o].unread && in_rows && dense_rows(layout, layout.outputs[o]);
    for (int i = 0; i < program.n_inputs; ++i)  // in place, the lines are in the caches
      if (program.inputs[i].data == program.outputs[o].tensor.data) layout.streamed[o] = false;
    any = any || layout.streamed[o];
  }
  return any;
}

// Fills `total` bytes with copies of the first `length`.
void repeat(std::byte* data, std::int64_t length, std::int64_t total) {
  for (std::int64_t filled = length; filled < total;) {
    const std::int64_t n = smaller(filled, total - filled);
    std::memcpy(data + filled, data, static_cast<std::size_t>(n));
    filled += n;
  }
}

// Runs one tile after the other; remembers what its registers hold.
class TileRunner {
 public:
  TileRunner(const TileProgram& program, const Layout& layout, std::byte* registers)
      : program_(program), layout_(layout), registers_(registers) {
    for (int i = 0; i < program.n_inputs; ++i) held_[i] = nullptr;
  }

  // `inputs` and `outputs` are the addresses of the tile's first element.
  void run(const std::byte* const* inputs, std::byte* const* outputs, std::int64_t rows, std::int64_t columns,
           std::int64_t element) {
    const void* address[max_values];
    std::int64_t stride[max_values];
    const std::int64_t pitch = layout_.pitch;
    for (int i = 0; i < program_.n_inputs; ++i) {
      const Strides2& from = layout_.inputs[i];
      const Access access = layout_.access[i];
      address[i] = inputs[i];
      stride[i] = from.row;
      if (lies_in_tensor(access)) continue;
      std::byte* held = register_at(layout_.register_of[i]);
      address[i] = held;
      stride[i] = pitch;
      const std::int64_t bytes = bytes_of(program_.inputs[i].dtype);
      if (access == Access::broadcast) {
        if (!layout_.dense) stride[i] = 0;
        if (held_[i] == inputs[i]) continue;
        held_[i] = inputs[i];
        copy_block(held, pitch, 1, inputs[i], from.row, from.column, 1, layout_.tile_columns, bytes);
        if (layout_.dense)  // as large as any tile, since later tiles use it too
          repeat(held, layout_.tile_columns * bytes, layout_.tile_rows * layout_.tile_columns * bytes);
      } else {
        copy_block(held, pitch, 1, inputs[i], from.row, from.column, rows, columns, bytes);
      }
    }

    TileBlock block;
    block.rows = layout_.dense ? 1 : rows;
    block.columns = layout_.dense ? rows * columns : columns;
    block.element = element;
    block.element_stride = layout_.element_stride;
    for (int s = 0; s < program_.n_steps; ++s) {
      const TileStep& step = program_.steps[s];
      const void* operands[3] = {nullptr, nullptr, nullptr};
      for (int k = 0; k < 3 && step.operands[k] >= 0; ++k) {
        operands[k] = address[step.operands[k]];
        block.strides[k] = stride[step.operands[k]];
      }
      const int value = program_.n_inputs + s, direct = layout_.output_of[s];
      void* result = direct >= 0 ? outputs[direct] : register_at(layout_.register_of[value]);
      address[value] = result;
      stride[value] = block.result_stride = direct >= 0 ? layout_.outputs[direct].row : pitch;
      step.function(result, operands[0], operands[1], operands[2], block, step);
    }

    // Copies of inputs first: an output may be the memory of another's input.
    for (const bool of_input : {true, false})
      for (int o = 0; o < program_.n_outputs; ++o) {
        const int value = program_.outputs[o].value;
        if (!layout_.stored[o] || (value < program_.n_inputs) != of_input) continue;
        if (address[value] == outputs[o]) continue;
        const Strides2& to = layout_.outputs[o];
        if (layout_.streamed[o]) {
          const std::int64_t bytes = bytes_of(program_.outputs[o].tensor.dtype);
          const auto* from = static_cast<const std::byte*>(address[value]);
          for (std::int64_t row = 0; row < block.rows; ++row)
            stream_bytes(outputs[o] + row * to.row * bytes, from + row * stride[value] * bytes,
                         block.columns * bytes);
          continue;
        }
        const bool passed_on = of_input && layout_.access[value] == Access::passed_on;
        copy_block(outputs[o], to.row, to.column, address[value], stride[value],
                   passed_on ? layout_.inputs[value].column : 1, rows, columns,
                   bytes_of(program_.outputs[o].tensor.dtype));
      }
  }

 private:
  std::byte* register_at(std::int16_t number) const { return registers_ + number * layout_.register_bytes; }

  const TileProgram& program_;
  const Layout& layout_;
  std::byte* registers_;
  const std::byte* held_[max_tile_inputs];  // the address whose elements a broadcast input's register holds
};

// An epilogue that is a sum, in one pass. False where it is none.
template <class T>
bool run_sum(const TileProgram& program, const void* block, std::int64_t block_stride, std::int64_t row,
             std::int64_t rows, std::int64_t column, std::int64_t columns) {
  SumEpilogue<T> sum;
  const std::int64_t stride = program.outputs[0].tensor.strides[0];
  if (!is_sum(program, stride, sum)) return false;
  const auto run = [&](const auto& finish) {
    const T* from = static_cast<const T*>(block);
    T* to = sum.output + row * stride + column;
    for (std::int64_t r = 0; r < rows; ++r, from += block_stride, to += stride)
      for_each_vector<T>(columns, [&](std::int64_t c, auto n) RAVINE_INLINE_LAMBDA {
        store(to + c, finish(load(from + c, n), to + c, column + c, n), n);
      });
  };
  if (sum.whole == nullptr) run(Summed<T, false>(sum));
  else run(Summed<T, true>(sum));
  return true;
}

}  // namespace

void elementwise(const TileProgram& program, const Team& team) {
  // The space without its extents of one; the inner two dimensions make the tiles, the others are counted
  // through.
  int dims[max_rank], rank = 0;
  for (int d = 0; d < program.rank; ++d) {
    if (program.extents[d] == 0) return;
    if (program.extents[d] != 1) dims[rank++] = d;
  }
  Layout layout;
  const int column_dim = rank > 0 ? dims[rank - 1] : -1, row_dim = rank > 1 ? dims[rank - 2] : -1;
  const auto inner_strides = [&](const TileTensor& tensor) {
    return Strides2{row_dim >= 0 ? tensor.strides[row_dim] : 0,
                    column_dim >= 0 ? tensor.strides[column_dim] : 1};
  };
  if (column_dim >= 0) layout.columns = program.extents[column_dim];
  if (row_dim >= 0) layout.rows = program.extents[row_dim];
  layout.element_stride = layout.columns;
  for (int i = 0; i < program.n_inputs; ++i) layout.inputs[i] = inner_strides(program.inputs[i]);
  for (int o = 0; o < program.n_outputs; ++o) layout.outputs[o] = inner_strides(program.outputs[o].tensor);

  choose_tiles(program, layout, tile_elements);
  const int outer_rank = rank > 2 ? rank - 2 : 0;
  std::int64_t outer = 1;
  for (int d = 0; d < outer_rank; ++d) outer *= program.extents[dims[d]];
  const std::int64_t row_tiles = ceil_div(layout.rows, layout.tile_rows);
  const std::int64_t column_tiles = ceil_div(layout.columns, layout.tile_columns);
  const Pieces pieces = pieces_of(outer * row_tiles * column_tiles, team);
  if (pieces.begin == pieces.end) return;

  choose_access(program, layout);
  const std::int64_t tiles = outer * row_tiles * column_tiles;
  const bool streams = choose_streamed(
      program, layout, outer * layout.rows * layout.columns / tiles * (pieces.end - pieces.begin));
  assign_registers(program, layout,
                   [&](int i, int o) { return program.inputs[i].data == program.outputs[o].tensor.data; });
  layout.register_bytes = round_up(layout.tile_rows * layout.pitch, pitch_unit) * largest_element(program);
  TileRunner runner(program, layout, team.scratch);

  const std::byte* inputs[max_tile_inputs];
  std::byte* outputs[max_tile_outputs];
  // From the last tiles to the first. What the call before wrote or read last is in the caches still, and
  // most kernels go from the first to the last; as the next one will, which finds what was computed last.
  for (std::int64_t run = ceil_div(pieces.end - pieces.begin, run_tiles) - 1; run >= 0; --run) {
    const std::int64_t begin = pieces.begin + run * run_tiles, end = smaller(begin + run_tiles, pieces.end);
    std::int64_t column_tile = begin % column_tiles, row_tile = begin / column_tiles % row_tiles;
    std::int64_t outer_index = begin / column_tiles / row_tiles;
    for (std::int64_t piece = begin; piece < end; ++piece) {
      const std::int64_t row = row_tile * layout.tile_rows, column = column_tile * layout.tile_columns;
      const auto address_of = [&](const TileTensor& tensor, const Strides2& strides) {
        std::int64_t offset = row * strides.row + column * strides.column, rest = outer_index;
        for (int d = outer_rank - 1; d >= 0; --d) {
          offset += rest % program.extents[dims[d]] * tensor.strides[dims[d]];
          rest /= program.extents[dims[d]];
        }
        return static_cast<std::byte*>(tensor.data) + offset * bytes_of(tensor.dtype);
      };
      for (int i = 0; i < program.n_inputs; ++i) inputs[i] = address_of(program.inputs[i], layout.inputs[i]);
      for (int o = 0; o < program.n_outputs; ++o)
        outputs[o] = address_of(program.outputs[o].tensor, layout.outputs[o]);
      runner.run(inputs, outputs, smaller(layout.tile_rows, layout.rows - row),
                 smaller(layout.tile_columns, layout.columns - column),
                 (outer_index * layout.rows + row) * layout.columns + column);
      if (++column_tile < column_tiles) continue;
      column_tile = 0;
      if (++row_tile < row_tiles) continue;
      row_tile = 0;
      ++outer_index;
    }
  }
  if (streams) finish_streams();
}

void run_epilogue(const TileProgram& program, const void* block, std::int64_t block_stride, std::int64_t row,
                  std::int64_t rows, std::int64_t column, std::int64_t columns) {
  if (rows == 0 || columns == 0) return;
  if (run_sum<float>(program, block, block_stride, row, rows, column, columns) ||
      run_sum<double>(program, block, block_stride, row, rows, column, columns))
    return;
  const std::byte* inputs[max_tile_inputs];
  std::byte* outputs[max_tile_outputs];
  Layout layout;
  layout.rows = rows;
  layout.columns = columns;
  layout.element_stride = program.extents[1];
  const auto address_of = [&](const TileTensor& tensor) {
    return static_cast<std::byte*>(tensor.data) +
           (row * tensor.strides[0] + column * tensor.strides[1]) * bytes_of(tensor.dtype);
  };
  inputs[0] = static_cast<const std::byte*>(block);
  layout.inputs[0] = {block_stride, 1};
  for (int i = 1; i < program.n_inputs; ++i) {
    inputs[i] = address_of(program.inputs[i]);
    layout.inputs[i] = {program.inputs[i].strides[0], program.inputs[i].strides[1]};
  }
  for (int o = 0; o < program.n_outputs; ++o) {
    const TileTensor& tensor = program.outputs[o].tensor;
    outputs[o] = address_of(tensor);
    layout.outputs[o] = {tensor.strides[0], tensor.strides[1]};
  }

  // Registers on the stack: their number is known after the tiles' shape is, so this assumes the worst first.
  constexpr std::int64_t stack_bytes = 32768;
  alignas(64) std::byte registers[stack_bytes];
  const std::int64_t element = largest_element(program);
  std::int64_t capacity = tile_elements;
  for (;;) {
    choose_tiles(program, layout, capacity);
    choose_access(program, layout);
    assign_registers(program, layout, [&](int i, int o) { return inputs[i] == outputs[o]; });
    layout.register_bytes = round_up(layout.tile_rows * layout.pitch, pitch_unit) * element;
    if (layout.registers * layout.register_bytes <= stack_bytes) break;
    capacity /= 2;
  }

  TileRunner runner(program, layout, registers);
  const std::byte* tile_inputs[max_tile_inputs];
  std::byte* tile_outputs[max_tile_outputs];
  for (std::int64_t r = 0; r < rows; r += layout.tile_rows)
    for (std::int64_t c = 0; c < columns; c += layout.tile_columns) {
      for (int i = 0; i < program.n_inputs; ++i)
        tile_inputs[i] = inputs[i] + (r * layout.inputs[i].row + c * layout.inputs[i].column) *
                                         bytes_of(program.inputs[i].dtype);
      for (int o = 0; o < program.n_outputs; ++o)
        tile_outputs[o] = outputs[o] + (r * layout.outputs[o].row + c * layout.outputs[o].column) *
                                           bytes_of(program.outputs[o].tensor.dtype);
      runner.run(tile_inputs, tile_outputs, smaller(layout.tile_rows, rows - r),
                 smaller(layout.tile_columns, columns - c), (row + r) * layout.element_stride + column + c);
    }
}

}  // namespace ravine::kernels::RAVINE_ISA
