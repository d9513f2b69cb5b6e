// Attention forward: every block of queries meets the keys block by block, with the maxima and the sums of
// exponentials so far (Milakov and Gimelshein 2018; Dao 2023).
#include "kernels/api/attention.h"

#include "kernels/api/table.h"
#include "kernels/attention/product.h"
#include "kernels/attention/scores.h"
#include "kernels/base/scratch.h"
#include "kernels/base/workspace.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

// The rows of scores that lie in L1 at once: tiles of every ISA's micro-kernels.
constexpr std::int64_t tile_rows = 24, most_queries = 11 * tile_rows, most_keys = 256;
static_assert(tile_rows % micro_rows == 0);

template <class T>
class Forward {
 public:
  Forward(const AttentionArgs& args, const Team& team)
      : args_(args),
        heads_(heads_of(args)),
        key_block_(keys_of_block<T>(larger(args.depth, args.columns), most_keys)),
        query_block_(queries_of_block()),
        query_stride_(round_up(args.depth, lanes<T>)),
        dropout_(args, args.dropout > 0 ? args.random->seed : 0, args.dropout > 0 ? args.random->step : 0) {
    Workspace scratch(team.scratch);
    queries_ = scratch.take<T>(query_block_ * query_stride_);
    keys_ = scratch.take<T>(PackedBlock<T>::elements(key_block_, args.depth));
    values_ = scratch.take<T>(PackedBlock<T>::elements(args.columns, key_block_));
    scores_ = {scratch.take<T>(tile_rows * score_stride<T>(key_block_)), score_stride<T>(key_block_)};
    factors_ = scratch.take<T>(key_block_);
    maxima_ = scratch.take<T>(round_up(query_block_, 16));
    sums_ = scratch.take<T>(round_up(query_block_, 16));
  }

  void run(const Team& team) {
    if (team.rank == 0 && args_.dropout > 0) {
      args_.drawn[0] = static_cast<std::int64_t>(args_.random->seed);
      args_.drawn[1] = static_cast<std::int64_t>(args_.random->step);
    }
    const std::int64_t blocks = ceil_div(args_.queries, query_block_);
    for_each_unit(heads_ * blocks, team, [&](std::int64_t unit) {
      const std::int64_t first = unit % blocks * query_block_;
      attend(unit / blocks, {first, smaller(first + query_block_, args_.queries)});
    });
  }

 private:
  // By shapes alone, as which rows share a tile decides what a NaN that they do not see does to them.
  std::int64_t queries_of_block() const {
    const std::int64_t wanted = ceil_div(enough_units, larger(heads_, 1));
    const std::int64_t most = rows_of_block<T>(args_.depth, most_queries, tile_rows);
    return equal_parts(args_.queries,
                       smaller(most, round_up(ceil_div(larger(args_.queries, 1), wanted), tile_rows)),
                       tile_rows);
  }

  void attend(std::int64_t head, Range rows) {
    const RowsOf<const T> queries = rows_of<T>(args_, args_.query, head),
                          keys = rows_of<T>(args_, args_.key, head),
                          values = rows_of<T>(args_, args_.value, head);
    const RowsOf<T> output = rows_of<T>(args_, args_.output, head);
    const HeadMask<T> mask(args_, head);
    const T scale = static_cast<T>(args_.scale);
    for (std::int64_t i = 0; i < rows.size(); ++i) {
      const T* const from = queries.row(rows.begin + i);
      T* const to = queries_ + i * query_stride_;
      for_each_vector<T>(args_.depth,
                         [&](std::int64_t p, auto n) { store(to + p, load(from + p, n) * scale, n); });
      maxima_[i] = hidden_score<T>;
      sums_[i] = T(0);
    }
    // A cache has room for keys that are not there yet.
    const std::int64_t end =
        mask.end_of_seen(rows, args_.causal ? smaller(args_.keys, rows.end) : args_.keys);
    // Once even without keys: the output must become 0.
    for (std::int64_t first = 0; first == 0 || first < end; first += key_block_) {
      const std::int64_t count = smaller(key_block_, end - first);
      if (first > 0 && mask.hides(rows, {first, first + count})) continue;
      const auto packed_keys =
          PackedBlock<T>::pack_transposed(keys_, {keys.row(first), keys.stride}, count, args_.depth);
      const auto packed_values =
          PackedBlock<T>::pack(values_, {values.row(first), values.stride}, args_.columns, count);
      for (std::int64_t i = rows.begin; i < rows.end; i += tile_rows) {
        const std::int64_t height = smaller(tile_rows, rows.end - i);
        const Sight sight{args_.causal, i - first};
        if (first > 0 && sight.keys(height - 1, count) == 0) continue;
        const std::int64_t in_block = i - rows.begin;
        const RowsOf<T> to{output.row(i), output.stride};
        multiply_by_keys<T>(scores_, {queries_ + in_block * query_stride_, query_stride_}, height,
                            packed_keys, sight);
        weigh(head, mask, {i, i + height}, {first, first + count}, sight, in_block, to);
        multiply_weights<T>(to, {scores_.data, scores_.stride}, height, packed_values, sight, first > 0);
      }
    }
    finish(head, rows, output);
  }

