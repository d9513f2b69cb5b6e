// GroupNorm of images, channels last. A sample's moments are gathered by column, as BatchNorm's, and combined
// over the columns of a group; the sample is normalised while it is still in the cache. Where there are few
// samples each is cut into parts, whose moments are combined in their order.
#include "kernels/api/norm.h"
#include "kernels/api/table.h"
#include "kernels/norm/column_sums.h"
#include "kernels/tile/elementwise.h"
#include "simd/math.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

constexpr std::int64_t least_parts = 32;      // of all samples together, where they are large enough
constexpr std::int64_t folded_columns = 128;  // as many as the accumulators of a few vectors
constexpr std::int64_t epilogue_elements = 4096;
constexpr std::int64_t combined_columns = 32;  // gradients that one thread sums over the samples

// The positions of a sample are rows. A narrow sample is read as a wider matrix: `fold` positions side by
// side make a row of `width` columns, the last part takes the positions that fill none.
struct Plan {
  std::int64_t fold = 1, width = 0, rows = 0, positions_left = 0, parts = 1, part_rows = 0;
};

template <class Args>
RAVINE_INLINE Plan plan_of(const Args& args) {
  Plan plan;
  plan.fold = larger(1, smaller(folded_columns / args.channels, args.positions / group_rows));
  plan.width = plan.fold * args.channels;
  plan.rows = args.positions / plan.fold;
  plan.positions_left = args.positions % plan.fold;
  const std::int64_t pieces = ceil_div(plan.rows, piece_rows);
  plan.parts = smaller(pieces, ceil_div(least_parts, larger(1, args.samples)));
  plan.part_rows = ceil_div(pieces, plan.parts) * piece_rows;
  plan.parts = ceil_div(plan.rows, plan.part_rows);
  return plan;
}

// A part of a sample: folded rows [begin, end), and in the last part the first columns of another row.
struct Part {
  std::int64_t item, sample, part, begin, end, columns_left;
  std::int64_t start;      // its first element
  std::int64_t positions;  // in all
};

RAVINE_INLINE Part part_of(const Plan& plan, std::int64_t channels, std::int64_t item) {
  Part p{};
  p.item = item;
  p.sample = item / plan.parts;
  p.part = item % plan.parts;
  p.begin = p.part * plan.part_rows;
  p.end = smaller(p.begin + plan.part_rows, plan.rows);
  const std::int64_t left = p.part + 1 == plan.parts ? plan.positions_left : 0;
  p.columns_left = left * channels;
  p.start = (p.sample * (plan.rows * plan.fold + plan.positions_left) + p.begin * plan.fold) * channels;
  p.positions = (p.end - p.begin) * plan.fold + left;
  return p;
}

// What a part works with: sums of its columns and of its groups, and coefficients of its columns.
template <class T>
struct PartMemory {
  double *columns[2], *groups[2];
  T *coefficients[4], *of_groups;
};

template <class T>
RAVINE_INLINE std::int64_t aligned(std::int64_t count) {
  constexpr std::int64_t line = 64 / sizeof(T);
  return ceil_div(count, line) * line;
}

template <class T, class Args>
std::int64_t part_bytes(const Args& args, const Plan& plan) {
  return static_cast<std::int64_t>(sizeof(double)) * 2 *
             (aligned<double>(plan.width) + aligned<double>(args.groups)) +
         static_cast<std::int64_t>(sizeof(T)) * (4 * aligned<T>(plan.width) + aligned<T>(args.groups));
}

template <class T, class Args>
std::size_t workspace_bytes(const Args& args) {
  const Plan plan = plan_of(args);
  return static_cast<std::size_t>(args.samples * plan.parts * part_bytes<T>(args, plan));
}

template <class T, class Args>
RAVINE_INLINE PartMemory<T> memory_of(const Args& args, const Plan& plan, std::int64_t item) {
  PartMemory<T> memory;
  double* next =
      reinterpret_cast<double*>(static_cast<char*>(args.workspace) + item * part_bytes<T>(args, plan));
  for (double*& values : memory.columns) {
    values = next;
    next += aligned<double>(plan.width);
  }
  for (double*& values : memory.groups) {
    values = next;
    next += aligned<double>(args.groups);
  }
  T* last = reinterpret_cast<T*>(next);
  for (T*& values : memory.coefficients) {
    values = last;
    last += aligned<T>(plan.width);
  }
  memory.of_groups = last;
  return memory;
}

