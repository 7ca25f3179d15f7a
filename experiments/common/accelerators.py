"""Accelerators of this machine, as environment variables hand them out to processes, before JAX has looked for any."""

import glob
import os
import re
import shutil
import subprocess


def gpus() -> list[str]:
    """The GPUs that JAX would find, by what CUDA_VISIBLE_DEVICES calls them; none where it is told to leave them."""
    if not _may_use('cuda', 'gpu'):
        return []
    given = os.environ.get('CUDA_VISIBLE_DEVICES')
    return [str(i) for i in range(_count_gpus())] if given is None else [name for name in given.split(',') if name]


def each() -> list[dict[str, str]]:
    """For each accelerator the variables with which a process finds that one alone; one place without any on a CPU."""
    if names := gpus():
        return [{'CUDA_VISIBLE_DEVICES': name} for name in names]
    if chips := _tpu_chips():
        alone = {'TPU_CHIPS_PER_PROCESS_BOUNDS': '1,1,1', 'TPU_PROCESS_BOUNDS': '1,1,1'}
        return [{'TPU_VISIBLE_CHIPS': chip, **alone} for chip in chips]
    return [{}]


def _may_use(*names: str) -> bool:
    platforms = os.environ.get('JAX_PLATFORMS', '')
    return not platforms or bool({*names} & set(platforms.split(',')))


def _count_gpus() -> int:
    program = shutil.which('nvidia-smi')
    if program is None:
        return 0
    listed = subprocess.run([program, '-L'], capture_output=True, text=True, check=False).stdout
    return len(re.findall(r'^GPU ', listed, re.MULTILINE))


def _tpu_chips() -> list[str]:
    if 'tpu' not in os.environ.get('JAX_PLATFORMS', '').split(','):  # /dev/vfio is of other devices, too
        return []
    given = os.environ.get('TPU_VISIBLE_CHIPS')
    if given is not None:
        return [name for name in given.split(',') if name]
    devices = glob.glob('/dev/accel[0-9]*') or glob.glob('/dev/vfio/[0-9]*')
    return [str(i) for i in range(len(devices))]
