# Shared by the scripts: words for people, packages, and Debian's archive. Source it, don't run it.
#
# Everything here runs on Debian 12 or newer and on Raspberry Pi OS. No host name is written down: whatever mirror,
# proxy and keys this machine's apt uses is what the scripts use.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Downloads, toolchains and images. Several checkouts may share one: VIGIE_BUILD_DIR=~/.cache/vigie make cross-test
BUILD=${VIGIE_BUILD_DIR:-$ROOT/build}

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# as_root COMMAND… : as it is for root, through sudo for anybody else.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; return; fi
  command -v sudo >/dev/null || die "'$*' needs root and there is no sudo; run it as root, then try again"
  sudo "$@"
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# ensure_packages NAME[/SUITE]… : installs those that are missing, and says which.
ensure_packages() {
  local missing=() p
  for p in "$@"; do is_installed "${p%%/*}" || missing+=("$p"); done
  [ ${#missing[@]} = 0 ] && return
  command -v apt-get >/dev/null || die "these packages are needed, and apt is not here to install them: ${missing[*]}"
  say "installing with apt: ${missing[*]}"
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends
    -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "${missing[@]}")
  [ -n "${APT_CONFIG:-}" ] && install=(env "APT_CONFIG=$APT_CONFIG" "${install[@]}")
  # The lists may be missing or old; update only when the first try fails, because most machines have them.
  as_root "${install[@]}" >/dev/null 2>&1 || {
    [ -n "${APT_CONFIG:-}" ] || as_root apt-get update -qq -o DPkg::Lock::Timeout=600
    as_root "${install[@]}" >/dev/null
  }
}

# The packages of libclang's current version that bindgen needs (the whole libclang-dev would be ten times as much).
libclang_packages() {
  local have version
  have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'libclang1-*' 2>/dev/null |
    sed -n 's/^installed libclang1-\([0-9]*\)$/\1/p' | sort -n | tail -1)
  version=${have:-$(apt-cache depends libclang-dev 2>/dev/null | sed -n 's/.*Depends: libclang-\([0-9]*\)-dev/\1/p' | head -1)}
  [ -n "$version" ] || { as_root apt-get update -qq
    version=$(apt-cache depends libclang-dev | sed -n 's/.*Depends: libclang-\([0-9]*\)-dev/\1/p' | head -1); }
  [ -n "$version" ] || die "apt knows no libclang-dev; install libclang for bindgen by hand"
  echo "libclang1-$version libclang-common-$version-dev"
}

debian_codename() { . /etc/os-release && echo "${VERSION_CODENAME:?no codename in /etc/os-release}"; }

# archive_uri SUITE : where this machine's apt gets SUITE from.
archive_uri() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $1" 2>/dev/null | head -1
}

# private_apt : points APT_CONFIG at lists of our own (amd64 and arm64, with backports and security), so that
# foreign-architecture and newer packages can be fetched without changing how this machine installs software.
private_apt() {
  local name base security dir=$BUILD/apt key=/usr/share/keyrings/debian-archive-keyring.gpg
  name=$(debian_codename) base=$(archive_uri "$name") security=$(archive_uri "$name-security")
  [ -n "$base" ] || { as_root apt-get update -qq; base=$(archive_uri "$name") security=$(archive_uri "$name-security"); }
  [ -n "$base" ] || die "apt has no source for $name on this machine"
  mkdir -p "$dir"/{lists/partial,cache/archives/partial,sources.d}
  {
    printf 'Types: deb\nURIs: %s\nSuites: %s %s-updates %s-backports\nComponents: main\nArchitectures: amd64 arm64\nSigned-By: %s\n\n' \
      "$base" "$name" "$name" "$name" "$key"
    [ -z "$security" ] || printf 'Types: deb\nURIs: %s\nSuites: %s-security\nComponents: main\nArchitectures: amd64 arm64\nSigned-By: %s\n' \
      "$security" "$name" "$key"
  } > "$dir/sources.d/debian.sources"
  cat > "$dir/apt.conf" <<CONF
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$dir/sources.d";
Dir::State::lists "$dir/lists";
Dir::Cache "$dir/cache";
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "";
CONF
  export APT_CONFIG=$dir/apt.conf
  # a day is fresh enough; an empty folder is not
  if [ -z "$(find "$dir/updated" -mmin -1440 2>/dev/null)" ]; then
    apt-get update -qq && touch "$dir/updated"
  fi
}

# fetch_and_unpack FOLDER PACKAGE… : downloads packages and unpacks them there, installing nothing.
fetch_and_unpack() {
  local into=$1 debs; shift
  debs=$(mktemp -d "$BUILD/debs.XXXX"); mkdir -p "$into"
  (cd "$debs" && apt-get download -qq "$@") || { rm -rf "$debs"; die "cannot download: $*"; }
  for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$into"; done
  rm -rf "$debs"
}

# target_dir : where cargo builds, as CARGO_TARGET_DIR or cargo's configuration say; for root without a cargo, the former.
target_dir() {
  local said
  said=$(cargo metadata --no-deps --offline --format-version 1 --manifest-path "$ROOT/Cargo.toml" 2>/dev/null |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/') || true
  echo "${said:-${CARGO_TARGET_DIR:-$ROOT/target}}"
}

# version : Vigie's, from Cargo.toml.
version() { sed -n 's/^version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml" | head -1; }

# cargo_tool NAME VERSION : builds a cargo subcommand once, under build/, when it is not installed.
cargo_tool() {
  export PATH=$BUILD/tools/bin:$PATH
  ! command -v "$1" >/dev/null || return 0
  say "building $1 $2 (once)"
  mkdir -p "$BUILD/tools"
  # debug information and link-time optimisation are of no use to a tool that runs for a second
  CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
    cargo install --locked --quiet --root "$BUILD/tools" --target-dir "$BUILD/tools/target" "$1@$2"
  rm -rf "$BUILD/tools/target"
}
