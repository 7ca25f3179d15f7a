#!/usr/bin/env bash
# Runs a launcher of experiments/ in an environment of its own, made beside this file when needed.
set -euo pipefail
# SHELLOPTS, BASH_ENV and exported functions may have changed what this file stands on.
set +fC
unset -f cd pwd
unset CDPATH BASH_ENV ENV
# Nothing of the caller's may stand in for our packages, nor take pip's to another place.
unset PYTHONPATH PYTHONHOME PYTHONPLATLIBDIR PYTHONEXECUTABLE __PYVENV_LAUNCHER__ PYTHONSTARTUP PYTHONSAFEPATH
unset PYTHONUSERBASE PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER PIP_PYTHON PIP_REQUIRE_VIRTUALENV PIP_DRY_RUN PIP_NO_DEPS
export PYTHONNOUSERSITE=1

say() { # message; control characters would break its one line, or play with the terminal
  printf 'launch.sh: %s\n' "${1//[[:cntrl:]]/?}" >&2
}

fail() { # status, message
  say "$2"
  exit "$1"
}

follow() { # a path; prints where it ends when it is a link, or a link to a link (readlink -f is not everywhere)
  local path="$1" target _
  for _ in {1..40}; do
    [[ -L "$path" ]] || break
    target="$(readlink -- "$path")"
    [[ "$target" == /* ]] || target="$(dirname -- "$path")/$target"
    path="$target"
  done
  printf '%s\n' "$path"
}

root="$(cd -- "$(dirname -- "$(follow "${BASH_SOURCE[0]}")")" 2> /dev/null && pwd)"
[[ -d "$root/experiments" ]] || fail 2 "there is no experiments/ beside launch.sh, in '$root': run it in its clone"
if ! pwd -P > /dev/null 2>&1; then
  cd -P -- "$root" 2> /dev/null
  root="$PWD"
  say "the current folder does not exist any more; going on in $root"
fi
venv="${WGAN_JAX_VENV:-$root/.venv}"
[[ "$venv" == /* ]] || venv="$PWD/$venv"
while [[ "$venv" == ?*/ || "$venv" == ?*/. ]]; do venv="${venv%/*}"; done
unset WGAN_JAX_VENV # this call's own, and no matter of what it starts

# A launcher is experiments/NAME/__main__.py or experiments/NAME.py.
find_launcher() { # name; prints its file, or fails
  local file
  for file in "$root/experiments/$1/__main__.py" "$root/experiments/$1.py"; do
    if [[ -f "$file" ]]; then
      echo "$file"
      return
    fi
  done
  return 1
}

# One line a launcher: its name and the first line of its docstring.
list_launchers() {
  local path name file
  for path in "$root"/experiments/[a-z]*; do
    name="$(basename "$path" .py)"
    if file="$(find_launcher "$name")"; then
      printf '  %-20s %s\n' "$name" "$(head -n 1 "$file" | sed 's/^"""//; s/"""$//')"
    fi
  done
}

usage() {
  cat <<END
usage: ./launch.sh [--where=to_run ...] [NAME] [--flag=value ...]

Runs NAME (default: train); ./launch.sh NAME --help lists its flags. NAME is one of:

$(list_launchers)
  setup                Only make the environment.
  test                 Run the tests; further arguments go to pytest.
  check                Check style and types, and run the examples in the documentation of the code.

Flags before NAME say where train runs: --local_processes=N (processes of this machine, as one run), --slurm (a job of
Slurm; --nodes=N --gpus_per_node=N --cpus_per_node=N --time=HH:MM:SS --partition=P --account=A), --tpu=NAME --zone=ZONE
(every worker of a TPU pod slice); and --dry_run, before any NAME, prints what would run, instead.

The environment is made in .venv on first use, or in the folder that WGAN_JAX_VENV names, which lets several Python
versions stand side by side: PYTHON=python3.13 WGAN_JAX_VENV=.venv-3.13 ./launch.sh test. Only packages of that folder
are used: PYTHONPATH, PYTHONHOME and packages of the user's own are left out. WGAN_JAX_BACKEND=cpu, cuda or tpu
overrides which JAX is installed and used; otherwise an NVIDIA driver means cuda, a TPU means tpu, and anything else
cpu.
END
}

choose_backend() {
  if [[ -n "${WGAN_JAX_BACKEND:-}" ]]; then
    case "$WGAN_JAX_BACKEND" in
      cpu | cuda | tpu) echo "$WGAN_JAX_BACKEND" ;;
      *) fail 2 "WGAN_JAX_BACKEND=$WGAN_JAX_BACKEND is unknown; there are: cpu, cuda, tpu" ;;
    esac
  elif command -v nvidia-smi > /dev/null && [[ "$(nvidia-smi -L 2> /dev/null)" == GPU* ]]; then
    echo cuda
  elif compgen -G '/dev/accel[0-9]*' > /dev/null \
    || { [[ -d /dev/vfio ]] && [[ -n "${TPU_NAME:-}${TPU_WORKER_ID:-}" ]]; }; then
    echo tpu
  else
    echo cpu
  fi
}

