#include "host/oom_score.h"

#include <charconv>

#include "base/files.h"

namespace bailey::host {

int own_oom_score() {
  const auto text = files::read("/proc/self/oom_score_adj", 16);
  int score = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), score);
  return score;
}

}  // namespace bailey::host