// first(part) for every part, then second(part), which may read what first left for the sample's parts.
template <class First, class Second>
RAVINE_INLINE void for_each_part(const Plan& plan, std::int64_t samples, std::int64_t channels,
                                 const Team& team, First first, Second second) {
  const Pieces mine = pieces_of(samples * plan.parts, team);
  for (std::int64_t item = mine.begin; item < mine.end; ++item) {
    const Part part = part_of(plan, channels, item);
    first(part);
    if (plan.parts == 1) second(part);
  }
  if (plan.parts == 1) return;
  team.barrier();
  for (std::int64_t item = mine.begin; item < mine.end; ++item) second(part_of(plan, channels, item));
}

// body(offset, column, rows, count): blocks of the part's matrix of at most piece_rows rows and max_block
// columns, `offset` from its first element; the blocks of a column in the order of its rows.
template <class Body>
RAVINE_INLINE void for_each_block(const Plan& plan, const Part& part, Body body) {
  const std::int64_t rows = part.end - part.begin;
  for (std::int64_t column = 0; column < plan.width; column += max_block) {
    const std::int64_t count = smaller(max_block, plan.width - column);
    for (std::int64_t row = 0; row < rows; row += piece_rows)
      body(row * plan.width + column, column, row, smaller(piece_rows, rows - row), count);
  }
  for (std::int64_t column = 0; column < part.columns_left; column += max_block)
    body(rows * plan.width + column, column, rows, 1, smaller(max_block, part.columns_left - column));
}

// Numbers of groups as numbers of columns.
template <class T, class From>
RAVINE_INLINE void spread(const From* groups, std::int64_t n_groups, std::int64_t channels, const Plan& plan,
                          T* columns) {
  if (n_groups == channels) {
    for (std::int64_t c = 0; c < channels; ++c) columns[c] = static_cast<T>(groups[c]);
  } else {
    const std::int64_t members = channels / n_groups;
    for (std::int64_t g = 0; g < n_groups; ++g)
      for (std::int64_t c = g * members; c < (g + 1) * members; ++c) columns[c] = static_cast<T>(groups[g]);
  }
  for (std::int64_t c = channels; c < plan.width; ++c) columns[c] = columns[c - channels];
}

// columns *= values of channels, where there are any.
template <class T>
RAVINE_INLINE void scale_columns(T* columns, const T* values, std::int64_t channels, const Plan& plan) {
  if (values == nullptr) return;
  for (std::int64_t first = 0; first < plan.width; first += channels)
    for_each_vector<T>(channels, [&](std::int64_t c, auto n) {
      store(columns + first + c, load(columns + first + c, n) * load(values + c, n), n);
    });
}

template <class T>
RAVINE_INLINE void reciprocal_deviations(const T* variances, std::int64_t count, double eps, T* rstds) {
  for_each_vector<T>(count, [&](std::int64_t i, auto n) {
    store(rstds + i, T(1) / square_root<T>(load(variances + i, n) + static_cast<T>(eps)), n);
  });
}

// value(offset, column, n) over the part, stored to `to` + offset, and then the epilogue on what is complete.
template <class T, class Args, class Value>
RAVINE_INLINE void write_part(const Args& args, const Plan& plan, const Part& part, T* to, Value value) {
  const std::int64_t width = plan.width, rows = part.end - part.begin;
  const std::int64_t first_row = part.start / args.channels;
  const auto finish = [&](std::int64_t row, std::int64_t positions) {
    if (args.epilogue != nullptr)
      run_epilogue(*args.epilogue, to + row * width, args.channels, first_row + row * plan.fold, positions, 0,
                   args.channels);
  };
  const std::int64_t step = larger(group_rows, epilogue_elements / width);
  for (std::int64_t begin = 0; begin < rows; begin += step) {
    const std::int64_t end = smaller(begin + step, rows);
    for (std::int64_t row = begin; row < end; ++row)
      for_each_vector<T>(width, [&](std::int64_t i, auto n) {
        store(to + row * width + i, value(i, n)(row * width + i), n);
      });
    finish(begin, (end - begin) * plan.fold);
  }
  if (part.columns_left == 0) return;
  for_each_vector<T>(part.columns_left, [&](std::int64_t i, auto n) {
    store(to + rows * width + i, value(i, n)(rows * width + i), n);
  });
  finish(rows, part.columns_left / args.channels);
}