version_of() { # a Python; prints its major and minor version, or nothing
  "$1" -IS -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null || true
}

find_python() {
  local candidate candidates=(python3 python3.14 python3.13 python3.12 python3.11 python)
  [[ -z "${PYTHON:-}" ]] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    if [[ "$(version_of "$candidate")" == 3.1[1-9]* ]]; then
      echo "$candidate"
      return
    fi
  done
  [[ -z "${PYTHON:-}" ]] || fail 2 "PYTHON=$PYTHON is no Python >= 3.11: name another, or none"
  fail 2 "no Python >= 3.11 was found: install one, or name it in the environment variable PYTHON"
}

# Whether $venv is an environment that can be used; fails if it is anything else than that, an empty folder or nothing.
# Nothing is ever deleted there: it may be the user's.
environment_exists() {
  local python="$venv/bin/python" version anew
  if [[ -L "$venv" && ! -e "$venv" ]]; then
    fail 2 "$venv is a link to $(readlink -- "$venv"), which does not exist: make that folder, or delete the link"
  fi
  [[ -e "$venv" ]] && ! [[ -d "$venv" && -z "$(ls -A -- "$venv" 2>&1)" ]] || return 1
  [[ -f "$venv/pyvenv.cfg" || -d "$venv/conda-meta" ]] \
    || fail 2 "$venv is no environment of Python, and not empty: name another folder in WGAN_JAX_VENV"
  anew="delete it (rm -rf $(printf %q "$venv")) and run the same command to make it anew"
  [[ -e "$python" ]] || fail 2 "$venv has lost its Python, $(follow "$python") does not exist, or you may not reach it: name another folder in WGAN_JAX_VENV, or, where it is yours, $anew"
  version="$(version_of "$python")"
  [[ -n "$version" ]] || fail 2 "the Python of $venv, $(follow "$python"), does not run: $anew"
  [[ "$version" == 3.1[1-9]* ]] || fail 2 "$venv has Python $version, and 3.11 or newer is needed: $anew"
}

# Takes the lock on descriptor 9. This shell and what it starts keep that open, so that the lock lasts while any of
# them lives, and no longer. Status 3: the lock file is none any more, as the installation before this one was undone.
take_lock='
import fcntl, os, sys, time

try:
    for _ in range(10):
        try:
            fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            time.sleep(0.1)
    else:
        print(sys.argv[1], file=sys.stderr)
        fcntl.flock(9, fcntl.LOCK_EX)
except OSError:
    pass  # some network file systems have no locks
files = [file for file in sys.argv[2:] if os.path.exists(file)]
sys.exit(0 if any(os.path.samestat(os.fstat(9), os.stat(file)) for file in files) else 3)
'

# Renames a whole environment from its first name to its last, which is shorter by a suffix: in the scripts of bin/ too.
put_in_place='
import os, sys
from pathlib import Path

aside, venv = sys.argv[1:]
suffix = aside[len(venv) :].encode()
for file in [*Path(aside, "bin").iterdir(), Path(aside, "pyvenv.cfg")]:
    content = b"" if file.is_symlink() or not file.is_file() else file.read_bytes()
    if suffix in content and b"\0" not in content:
        file.write_bytes(content.replace(suffix, b""))
os.rename(aside, venv)
'

aside=''  # where a new environment is made
child=''  # the process group that installs, if any
undo=''   # the folder to remove if the installation fails

# A process group of its own, so that with it everything ends that it has started. It has no terminal to ask at.
run_child() { # command
  local status=0
  set -m
  "$@" < /dev/null &
  child=$!
  set +m
  wait "$child" || status=$?
  child=''
  return "$status"
}

give_up() {
  trap '' INT TERM HUP
  [[ -z "$child" ]] || { kill -s TERM -- "-$child" && wait "$child"; } 2> /dev/null || true
  # Renamed first: who waits for the lock may then begin in a new folder.
  [[ -z "$undo" ]] || { mv -- "$undo" "$undo-$$" && rm -rf -- "$undo-$$"; } 2> /dev/null || true
}

