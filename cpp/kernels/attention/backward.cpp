// The gradient of attention: a block of keys at a time meets the queries that see it, whose weights are
// recomputed from the scores and the logarithms of the sums (Dao 2023). With weights P and D the sums over
// a row of output times its gradient,
//
//   dV = P^T dO     dP = dO V^T     dS = P (dP - D)     dQ = scale dS K     dK = scale dS^T Q
#include "kernels/api/attention.h"
#include "kernels/api/table.h"
#include "kernels/attention/product.h"
#include "kernels/attention/scores.h"
#include "kernels/base/scratch.h"
#include "kernels/base/workspace.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

constexpr std::int64_t most_keys = 128, most_queries = 96;

// A unit of work is a head, or where heads are few a part of its keys: the queries' gradients by the parts
// are then added, in order.
template <class T>
struct BackwardPlan {
  std::int64_t heads, key_block, query_block, part_keys, parts;

  explicit BackwardPlan(const AttentionGradArgs& args)
      : heads(heads_of(args)), key_block(keys_of_block<T>(larger(args.depth, args.columns), most_keys)) {
    constexpr std::int64_t least_queries = 8, least_keys = 256;
    query_block = rows_of_block<T>(larger(args.depth, args.columns), most_queries, least_queries);
    const std::int64_t wanted = ceil_div(enough_units, larger(heads, 1));
    part_keys = round_up(larger(ceil_div(args.keys, wanted), least_keys), key_block);
    parts = larger(ceil_div(args.keys, part_keys), 1);
  }
  std::int64_t partial_elements(const AttentionGradArgs& args) const {
    return parts > 1 ? heads * parts * args.queries * args.depth : 0;
  }
  std::int64_t sums_elements(const AttentionGradArgs& args) const { return heads * parts * args.queries; }
};

template <class T>
class Backward {
 public:
  Backward(const AttentionGradArgs& args, const Team& team)
      : args_(args),
        plan_(args),
        query_stride_(round_up(args.depth, lanes<T>)),
        scale_(static_cast<T>(args.scale)),
        dropout_(args, args.dropout > 0 ? static_cast<std::uint64_t>(args.drawn[0]) : 0,
                 args.dropout > 0 ? static_cast<std::uint64_t>(args.drawn[1]) : 0) {
    Workspace workspace(args.workspace);
    partials_ = workspace.take<T>(plan_.partial_elements(args));
    row_sums_ = workspace.take<T>(plan_.sums_elements(args));
    Workspace scratch(team.scratch);
    const std::int64_t keys = plan_.key_block, queries = plan_.query_block, stride = score_stride<T>(keys);
    scaled_ = scratch.take<T>(larger(keys, queries) * query_stride_);
    transposed_keys_ = scratch.take<T>(PackedBlock<T>::elements(keys, args.depth));
    transposed_values_ = scratch.take<T>(PackedBlock<T>::elements(keys, args.columns));
    keys_ = scratch.take<T>(PackedBlock<T>::elements(args.depth, keys));
    queries_ = scratch.take<T>(PackedBlock<T>::elements(args.depth, queries));
    grads_ = scratch.take<T>(PackedBlock<T>::elements(args.columns, queries));
    weights_ = {scratch.take<T>(queries * stride), stride};
    grad_scores_ = {scratch.take<T>(queries * stride), stride};
    factors_ = scratch.take<T>(keys);
  }

  void run(const Team& team) {
    for_each_unit(plan_.heads * plan_.parts, team, [&](std::int64_t unit) {
      const std::int64_t first = unit % plan_.parts * plan_.part_keys;
      differentiate(unit / plan_.parts, unit % plan_.parts,
                    {first, smaller(first + plan_.part_keys, args_.keys)});
    });
    if (plan_.parts == 1) return;
    team.barrier();
    const Pieces mine = pieces_of(plan_.heads * args_.queries, team);
    for (std::int64_t row = mine.begin; row < mine.end; ++row)
      add_parts(row / args_.queries, row % args_.queries);
  }

 private:
  // The queries' gradients by a part of the keys.
  RowsOf<T> grad_queries(std::int64_t head, std::int64_t part) const {
    if (plan_.parts == 1) return rows_of<T>(args_, args_.grad_query, head);
    return {partials_ + (head * plan_.parts + part) * args_.queries * args_.depth, args_.depth};
  }