  // From scores to exponentials; what the output holds of earlier keys is scaled to the new maxima.
  [[gnu::noinline]] void weigh(std::int64_t head, const HeadMask<T>& mask, Range rows, Range keys,
                               Sight sight, std::int64_t in_block, RowsOf<T> output) {
    const std::int64_t padded = round_up(keys.size(), lanes<T>);
    T* const maxima = maxima_ + in_block;
    alignas(64) T shifts[tile_rows + lanes<T>], scales[tile_rows + lanes<T>];
    for (std::int64_t i = 0; i < rows.size(); ++i) {
      T* const scores = scores_.row(i);
      const std::int64_t seen = sight.keys(i, keys.size());
      mask.apply(scores, rows.begin + i, keys.begin, seen);
      for (std::int64_t j = seen; j < padded; ++j) scores[j] = hidden_score<T>;
      shifts[i] = maximum_of(scores, padded, maxima[i]);
    }
    for (std::int64_t i = 0; i < rows.size(); i += lanes<T>) {
      const std::int64_t n = smaller(lanes<T>, rows.size() - i);
      const Vec<T> before = load(maxima + i, n), now = load(shifts + i, n);
      const Vec<T> shift = now == hidden_score<T> ? Vec<T>{} : now;
      store(scales + i, exp_of_not_positive<T>(before - shift));
      store(maxima + i, now, n);
      store(shifts + i, shift);
    }
    for (std::int64_t i = 0; i < rows.size(); ++i) {
      T* const scores = scores_.row(i);
      const T sum = exponentials(scores, padded, shifts[i]);
      sums_[in_block + i] = sums_[in_block + i] * scales[i] + sum;
      if (args_.dropout > 0) {
        dropout_.draw(factors_, head * args_.queries + rows.begin + i, keys.begin, keys.size());
        for_each_vector<T>(keys.size(), [&](std::int64_t j, auto n) {
          store(scores + j, load(scores + j, n) * load(factors_ + j, n), n);
        });
      }
      if (keys.begin > 0 && scales[i] != T(1)) scale_row(output.row(i), scales[i]);
    }
  }

  // NaN is no maximum, but makes the sum of exponentials NaN.
  RAVINE_INLINE static T maximum_of(const T* scores, std::int64_t padded, T before) {
    Vec<T> running[2] = {splat<T>(before), splat<T>(before)};
    std::int64_t j = 0;
    for (; j + 2 * lanes<T> <= padded; j += 2 * lanes<T>)
      for (int k = 0; k < 2; ++k) {
        const Vec<T> x = load(scores + j + k * lanes<T>);
        running[k] = x > running[k] ? x : running[k];
      }
    if (j < padded) {
      const Vec<T> x = load(scores + j);
      running[0] = x > running[0] ? x : running[0];
    }
    const Vec<T> both = running[0] > running[1] ? running[0] : running[1];
    return reduce_lanes<T>(both, [](auto a, auto b) RAVINE_INLINE_LAMBDA { return a > b ? a : b; });
  }
  RAVINE_INLINE static T exponentials(T* scores, std::int64_t padded, T shift) {
    Vec<T> sums[2] = {};
    std::int64_t j = 0;
    for (; j + 2 * lanes<T> <= padded; j += 2 * lanes<T>)
      for (int k = 0; k < 2; ++k) {
        const Vec<T> y = exp_of_not_positive<T>(load(scores + j + k * lanes<T>) - shift);
        store(scores + j + k * lanes<T>, y);
        sums[k] += y;
      }
    if (j < padded) {
      const Vec<T> y = exp_of_not_positive<T>(load(scores + j) - shift);
      store(scores + j, y);
      sums[0] += y;
    }
    return sum_of_lanes<T>(sums[0] + sums[1]);
  }
  void scale_row(T* row, T factor) const {
    for_each_vector<T>(args_.columns, [&](std::int64_t j, auto n) RAVINE_INLINE_LAMBDA {
      store(row + j, load(row + j, n) * factor, n);
    });
  }

  [[gnu::noinline]] void finish(std::int64_t head, Range rows, RowsOf<T> output) const {
    T* const log_sums = static_cast<T*>(args_.log_sums) + head * args_.queries + rows.begin;
    for (std::int64_t i = 0; i < rows.size(); ++i)
      scale_row(output.row(rows.begin + i), sums_[i] == T(0) ? T(0) : T(1) / sums_[i]);
    for_each_vector<T>(rows.size(), [&](std::int64_t i, auto n) {
      const Vec<T> sum = load(sums_ + i, n);
      const Vec<T> result = load(maxima_ + i, n) + log<T>(sum);
      store(log_sums + i, sum == T(0) ? splat<T>(FloatFormat<T>::infinity) : result, n);
    });
  }

  const AttentionArgs& args_;
  std::int64_t heads_, key_block_, query_block_, query_stride_;
  WeightDropout<T> dropout_;
  T *queries_, *keys_, *values_, *factors_, *maxima_, *sums_;
  RowsOf<T> scores_;
};

}  // namespace

template <class T>
void attention(const AttentionArgs& args, const Team& team) {
  Forward<T>(args, team).run(team);
}
template void attention<float>(const AttentionArgs&, const Team&);
template void attention<double>(const AttentionArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