// Moments of the part's groups from those of its columns.
template <class T>
RAVINE_INLINE void combine_columns(const GroupNormArgs& args, const Plan& plan, const Part& part,
                                   const PartMemory<T>& memory) {
  const std::int64_t members = args.channels / args.groups, rows = part.end - part.begin;
  const double* const means = memory.columns[0];
  const double* const deviations = memory.columns[1];
  if (plan.width == args.groups) {
    std::memcpy(memory.groups[0], means, static_cast<std::size_t>(plan.width) * sizeof(double));
    std::memcpy(memory.groups[1], deviations, static_cast<std::size_t>(plan.width) * sizeof(double));
    return;
  }
  const double share = 1 / static_cast<double>(part.positions * members);
  for (std::int64_t g = 0; g < args.groups; ++g) {
    const auto add_columns = [&](auto term) {
      double sum = 0;
      for (std::int64_t f = 0; f < plan.fold; ++f) {
        const std::int64_t first = f * args.channels + g * members;
        double of_fold = 0;
        for (std::int64_t i = first; i < first + members; ++i) of_fold += term(i);
        sum += static_cast<double>(rows + (first < part.columns_left ? 1 : 0)) * of_fold;
      }
      return sum;
    };
    // Around a mean of the group's own, so that nothing cancels.
    const double base = means[g * members];
    const double mean = base + share * add_columns([&](std::int64_t i) { return means[i] - base; });
    double deviation = add_columns([&](std::int64_t i) { return (means[i] - mean) * (means[i] - mean); });
    for (std::int64_t f = 0; f < plan.fold; ++f)
      for (std::int64_t i = 0; i < members; ++i) deviation += deviations[f * args.channels + g * members + i];
    memory.groups[0][g] = mean;
    memory.groups[1][g] = deviation;
  }
}

}  // namespace

template <class T>
std::size_t group_norm_workspace(const GroupNormArgs& args) {
  return workspace_bytes<T>(args);
}
template std::size_t group_norm_workspace<float>(const GroupNormArgs&);
template std::size_t group_norm_workspace<double>(const GroupNormArgs&);