  void differentiate(std::int64_t head, std::int64_t part, Range keys) {
    T* const row_sums = row_sums_ + (head * plan_.parts + part) * args_.queries;
    const RowsOf<T> grad_queries_of_part = grad_queries(head, part);
    const std::int64_t first_row = args_.causal ? smaller(keys.begin, args_.queries) : 0;
    sum_rows(head, {first_row, args_.queries}, row_sums);
    if (keys.size() == 0) fill_zeros(grad_queries_of_part, {0, args_.queries}, args_.depth);
    for (std::int64_t first = keys.begin; first < keys.end; first += plan_.key_block)
      differentiate_block(head, {first, smaller(first + plan_.key_block, keys.end)}, row_sums,
                          grad_queries_of_part, first == keys.begin);
  }

  void differentiate_block(std::int64_t head, Range keys, const T* row_sums, RowsOf<T> grad_queries_of_part,
                           bool first_of_part) {
    const auto from = [&](const AttentionOperand& operand, std::int64_t row) {
      const RowsOf<const T> rows = rows_of<T>(args_, operand, head);
      return RowsOf<const T>{rows.row(row), rows.stride};
    };
    const auto to = [&](const AttentionResult& result) {
      const RowsOf<T> rows = rows_of<T>(args_, result, head);
      return RowsOf<T>{rows.row(keys.begin), rows.stride};
    };
    const RowsOf<T> grad_keys = to(args_.grad_key), grad_values = to(args_.grad_value);
    const std::int64_t count = keys.size();
    const RowsOf<const T> keys_in_place = from(args_.key, keys.begin);
    const auto keys_t = PackedBlock<T>::pack_transposed(transposed_keys_, keys_in_place, count, args_.depth);
    const auto values_t = PackedBlock<T>::pack_transposed(transposed_values_, from(args_.value, keys.begin),
                                                          count, args_.columns);
    const auto scaled_keys = PackedBlock<T>::pack(keys_, scaled(keys_in_place, count), args_.depth, count);
    const HeadMask<T> mask(args_, head);
    const std::int64_t first_row = args_.causal ? smaller(keys.begin, args_.queries) : 0;
    if (first_row == args_.queries) {
      fill_zeros(grad_keys, {0, count}, args_.depth);
      fill_zeros(grad_values, {0, count}, args_.columns);
    }
    for (std::int64_t i = first_row; i < args_.queries; i += plan_.query_block) {
      const Range rows{i, smaller(i + plan_.query_block, args_.queries)};
      const Sight sight{args_.causal, i - keys.begin};
      const RowsOf<const T> queries = scaled(from(args_.query, i), rows.size()),
                            grads = from(args_.grad_output, i);
      const RowsOf<const T> weights{weights_.data, weights_.stride},
          grad_scores{grad_scores_.data, grad_scores_.stride};
      multiply_by_keys<T>(weights_, queries, rows.size(), keys_t, sight);
      multiply_by_keys<T>(grad_scores_, grads, rows.size(), values_t, sight);
      differentiate_weights(head, mask, rows, keys, sight, row_sums);
      const bool accumulate = i > first_row;
      const auto packed_grads = PackedBlock<T>::pack(grads_, grads, args_.columns, rows.size());
      multiply_transposed_weights<T>(grad_values, weights, count, packed_grads, sight, accumulate);
      const auto packed_queries = PackedBlock<T>::pack(queries_, queries, args_.depth, rows.size());
      multiply_transposed_weights<T>(grad_keys, grad_scores, count, packed_queries, sight, accumulate);
      multiply_weights<T>({grad_queries_of_part.row(i), grad_queries_of_part.stride}, grad_scores,
                          rows.size(), scaled_keys, sight, !first_of_part);
    }
  }

