// Order statistics of a sample. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace bailey::bench {

inline int64_t median(std::vector<int64_t> sample) {
  if (sample.empty()) return 0;
  const auto middle = sample.begin() + static_cast<std::ptrdiff_t>(sample.size() / 2);
  std::ranges::nth_element(sample, middle);
  return *middle;
}

inline int64_t minimum(const std::vector<int64_t>& sample) { return sample.empty() ? 0 : std::ranges::min(sample); }

// Median of the pairwise ratios: each round's own pair, so that drift between rounds cancels. Same length.
inline double median_ratio(const std::vector<int64_t>& of, const std::vector<int64_t>& to) {
  std::vector<double> ratios;
  for (size_t i = 0; i < of.size() && i < to.size(); ++i)
    ratios.push_back(static_cast<double>(of[i]) / static_cast<double>(to[i]));
  if (ratios.empty()) return 0;
  const auto middle = ratios.begin() + static_cast<std::ptrdiff_t>(ratios.size() / 2);
  std::ranges::nth_element(ratios, middle);
  return *middle;
}

}  // namespace bailey::bench