template <class T>
void group_norm(const GroupNormArgs& args, const Team& team) {
  const Plan plan = plan_of(args);
  const std::int64_t members = args.channels / args.groups;
  const T* gamma = static_cast<const T*>(args.gamma);
  const T* beta = static_cast<const T*>(args.beta);

  const auto gather = [&](const Part& part) {
    const PartMemory<T> memory = memory_of<T>(args, plan, part.item);
    const T* x = static_cast<const T*>(args.input) + part.start;
    for_each_block(plan, part,
                   [&](std::int64_t offset, std::int64_t column, std::int64_t before, std::int64_t rows,
                       std::int64_t count) {
                     gather_moments(x + offset, plan.width, before, rows, count, memory.columns[0] + column,
                                    memory.columns[1] + column);
                   });
    combine_columns(args, plan, part, memory);
  };

  const auto normalize = [&](const Part& part) {
    const PartMemory<T> memory = memory_of<T>(args, plan, part.item);
    // Of the whole sample; the part's own columns are not needed any more.
    double *means = memory.columns[0], *deviations = memory.columns[1], before = 0;
    for (std::int64_t p = 0; p < plan.parts; ++p) {
      const Part other = part_of(plan, args.channels, part.item - part.part + p);
      const PartMemory<T> from = memory_of<T>(args, plan, other.item);
      const double count = static_cast<double>(other.positions * members);
      combine(
          means, deviations, before, count, args.groups, [&](std::int64_t g) { return from.groups[0][g]; },
          [&](std::int64_t g) { return from.groups[1][g]; });
      before += count;
    }
    T* const variances = memory.coefficients[2];
    const double share = 1 / before;
    for (std::int64_t g = 0; g < args.groups; ++g) variances[g] = static_cast<T>(deviations[g] * share);
    if (part.part == 0) {
      T* const kept_mean = static_cast<T*>(args.mean) + part.sample * args.groups;
      T* const kept_variance = static_cast<T*>(args.variance) + part.sample * args.groups;
      for (std::int64_t g = 0; g < args.groups; ++g) {
        kept_mean[g] = static_cast<T>(means[g]);
        kept_variance[g] = variances[g];
      }
    }
    T *const mean = memory.coefficients[0], *const scale = memory.coefficients[1],
             *const shift = memory.coefficients[2];
    reciprocal_deviations(variances, args.groups, args.eps, memory.of_groups);
    spread(means, args.groups, args.channels, plan, mean);
    spread(memory.of_groups, args.groups, args.channels, plan, scale);
    scale_columns(scale, gamma, args.channels, plan);
    for (std::int64_t first = 0; first < plan.width; first += args.channels)
      for_each_vector<T>(args.channels, [&](std::int64_t c, auto n) {
        store(shift + first + c, beta == nullptr ? Vec<T>{} : load(beta + c, n), n);
      });
    const T* const x = static_cast<const T*>(args.input) + part.start;
    write_part(args, plan, part, static_cast<T*>(args.output) + part.start,
               [&](std::int64_t i, auto n) RAVINE_INLINE_LAMBDA {
                 const Vec<T> m = load(mean + i, n), s = load(scale + i, n), b = load(shift + i, n);
                 return [=](std::int64_t at) RAVINE_INLINE_LAMBDA { return (load(x + at, n) - m) * s + b; };
               });
  };

  for_each_part(plan, args.samples, args.channels, team, gather, normalize);
}
template void group_norm<float>(const GroupNormArgs&, const Team&);
template void group_norm<double>(const GroupNormArgs&, const Team&);

template <class T>
std::size_t group_norm_grad_workspace(const GroupNormGradArgs& args) {
  return workspace_bytes<T>(args);
}
template std::size_t group_norm_grad_workspace<float>(const GroupNormGradArgs&);
template std::size_t group_norm_grad_workspace<double>(const GroupNormGradArgs&);

