#include "host/oom_score.h"

#include <cstdlib>

#include "base/files.h"

namespace bailey::host {

int own_oom_score() {
  const auto text = files::read("/proc/self/oom_score_adj", 16);
  return text ? std::atoi(text->c_str()) : 0;
}

}  // namespace bailey::host
