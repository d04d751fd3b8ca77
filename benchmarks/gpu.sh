#!/usr/bin/env bash
# Everything that needs a GPU, in one call: the tests marked `gpu`, then the GPU benchmarks.
# Run from the repository's root with a Python whose torch works: PYTHON=python3 benchmarks/gpu.sh
set -uo pipefail
python=${PYTHON:-python3}
"$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' ||
  { echo "no CUDA GPU that this torch can use; nothing was run"; exit 2; }
status=0
# Without the project's pytest options: a GPU server need not have the plugins that they are for.
"$python" -m pytest -q -W ignore -c /dev/null --rootdir . -m gpu tests/gpu/test_cuda.py || status=1
out=${OUT:-benchmarks/results}
"$python" -m benchmarks --rows 'gpu-*' --peers none --out "$out/table-gpu.json" || status=1
"$python" -m benchmarks.studies.step_cost --device cuda | tee "$out/price-cuda.txt" || status=1
exit $status