  // From scores and the weights' gradients to weights, as dropout left them, and the scores' gradients.
  [[gnu::noinline]] void differentiate_weights(std::int64_t head, const HeadMask<T>& mask, Range rows,
                                               Range keys, Sight sight, const T* row_sums) {
    const T* const log_sums = static_cast<const T*>(args_.log_sums) + head * args_.queries;
    const std::int64_t padded = round_up(keys.size(), lanes<T>);
    for (std::int64_t i = 0; i < rows.size(); ++i) {
      T *const weights = weights_.row(i), *const grads = grad_scores_.row(i);
      const std::int64_t row = rows.begin + i, seen = sight.keys(i, keys.size());
      const T log_sum = log_sums[row], row_sum = row_sums[row];
      mask.apply(weights, row, keys.begin, seen);
      const auto each = [&](auto dropped) RAVINE_INLINE_LAMBDA {
        for_each_vector<T>(seen, [&](std::int64_t j, auto n) RAVINE_INLINE_LAMBDA {
          const Vec<T> weight = exp_of_not_positive<T>(load(weights + j, n) - log_sum);
          Vec<T> grad = load(grads + j, n), kept = weight;
          if constexpr (decltype(dropped)::value) {
            const Vec<T> factor = load(factors_ + j, n);
            kept *= factor;
            grad *= factor;
          }
          store(weights + j, kept, n);
          store(grads + j, weight * (grad - row_sum), n);
        });
      };
      if (args_.dropout > 0) {
        dropout_.draw(factors_, head * args_.queries + row, keys.begin, seen);
        each(std::true_type{});
      } else {
        each(std::false_type{});
      }
      for (std::int64_t j = seen; j < padded; ++j) weights[j] = grads[j] = T(0);
    }
  }

  // D of the rows.
  [[gnu::noinline]] void sum_rows(std::int64_t head, Range rows, T* row_sums) const {
    const RowsOf<const T> output = rows_of<T>(args_, args_.output, head),
                          grads = rows_of<T>(args_, args_.grad_output, head);
    for (std::int64_t i = rows.begin; i < rows.end; ++i) {
      const T *const y = output.row(i), *const dy = grads.row(i);
      Vec<T> sum{};
      for_each_vector<T>(args_.columns, [&](std::int64_t j, auto n) RAVINE_INLINE_LAMBDA {
        sum += load(y + j, n) * load(dy + j, n);
      });
      row_sums[i] = sum_of_lanes<T>(sum);
    }
  }

  // Rows times the scale, until the next call.
  [[gnu::noinline]] RowsOf<const T> scaled(RowsOf<const T> rows, std::int64_t count) const {
    for (std::int64_t i = 0; i < count; ++i) {
      const T* const from = rows.row(i);
      T* const to = scaled_ + i * query_stride_;
      for_each_vector<T>(args_.depth,
                         [&](std::int64_t p, auto n) { store(to + p, load(from + p, n) * scale_, n); });
    }
    return {scaled_, query_stride_};
  }

  void add_parts(std::int64_t head, std::int64_t row) const {
    // Later parts are not seen by the row.
    const std::int64_t parts = args_.causal ? smaller(row / plan_.part_keys + 1, plan_.parts) : plan_.parts;
    T* const to = rows_of<T>(args_, args_.grad_query, head).row(row);
    add_splits(to, grad_queries(head, 0).row(row), args_.queries * args_.depth, parts, args_.depth,
               /*accumulate=*/false);
  }

  static void fill_zeros(RowsOf<T> to, Range rows, std::int64_t columns) {
    for (std::int64_t i = rows.begin; i < rows.end; ++i)
      for_each_vector<T>(columns, [&](std::int64_t j, auto n) { store(to.row(i) + j, Vec<T>{}, n); });
  }

  const AttentionGradArgs& args_;
  BackwardPlan<T> plan_;
  std::int64_t query_stride_;
  T scale_;
  WeightDropout<T> dropout_;
  T *partials_, *row_sums_;
  T *scaled_, *transposed_keys_, *transposed_values_, *keys_, *queries_, *grads_, *factors_;
  RowsOf<T> weights_, grad_scores_;
};

}  // namespace

template <class T>
void attention_grad(const AttentionGradArgs& args, const Team& team) {
  Backward<T>(args, team).run(team);
}
template void attention_grad<float>(const AttentionGradArgs&, const Team&);
template void attention_grad<double>(const AttentionGradArgs&, const Team&);

template <class T>
std::size_t attention_grad_workspace(const AttentionGradArgs& args) {
  const BackwardPlan<T> plan(args);
  return static_cast<std::size_t>(Workspace::bytes<T>(plan.partial_elements(args)) +
                                  Workspace::bytes<T>(plan.sums_elements(args)));
}
template std::size_t attention_grad_workspace<float>(const AttentionGradArgs&);
template std::size_t attention_grad_workspace<double>(const AttentionGradArgs&);

}  // namespace ravine::kernels::RAVINE_ISA
