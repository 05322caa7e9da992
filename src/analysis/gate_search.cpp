#include "analysis/gate_search.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <map>
#include <set>

#include "analysis/probe_solver.h"
#include "analysis/random.h"
#include "analysis/statistics.h"

namespace safetylock {
namespace {

/// Enough to rank heads by.
constexpr ProbeOptions kRough{.C = 1, .max_iterations = 100, .gradient_tolerance = 1e-4};

}  // namespace

std::vector<std::vector<std::int64_t>> topic_folds(const Questions& topics,
                                                   const std::vector<std::int64_t>& rows, std::int64_t folds,
                                                   std::uint64_t seed) {
  std::vector<std::int64_t> present;
  for (const std::int64_t row : rows) present.push_back(topics.of_row[static_cast<size_t>(row)]);
  std::sort(present.begin(), present.end());
  present.erase(std::unique(present.begin(), present.end()), present.end());
  Random random(seed);
  random.shuffle(present);
  std::vector<std::int64_t> fold_of(static_cast<size_t>(topics.count));
  for (size_t i = 0; i < present.size(); ++i)
    fold_of[static_cast<size_t>(present[i])] = static_cast<std::int64_t>(i) % folds;
  std::vector<std::vector<std::int64_t>> parts(static_cast<size_t>(folds));
  for (const std::int64_t row : rows) {
    const std::int64_t topic = topics.of_row[static_cast<size_t>(row)];
    parts[static_cast<size_t>(fold_of[static_cast<size_t>(topic)])].push_back(row);
  }
  return parts;
}

std::vector<std::int64_t> without(const std::vector<std::int64_t>& rows,
                                  const std::vector<std::int64_t>& part) {
  std::vector<std::int64_t> out;
  std::set_difference(rows.begin(), rows.end(), part.begin(), part.end(), std::back_inserter(out));
  return out;
}

std::vector<double> GateSearch::merits(const std::vector<std::int64_t>& train) const {
  const std::vector<std::vector<std::int64_t>> halves = topic_folds(rows_.topics, train, 2, 0);
  const std::vector<std::int64_t> labels[] = {labels_at(rows_.labels, halves[0]),
                                              labels_at(rows_.labels, halves[1])};
  std::vector<double> merits(static_cast<size_t>(rows_.values.heads()), 0.5);
  if (!has_both_classes({.train = halves[0], .validation = halves[1]}, rows_.labels)) return merits;
  std::set<std::int64_t> positions;
  for (const GateShape& shape : shapes_) positions.insert(shape.positions.begin(), shape.positions.end());
  const std::int64_t width = padded_row_length(rows_.values.dim());
  at::parallel_for(0, rows_.values.heads(), 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> rows;
    for (std::int64_t block = begin; block < end; ++block) {
      if (!positions.contains(block / rows_.heads)) continue;
      rows_.values.gather(block, rows);
      double sum = 0;
      for (const size_t half : {size_t{0}, size_t{1}}) {
        const size_t other = 1 - half;
        const Probe probe = fit_probe({rows.data(), halves[half], width}, labels[half], kRough);
        std::vector<double> margins(halves[other].size());
        multiply_rows({rows.data(), halves[other], width}, probe.weights.data(), probe.intercept,
                      margins.data());
        sum += area_under_roc(margins, labels[other]);
      }
      merits[static_cast<size_t>(block)] = sum / 2;
    }
  });
  return merits;
}

std::vector<std::int64_t> GateSearch::ranked(const std::vector<std::int64_t>& positions,
                                             const std::vector<double>& merits) const {
  std::vector<std::vector<std::int64_t>> of_position;
  for (const std::int64_t position : positions) {
    std::vector<std::int64_t>& blocks = of_position.emplace_back();
    for (std::int64_t head = 0; head < rows_.heads; ++head) blocks.push_back(position * rows_.heads + head);
    std::stable_sort(blocks.begin(), blocks.end(), [&](std::int64_t a, std::int64_t b) {
      return merits[static_cast<size_t>(a)] > merits[static_cast<size_t>(b)];
    });
  }
  std::vector<std::int64_t> turns;
  for (size_t rank = 0; rank < static_cast<size_t>(rows_.heads); ++rank)
    for (const std::vector<std::int64_t>& blocks : of_position) turns.push_back(blocks[rank]);
  return turns;
}

std::vector<std::vector<double>> GateSearch::margins(const std::vector<std::int64_t>& train,
                                                     const std::vector<std::int64_t>& judged) const {
  /// Shapes that differ in C alone: one decomposition serves them all.
  struct Job {
    size_t begin, end;
    std::vector<std::int64_t> blocks;
  };
  const std::vector<double> merits = this->merits(train);
  std::vector<Job> jobs;
  std::map<std::int64_t, at::Tensor> kernels;
  for (size_t s = 0; s < shapes_.size();) {
    Job job{.begin = s, .end = s, .blocks = ranked(shapes_[s].positions, merits)};
    while (job.end < shapes_.size() && shapes_[job.end].positions == shapes_[s].positions &&
           shapes_[job.end].blocks == shapes_[s].blocks)
      ++job.end;
    job.blocks.resize(static_cast<size_t>(shapes_[s].blocks));
    for (const std::int64_t block : job.blocks) kernels[block];
    s = job.end;
    jobs.push_back(std::move(job));
  }
  const BlockRegression plain(rows_.values, rows_.labels, train, judged);
  std::vector<std::pair<const std::int64_t, at::Tensor>*> wanted;
  for (auto& kernel : kernels) wanted.push_back(&kernel);
  at::parallel_for(0, static_cast<std::int64_t>(wanted.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      auto& [block, kernel] = *wanted[static_cast<size_t>(i)];
      kernel = plain.kernel(block);
    }
  });
  // Side by side, each on one thread: the decompositions are too small to share.
  std::vector<std::vector<double>> out(shapes_.size());
  at::parallel_for(0, static_cast<std::int64_t>(jobs.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Job& job = jobs[static_cast<size_t>(i)];
      BlockRegression regression(rows_.values, rows_.labels, train, judged);
      for (const std::int64_t block : job.blocks) regression.add(block, kernels.at(block));
      std::vector<double> Cs;
      for (size_t s = job.begin; s < job.end; ++s) Cs.push_back(shapes_[s].C);
      std::vector<BlockRegression::Solution> solutions = regression.solve(Cs);
      for (size_t s = job.begin; s < job.end; ++s) out[s] = std::move(solutions[s - job.begin].margins);
    }
  });
  return out;
}

GateSearch::Trained GateSearch::train(const GateShape& shape, const std::vector<std::int64_t>& train) const {
  std::vector<std::int64_t> blocks = ranked(shape.positions, merits(train));
  blocks.resize(static_cast<size_t>(shape.blocks));
  std::sort(blocks.begin(), blocks.end());
  BlockRegression regression(rows_.values, rows_.labels, train, {});
  for (const std::int64_t block : blocks) regression.add(block);
  const std::vector<BlockRegression::Solution> solutions = regression.solve(std::vector<double>{shape.C});
  BlockWeights weights = regression.weights(solutions.front());
  return {.blocks = std::move(blocks), .weights = std::move(weights)};
}

}  // namespace safetylock