template <class T>
void group_norm_grad(const GroupNormGradArgs& args, const Team& team) {
  const Plan plan = plan_of(args);
  const std::int64_t channels = args.channels, groups = args.groups, members = channels / groups;
  const T* gamma = static_cast<const T*>(args.gamma);

  const auto gather = [&](const Part& part) {
    const PartMemory<T> memory = memory_of<T>(args, plan, part.item);
    const T* x = static_cast<const T*>(args.input) + part.start;
    const T* dy = static_cast<const T*>(args.grad_output) + part.start;
    T* const mean = memory.coefficients[0];
    double *const sums = memory.columns[0], *const products = memory.columns[1];  // of dy and dy (x - mean)
    spread(static_cast<const T*>(args.mean) + part.sample * groups, groups, channels, plan, mean);
    for_each_block(plan, part,
                   [&](std::int64_t offset, std::int64_t column, std::int64_t before, std::int64_t rows,
                       std::int64_t count) {
                     alignas(64) T of_dy[max_block], of_product[max_block];
                     sum_gradients(x + offset, dy + offset, mean + column, plan.width, rows, count, of_dy,
                                   of_product, WholeGradient<T>{});
                     for (std::int64_t i = 0; i < count; ++i) {
                       const double sum = before == 0 ? 0 : sums[column + i];
                       const double product = before == 0 ? 0 : products[column + i];
                       sums[column + i] = sum + static_cast<double>(of_dy[i]);
                       products[column + i] = product + static_cast<double>(of_product[i]);
                     }
                   });
    for (std::int64_t first = channels; first < plan.width; first += channels)
      for (std::int64_t c = 0; c < channels; ++c) {
        sums[c] += sums[first + c];
        products[c] += products[first + c];
      }
    // Products with xhat from here on.
    T* const rstd = memory.coefficients[1];
    reciprocal_deviations(static_cast<const T*>(args.variance) + part.sample * groups, groups, args.eps,
                          memory.of_groups);
    spread(memory.of_groups, groups, channels, plan, rstd);
    for (std::int64_t c = 0; c < channels; ++c) products[c] *= static_cast<double>(rstd[c]);
    for (std::int64_t g = 0; g < groups; ++g) {
      double sum = 0, product = 0;
      for (std::int64_t c = g * members; c < (g + 1) * members; ++c) {
        const double weight = gamma == nullptr ? 1 : static_cast<double>(gamma[c]);
        sum += weight * sums[c];
        product += weight * products[c];
      }
      memory.groups[0][g] = sum;
      memory.groups[1][g] = product;
    }
  };

  const auto write_gradient = [&](const Part& part) {
    const PartMemory<T> memory = memory_of<T>(args, plan, part.item);
    T *const mean = memory.coefficients[0], *const scale = memory.coefficients[1],
             *const slope = memory.coefficients[2], *const constant = memory.coefficients[3];
    // dx = dy scale + (x - mean) slope + constant; so far `scale` and of_groups hold rstd
    const double share = -1 / static_cast<double>(args.positions * members);
    const auto total = [&](int which, std::int64_t g) {
      double sum = 0;
      for (std::int64_t p = 0; p < plan.parts; ++p)
        sum += memory_of<T>(args, plan, part.item - part.part + p).groups[which][g];
      return static_cast<T>(sum * share);
    };
    T *const rstd = memory.of_groups, *const slopes = constant;  // of groups
    for (std::int64_t g = 0; g < groups; ++g) slopes[g] = total(1, g) * rstd[g] * rstd[g];
    spread(slopes, groups, channels, plan, slope);
    for (std::int64_t g = 0; g < groups; ++g) rstd[g] *= total(0, g);
    spread(rstd, groups, channels, plan, constant);
    scale_columns(scale, gamma, channels, plan);
    const T* const x = static_cast<const T*>(args.input) + part.start;
    const T* const dy = static_cast<const T*>(args.grad_output) + part.start;
    write_part(args, plan, part, static_cast<T*>(args.grad_input) + part.start,
               [&](std::int64_t i, auto n) RAVINE_INLINE_LAMBDA {
                 const Vec<T> m = load(mean + i, n), a = load(scale + i, n), b = load(slope + i, n),
                              c = load(constant + i, n);
                 return [=](std::int64_t at) RAVINE_INLINE_LAMBDA {
                   return load(dy + at, n) * a + ((load(x + at, n) - m) * b + c);
                 };
               });
  };

  for_each_part(plan, args.samples, channels, team, gather, write_gradient);
  if (args.grad_gamma == nullptr && args.grad_beta == nullptr) return;
  team.barrier();

  const Pieces chunks = pieces_of(ceil_div(channels, combined_columns), team);
  for (std::int64_t chunk = chunks.begin; chunk < chunks.end; ++chunk) {
    const std::int64_t first = chunk * combined_columns, count = smaller(combined_columns, channels - first);
    double gradients[2][combined_columns] = {};  // of beta and of gamma
    for (std::int64_t item = 0; item < args.samples * plan.parts; ++item) {
      const PartMemory<T> memory = memory_of<T>(args, plan, item);
      for (int which = 0; which < 2; ++which)
        for (std::int64_t i = 0; i < count; ++i) gradients[which][i] += memory.columns[which][first + i];
    }
    for (int which = 0; which < 2; ++which)
      if (T* const to = static_cast<T*>(which == 0 ? args.grad_beta : args.grad_gamma); to != nullptr)
        for (std::int64_t i = 0; i < count; ++i) to[first + i] = static_cast<T>(gradients[which][i]);
  }
}
template void group_norm_grad<float>(const GroupNormGradArgs&, const Team&);
template void group_norm_grad<double>(const GroupNormGradArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
