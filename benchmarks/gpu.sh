#!/usr/bin/env bash
# Run everything that needs a GPU: the tests marked `gpu`, then the GPU benchmarks.
# Run it from the repository's root with a Python that has torch: PYTHON=python3 benchmarks/gpu.sh
set -uo pipefail
python=${PYTHON:-python3}
"$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' ||
  { echo "torch cannot use a CUDA GPU; nothing was run"; exit 2; }
status=0
# Ignores the project's pytest options, because a GPU server may lack the plugins they need.
"$python" -m pytest -q -W ignore -c /dev/null --rootdir . -m gpu tests/gpu/test_cuda.py || status=1
out=${OUT:-benchmarks/results}
"$python" -m benchmarks --rows 'gpu-*' --peers none --out "$out/table-gpu.json" || status=1
"$python" -m benchmarks.studies.step_cost --device cuda | tee "$out/price-cuda.txt" || status=1
exit $status