# Waits until no other call installs into $venv. The lock file lies in the environment, made or in the making.
lock() { # a Python
  local reason folder status tries=0
  while true; do
    folder="$aside"
    ! environment_exists || folder="$venv"
    if ! reason="$(LC_ALL=C && { mkdir -p -- "$folder" && : >> "$folder/.lock"; } 2>&1)"; then
      [[ $((++tries)) -gt 3 ]] || continue # the folder may have been another call's and just been removed
      [[ "$reason" != *'No space'* && "$reason" != *quota* ]] || fail 1 "there is no space left for $venv"
      fail 2 "$venv cannot be written (${reason##*: }): name another folder in WGAN_JAX_VENV"
    fi
    { exec 9>> "$folder/.lock"; } 2> /dev/null || continue
    status=0
    run_child "$1" -I -c "$take_lock" "launch.sh: waiting for another call that installs into ${venv//[[:cntrl:]]/?}" \
      "$venv/.lock" "$aside/.lock" || status=$?
    case "$status" in
      0) return ;;
      3) ;;
      *) fail 1 "the lock $folder/.lock cannot be taken (see above)" ;;
    esac
  done
}

make_aside() { # a Python
  local old
  undo="$aside"
  for old in "$aside"/* "$aside"-[0-9]*; do rm -rf -- "$old"; done # of a killed call
  "$1" -I -c 'import os, sys; sys.exit(os.path.ismount(sys.argv[1]))' "$venv" \
    || fail 2 "$venv is a mount point, which cannot be replaced: name a folder inside it in WGAN_JAX_VENV"
  "$1" -I -c 'import ensurepip, venv' 2> /dev/null \
    || fail 2 "$("$1" --version) cannot make environments: install its venv module (Debian: python3-venv)"
  say "making $venv with $("$1" --version)"
  # shellcheck disable=SC2016 # for the inner shell to expand
  run_child sh -c '"$0" -I -m venv "$1" > "$1/.log" 2>&1' "$1" "$aside" \
    || fail 1 "python -m venv failed ($(tail -n 1 -- "$aside/.log")); the same command tries again"
  rm -f -- "$aside/.log"
}

# Installs packages into the environment unless that was done before. An environment that does not exist is made aside
# and renamed when it is whole; in one that does, no marker stands while packages change.
install() { # file of the mark, what it says then, a module to find afterwards, what to tell the user, pip's arguments
  local marker="$1" wanted="$2" module="$3" packages="$4" python="$venv/bin/python" folder="$venv"
  shift 4
  if environment_exists; then
    [[ "$(cat "$venv/$marker" 2> /dev/null)" != "$wanted" ]] || return 0
  else
    python="$(find_python)"
    [[ ! -L "$venv" ]] || venv="$(cd -- "$venv" && pwd -P)" # an empty folder elsewhere
  fi
  aside="$venv-unfinished-wgan_jax"
  trap give_up EXIT
  trap 'fail 130 "stopped by Ctrl-C before all was installed; the same command goes on"' INT
  trap 'fail 143 "stopped by SIGTERM before all was installed; the same command goes on"' TERM
  trap 'fail 129 "stopped by SIGHUP before all was installed; the same command goes on"' HUP
  lock "$python"
  if [[ "$(cat "$venv/$marker" 2> /dev/null)" != "$wanted" ]]; then # no other call has done it meanwhile
    if ! environment_exists; then
      folder="$aside"
      make_aside "$python"
    fi
    python="$folder/bin/python"
    "$python" -P -m pip --version > /dev/null 2>&1 \
      || fail 2 "$folder has no pip: $(printf %q "$python") -m ensurepip adds it (Debian: install python3-venv first)"
    say "installing $packages"
    rm -f -- "$folder/$marker"
    # PIP_USER: for the sake of pip.conf.
    PIP_USER=0 run_child "$python" -P -m pip install -qq --disable-pip-version-check --no-input "$@" >&2 \
      || fail 1 "pip could not install ${packages% (*} (see above); the same command tries again"
    "$python" -P -c 'import sys; from importlib.util import find_spec; sys.exit(not find_spec(sys.argv[1]))' "$module" \
      || fail 1 "pip put $module elsewhere than into $folder: see what '$(printf %q "$python") -m pip config list' says"
    printf '%s\n' "$wanted" > "$folder/$marker"
    [[ "$folder" == "$venv" ]] || run_child "$python" -I -c "$put_in_place" "$aside" "$venv" \
      || fail 1 "$aside could not be renamed to $venv (see above)"
  fi
  exec 9>&-
  undo=''
  trap - EXIT INT TERM HUP
}

# Makes .venv and installs what requirements.txt asks for, unless that was done before for this backend.
make_environment() { # backend
  local python had package
  [[ "$root$venv" != *:* ]] || fail 2 "$root or $venv has a colon in its path, which Python cannot take: move it"
  if [[ -n "${PYTHON:-}" ]]; then
    python="$(find_python)"
    had="$(version_of "$venv/bin/python")"
    [[ -z "$had" || "$(version_of "$python")" == "$had" ]] \
      || fail 2 "$venv has $("$venv/bin/python" --version), not PYTHON=$PYTHON: name another folder in WGAN_JAX_VENV"
  fi
  case "$1" in
    cuda) package='jax[cuda13]' ;;
    tpu) package='jax[tpu]' ;;
    *) package='jax' ;;
  esac
  install .installed "$1 $(cksum < "$root/requirements.txt")" jax \
    "$package and the other packages of requirements.txt (about 1 GB, once)" "$package" -r "$root/requirements.txt"
}

install_test_packages() {
  local file="$root/tests/requirements.txt"
  install .installed_tests "$(cksum < "$file")" pytest 'the packages of tests/requirements.txt' -r "$file"
}

run_tests() { # pytest arguments
  local argument paths=("$root/tests")
  for argument in "$@"; do
    [[ "$argument" != -* && -e "${argument%%::*}" ]] && paths=()
  done
  exec "$venv/bin/python" -P -m pytest -c "$root/pyproject.toml" --rootdir "$root" "$@" ${paths[@]+"${paths[@]}"}
}

# What can be said of the code without training anything: style, types, and the examples in docstrings.
run_checks() {
  cd "$root"
  "$venv/bin/python" -P -m ruff check .
  "$venv/bin/python" -P -m ruff format --check .
  "$venv/bin/python" -P -m mypy
  "$venv/bin/python" -P -m pytest -c "$root/pyproject.toml" --rootdir "$root" "$root/tests/test_doctests.py"
}

main() {
  local name=train backend names places=()
  # Where to run it, see experiments/common/elsewhere.py.
  local of_places='^--(local_processes|slurm|nodes|gpus_per_node|cpus_per_node|time|partition|account|tpu|zone|dry_run)'
  while [[ "${1:-}" =~ $of_places(=|$) ]]; do
    places+=("$1")
    shift
  done
  case "${1:-}" in
    --help | -h)
      usage
      return
      ;;
    - | --) fail 2 "'$1' is no launcher and no flag: ./launch.sh --help lists the launchers" ;;
  esac
  if [[ $# -gt 0 && "$1" != -* ]]; then
    name="$1"
    shift
  fi
  if [[ ${#places[@]} -gt 0 && "$name" =~ ^(setup|test|check)$ ]]; then
    fail 2 "./launch.sh $name is run here: leave out ${places[0]}"
  fi
  case "$name" in
    test) ;;
    setup | check)
      [[ $# -eq 0 ]] || fail 2 "./launch.sh $name takes no arguments, and was given: $*"
      ;;
    *)
      { [[ "$name" =~ ^[a-z][a-z0-9_]*$ ]] && find_launcher "$name" > /dev/null; } \
        || {
          if [[ ${#places[@]} -gt 0 && "${places[-1]}" != *=* && "${places[-1]}" != --@(slurm|dry_run) ]]; then
            fail 2 "${places[-1]} takes its value after a =, as in ${places[-1]}=$name"
          fi
          names="$(list_launchers | awk '{printf "%s ", $1}')"
          fail 2 "there is no launcher '$name'; there are: ${names}setup test check"
        }
      ;;
  esac
  backend="$(choose_backend)" || exit $?
  make_environment "$backend"
  if [[ "$name" == test || "$name" == check ]]; then
    install_test_packages
  fi
  if [[ -n "${WGAN_JAX_BACKEND:-}" || -z "${JAX_PLATFORMS:-}" ]]; then
    case "$backend" in # the CPU stays available beside an accelerator, but never stands in for it unasked
      cpu) export JAX_PLATFORMS=cpu ;;
      *) export JAX_PLATFORMS="$backend,cpu" ;;
    esac
  fi
  export PYTHONPATH="$root" # and with -P, modules of the caller's folder do not hide ours
  case "$name" in
    setup) echo "launch.sh: $venv is ready for $backend" ;;
    test) run_tests "$@" ;;
    check) run_checks ;;
    *)
      if [[ ${#places[@]} -gt 0 ]]; then
        export WGAN_JAX_VENV="$venv" # a job's nodes are to use the same
        exec "$venv/bin/python" -P -m experiments "${places[@]}" "$name" "$@"
      fi
      exec "$venv/bin/python" -P -m "experiments.$name" "$@"
      ;;
  esac
}

main "$@"
