# Sourced by scripts/quickstart and scripts/test: makes a Debian 12 machine able to build and to run Bailey. Every step looks
# first and does nothing when there is nothing to do.

root_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME="${HOME:-/root}"
PATH=$PATH:/usr/local/go/bin:$HOME/.cargo/bin  # where Go and Rust put themselves
export CCACHE_BASEDIR=$root_dir CCACHE_NOHASHDIR=1  # where there is a ccache, one clone's objects serve the next

say() { printf '\n== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

need_root() { [ "$(id -u)" = 0 ] || die "$1 needs root: run this script as root"; }

apt_updated=
apt_update() {
  [ -n "$apt_updated" ] && return
  # One unreachable third-party source is no reason to stop: a package that is missing is said by apt-get install.
  apt-get update -q || echo "warning: apt-get update failed for some source; going on with the lists that are there" >&2
  apt_updated=yes
}

# without_services COMMAND...: what it installs starts no service, now or at the next boot. Debian asks policy-rc.d before it
# starts one, and 101 forbids it; a policy that the machine has already is left alone.
without_services() {
  local policy=/usr/sbin/policy-rc.d before
  before=$(ls /etc/systemd/system/*.wants 2>/dev/null | sort -u || true)
  (
    if [ ! -e "$policy" ]; then
      trap 'rm -f "$policy"' EXIT
      printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 0755 "$policy"
    fi
    "$@"
  ) || return
  command -v systemctl >/dev/null || return 0
  ls /etc/systemd/system/*.wants 2>/dev/null | sort -u | comm -13 <(printf '%s\n' "$before") - |
    grep -E '^(nginx|postgresql).*\.service$' | xargs -r systemctl disable --quiet || true
}

# install_packages KIND...: those of packages.txt that are not installed.
install_packages() {
  local name kind missing=()
  while read -r name kind _; do
    case "$name" in ''|'#'*) continue ;; esac
    case " $* " in *" ${kind%%\?*} "*) ;; *) continue ;; esac
    case "$kind" in *\?*) ! command -v "${kind#*\?}" >/dev/null || continue ;; esac
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done < "$root_dir/scripts/packages.txt"
  if [ ${#missing[@]} = 0 ]; then
    echo "Debian packages: all there"
    return
  fi
  need_root "installing ${missing[*]}"
  apt_update
  without_services apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# --- runsc ------------------------------------------------------------------------------------------------------------
# The newest build is the reference. It is a Go module; later versions of it may not start without their sidecar files,
# hence the pin. The label must not look like a release name, because a release demands those files, too.
runsc_module=gvisor.dev/gvisor/runsc
runsc_version=v0.0.0-20260905035102-160fafc42237
runsc_label=go-20260905

# Prints a go command of at least 1.21: that one fetches the toolchain which the module asks for.
find_go() {
  local go minor
  for go in "$(command -v go)" /usr/local/go/bin/go /usr/lib/go-*/bin/go; do
    [ -x "$go" ] || continue
    minor=$("$go" version 2>/dev/null | sed -n 's/.* go1\.\([0-9]*\).*/\1/p')
    if [ "${minor:-0}" -ge 21 ]; then
      echo "$go"
      return
    fi
  done
  return 1
}

# with_backports COMMAND...: runs apt-get with bookworm-backports added, for this one command; the machine's sources stay.
with_backports() {
  local parts site status=0
  site=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 'Created-By: Packages' | head -n 1)
  [ -n "$site" ] || return 1
  parts=$(mktemp -d)
  cp /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources "$parts" 2>/dev/null || true
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site bookworm-backports main" > "$parts/bailey-backports.list"
  apt-get -o Dir::Etc::sourceparts="$parts" update -q && apt-get -o Dir::Etc::sourceparts="$parts" "$@" || status=$?
  rm -rf "$parts"
  return $status
}

go_install_runsc() {
  local bin
  bin=$(mktemp -d)
  CGO_ENABLED=0 GOBIN="$bin" GOFLAGS=-buildvcs=false GOTOOLCHAIN=auto "$1" install \
    -ldflags="-s -w -X $runsc_module/version.version=$runsc_label" "$runsc_module@$runsc_version" &&
    install -m 0755 "$bin/runsc" /usr/local/bin/runsc
  local status=$?
  rm -rf "$bin"
  return $status
}

# Sets BAILEY_RUNSC: what is there, else the pinned build, else Debian backports', else Debian's.
get_runsc() {
  local candidate go
  for candidate in "${BAILEY_RUNSC:-}" "$(command -v runsc)" /usr/local/bin/runsc /usr/bin/runsc; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
      export BAILEY_RUNSC=$candidate
      echo "runsc: $candidate is there ($("$candidate" --version | head -n 1))"
      return
    fi
  done
  need_root "getting a runsc"
  apt_update
  if ! go=$(find_go); then
    echo "runsc: no Go of 1.21 or later here, taking golang-go from bookworm-backports"
    with_backports install -y -q --no-install-recommends -t bookworm-backports golang-go && go=$(find_go) || go=
  fi
  if [ -n "$go" ] && echo "runsc: building $runsc_version with $("$go" version) (about a minute)" && go_install_runsc "$go"; then
    :
  elif echo "runsc: the pinned build could not be made, trying Debian backports'" &&
       with_backports install -y -q --no-install-recommends -t bookworm-backports runsc; then
    :
  else
    echo "runsc: backports could not be had either, taking Debian's of 2022"
    apt-get install -y -q --no-install-recommends runsc || die "no runsc to be had: Bailey's gvisor backend needs one"
  fi
  BAILEY_RUNSC=$(command -v runsc || echo /usr/local/bin/runsc)
  export BAILEY_RUNSC
  echo "runsc: $BAILEY_RUNSC ($("$BAILEY_RUNSC" --version | head -n 1))"
}

# Sets BAILEY_RUNSC_2022: Debian 12's build, unpacked into a directory of root's, never installed over the one in use.
get_runsc_2022() {
  local directory=/var/cache/bailey-test package
  BAILEY_RUNSC_2022=$directory/runsc-2022/usr/bin/runsc
  export BAILEY_RUNSC_2022
  if [ ! -x "$BAILEY_RUNSC_2022" ]; then
    need_root "unpacking Debian's runsc"
    apt_update
    install -d -m 0700 -o root -g root "$directory"
    package=$(mktemp -d "$directory/download-XXXXXX")
    (cd "$package" && apt-get download -q runsc/bookworm && dpkg -x runsc_*.deb "$directory/runsc-2022") ||
      echo "warning: Debian's runsc of 2022 cannot be had; tests that need it will say so" >&2
    rm -rf "$package"
  fi
  [ -x "$BAILEY_RUNSC_2022" ] && echo "runsc-2022: $BAILEY_RUNSC_2022 ($("$BAILEY_RUNSC_2022" --version | head -n 1))"
  return 0
}

# build PRESET TARGET [CMAKE ARGUMENTS]: configure and compile.
build() {
  (cd "$root_dir" && cmake --preset "$1" "${@:3}" && cmake --build --preset "$1" --target "$2")
}
