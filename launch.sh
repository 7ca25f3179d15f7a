#!/usr/bin/env bash
# Runs a launcher of experiments/ in an environment of its own, made beside this file when needed.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
venv="${WGAN_JAX_VENV:-$root/.venv}"
[[ "$venv" == /* ]] || venv="$PWD/$venv"
unset WGAN_JAX_VENV # this call's own, and no matter of what it starts

fail() { # status, message
  echo "launch.sh: $2" >&2
  exit "$1"
}

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
usage: ./launch.sh [NAME] [--flag=value ...]

Runs NAME (default: train); ./launch.sh NAME --help lists its flags. NAME is one of:

$(list_launchers)
  setup                Only make the environment.
  test                 Run the tests; further arguments go to pytest.
  check                Check style and types, and run the examples in the documentation of the code.

The environment is made in .venv on first use, or in the folder that WGAN_JAX_VENV names, which lets several Python
versions stand side by side: PYTHON=python3.13 WGAN_JAX_VENV=.venv-3.13 ./launch.sh test. WGAN_JAX_BACKEND=cpu, cuda or
tpu overrides which JAX is installed and used; otherwise an NVIDIA driver means cuda, a TPU means tpu, and anything
else cpu.
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
  elif compgen -G '/dev/accel[0-9]*' > /dev/null || { [[ -d /dev/vfio ]] && [[ -n "${TPU_NAME:-}${TPU_WORKER_ID:-}" ]]; }; then
    echo tpu
  else
    echo cpu
  fi
}

version_of() { # a Python; prints its major and minor version, or nothing
  "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null || true
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

# Makes .venv and installs what requirements.txt asks for, unless that was done before for this backend.
make_environment() { # backend
  local wanted python package output
  if [[ -n "${PYTHON:-}" && -x "$venv/bin/python" ]]; then
    python="$(find_python)"
    [[ "$(version_of "$python")" == "$(version_of "$venv/bin/python")" ]] \
      || fail 2 "$venv has $("$venv/bin/python" --version), not PYTHON=$PYTHON: name another folder in WGAN_JAX_VENV, or delete it"
  fi
  wanted="$1 $(cksum < "$root/requirements.txt")"
  if [[ -x "$venv/bin/python" && "$(cat "$venv/.installed" 2> /dev/null)" == "$wanted" ]]; then
    return
  fi
  python="$(find_python)"
  if [[ ! -x "$venv/bin/python" ]]; then
    echo "launch.sh: making $venv with $("$python" --version)" >&2
    trap 'rm -rf "$venv"; exit 130' INT TERM # half an environment would pass for a whole one
    if ! output="$("$python" -m venv "$venv" 2>&1)"; then
      rm -rf "$venv"
      fail 2 "python -m venv failed ($(tail -n 1 <<< "$output")): install Python's venv module (Debian: python3-venv)"
    fi
    trap - INT TERM
  fi
  "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || fail 2 "$venv has $("$venv/bin/python" --version), and 3.11 or newer is needed: delete $venv"
  "$venv/bin/python" -m pip --version > /dev/null 2>&1 \
    || fail 2 "$venv has no pip: delete $venv and install pip (Debian: python3-venv python3-pip)"
  case "$1" in
    cuda) package='jax[cuda13]' ;;
    tpu) package='jax[tpu]' ;;
    *) package='jax' ;;
  esac
  echo "launch.sh: installing $package and the other packages of requirements.txt (about 1 GB, once)" >&2
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check "$package" -r "$root/requirements.txt" >&2 \
    || fail 1 "pip could not install the packages (see above); the same command tries again"
  echo "$wanted" > "$venv/.installed"
}

install_test_packages() {
  local wanted
  wanted="$(cksum < "$root/tests/requirements.txt")"
  if [[ "$(cat "$venv/.installed_tests" 2> /dev/null)" != "$wanted" ]]; then
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check -r "$root/tests/requirements.txt" >&2 \
      || fail 1 "pip could not install the packages of tests/requirements.txt (see above)"
    echo "$wanted" > "$venv/.installed_tests"
  fi
}

run_tests() { # pytest arguments
  local argument paths=("$root/tests")
  install_test_packages
  for argument in "$@"; do
    [[ "$argument" != -* && -e "${argument%%::*}" ]] && paths=()
  done
  exec "$venv/bin/python" -P -m pytest -c "$root/pyproject.toml" --rootdir "$root" "$@" ${paths[@]+"${paths[@]}"}
}

# What can be said of the code without training anything: style, types, and the examples in docstrings.
run_checks() {
  install_test_packages
  cd "$root"
  "$venv/bin/python" -m ruff check .
  "$venv/bin/python" -m ruff format --check .
  "$venv/bin/python" -m mypy
  "$venv/bin/python" -P -m pytest -c "$root/pyproject.toml" --rootdir "$root" "$root/tests/test_doctests.py"
}

main() {
  local name=train backend
  if [[ $# -gt 0 && "$1" != -* ]]; then
    name="$1"
    shift
  elif [[ "${1:-}" == --help || "${1:-}" == -h ]]; then
    usage
    exit 0
  fi
  case "$name" in
    setup | test | check) ;;
    *)
      [[ "$name" =~ ^[a-z][a-z0-9_]*$ ]] && find_launcher "$name" > /dev/null \
        || fail 2 "there is no launcher '$name'; there are: $(list_launchers | awk '{printf "%s ", $1}')setup test check"
      ;;
  esac
  backend="$(choose_backend)" || exit $?
  make_environment "$backend"
  if [[ -n "${WGAN_JAX_BACKEND:-}" || -z "${JAX_PLATFORMS:-}" ]]; then
    case "$backend" in # the CPU stays available beside an accelerator, but never stands in for it unasked
      cpu) export JAX_PLATFORMS=cpu ;;
      *) export JAX_PLATFORMS="$backend,cpu" ;;
    esac
  fi
  # -P: modules of the caller's folder must not hide ours.
  export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
  case "$name" in
    setup) echo "launch.sh: $venv is ready for $backend" ;;
    test) run_tests "$@" ;;
    check) run_checks ;;
    *) exec "$venv/bin/python" -P -m "experiments.$name" "$@" ;;
  esac
}

main "$@"
