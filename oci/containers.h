// A container found again by its id, by another process than the one that made it.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "dispatcher/attached.h"
#include "dispatcher/dispatcher.h"
#include "dispatcher/state_store.h"
#include "oci/arguments.h"

namespace bailey::oci {

// The state of --root; by default that of all of Bailey's sandboxes.
Result<dispatcher::StateStore> open_store(const Call& call);

struct Container {
  dispatcher::StateRecord record;
  Fd first_process;            // empty: it has ended
  const char* status() const;  // of the runtime specification, "paused" as well
  int pid() const { return first_process ? record.sandbox.pid : 0; }
};

// Error: no_such_container(); its record cannot be read.
Result<Container> find(const dispatcher::StateStore& store, const std::string& id);

// For Attached::open.
dispatcher::Attached::BackendByName backends_by_name(const dispatcher::BackendFactory& make_backend);

// The configuration that a container was made with, kept in its state directory (0700): the bundle's may change, or be gone.
Result<> keep_config(int state_directory, const std::string& bundle);
Result<bundle::Config> read_config(const dispatcher::StateStore& store, const std::string& id);

// The state of the runtime specification ("State"), as `state` prints it and hooks read it.
std::string state_document(const std::string& id, const Container& container);

}  // namespace bailey::oci
