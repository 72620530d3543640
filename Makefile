# SPDX-License-Identifier: MIT
# The front door: `make help`. Each part has its own build file below; this one
# brings them up to date in order. What is up to date says nothing.

MAKEFLAGS += --no-print-directory --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

TOP   := $(CURDIR)
BUILD := $(abspath $(or $(X1_BUILD),build))
STAMP := $(BUILD)/stamp
JOBS  := $(shell nproc)
export X1_BUILD := $(BUILD)

PREFIX  ?= /usr/local
FIRMWARE_DIR ?= /lib/firmware
RULES_DIR    ?= /lib/udev/rules.d
MODPROBE_DIR ?= /lib/modprobe.d

# $(call part,NAME,FOLDER,ARGUMENTS): make FOLDER if it has something to do.
part = @$(MAKE) -q -C $(2) $(3) >/dev/null 2>&1 || \
	scripts/step $(1) $(MAKE) -j$(JOBS) -C $(2) $(3)

help:
	@echo 'SiliFlow X1. From nothing, on Debian 12 or 13:'
	@echo
	@echo '  make run        set up, build, boot a VM, read handwritten digits on the X1'
	@echo '  make test       set up, build, run all tests: host, in-process, VM'
	@echo
	@echo 'Using it:'
	@echo '  make vm         a shell in the guest, siliflow loaded (see also scripts/vm --help)'
	@echo '  make bench      measure; writes build/bench/results.json'
	@echo '  make deb        Debian packages: siliflow-dkms, siliflow-firmware, libsili1, …'
	@echo '  make install    library, tools, firmware, module, udev rule [DESTDIR= PREFIX=]'
	@echo
	@echo 'Parts, each with what it needs:'
	@echo '  make setup      packages that the build needs'
	@echo '  make qemu       QEMU with the device        make kernel     guest kernel, headers'
	@echo '  make image      guest image                 make module     siliflow.ko'
	@echo '  make core       device core, for programs   make firmware   x1-fw.bin'
	@echo '  make lib        libsili                     make tools      sili-smi and others'
	@echo '  make examples   example programs            make all        all of these'
	@echo
	@echo 'Working on it:'
	@echo '  make lint       licences, style, warnings of two compilers, sparse'
	@echo '  make coverage   docs/manual/coverage.md, from the tests of MATRIX'
	@echo '  make kernel-table docs/kernels.md, from the tests of kernels over rows'
	@echo '  make test-debug the tests of the VM on a kernel with KASAN, lockdep, kmemleak, …'
	@echo '  make test-7.3   the tests of the VM on the packaged kernel 7.3'
	@echo '  make test-packages the packages of make deb, in a clean Debian 13 that installs them'
	@echo '  make fuzz       fuzz the device core and the driver, each for a minute [SECONDS=]'
	@echo '  make soak       mixed load with faults, resets and kills for half an hour [SECONDS=]'
	@echo '  make clean      remove what was built here; make distclean: downloads too'
	@echo
	@echo 'Output goes to build/ (X1_BUILD= elsewhere), logs to build/log/.'

all: qemu kernel image module core firmware lib tools examples

setup: $(STAMP)/setup
$(STAMP)/setup: scripts/setup
	@scripts/setup
	@mkdir -p $(@D) && touch $@

# Everything that a change of makes QEMU or the image stale.
qemu: $(STAMP)/qemu
$(STAMP)/qemu: scripts/build-qemu $(shell find qemu-device include/x1 -type f) | $(STAMP)/setup
	@scripts/build-qemu
	@touch $@

kernel: $(STAMP)/kernel
$(STAMP)/kernel: scripts/build-kernel | $(STAMP)/setup
	@scripts/build-kernel
	@touch $@

image: $(STAMP)/image
$(STAMP)/image: scripts/build-image scripts/lib/guest.sh guest/packages guest/modules $(STAMP)/kernel
	@scripts/build-image
	@touch $@

module: $(STAMP)/module
$(STAMP)/module: scripts/build-module Kbuild $(STAMP)/kernel \
		$(shell find driver include/uapi include/x1 -type f)
	@scripts/build-module
	@touch $@

core: $(STAMP)/setup
	$(call part,core,qemu-device/model,O=$(BUILD)/core)

firmware: $(STAMP)/setup
	$(call part,firmware,firmware,O=$(BUILD)/firmware)

lib: core
	$(call part,libsili,libsili,O=$(BUILD)/lib CORE=$(BUILD)/core/libx1core.a)

tools: lib
	$(call part,tools,tools,O=$(BUILD)/tools)

examples: lib firmware
	$(call part,examples,examples/digits,O=$(BUILD)/examples)
	$(call part,examples-basics,examples/basics,O=$(BUILD)/examples)
	$(call part,examples-models,examples/models,O=$(BUILD)/examples)

guest: qemu kernel image module firmware

# The in-process device first: its results are what the VM's are compared with.
run: guest examples
	@mkdir -p $(BUILD)/run
	@SILI_DEVICE=sim $(BUILD)/examples/digits --draw=0 --digests=$(BUILD)/run/sim.digests >$(BUILD)/run/sim.txt
	@scripts/vm -- $(BUILD)/examples/digits --compare=$(BUILD)/run/sim.digests

vm: guest lib tools examples
	@scripts/vm

test: all
	@tests/run

debug-kernel: $(STAMP)/setup
	@scripts/build-debug-kernel

test-debug: guest lib tools examples debug-kernel
	@scripts/build-module --for debug
	@tests/run --debug

# On the newest kernel that Debian packages.
test-7.3: guest lib tools examples
	@scripts/build-kernel 7.3
	@scripts/build-module --for 7.3
	@tests/run --series 7.3

# DKMS compiles the driver in the guest: minutes without KVM.
test-packages: guest deb
	@tests/packages/run

bench: guest lib
	$(call part,bench-build,tests/bench,O=$(BUILD)/bench LIB=$(BUILD)/lib CORE=$(BUILD)/core/libx1core.a)
	@tests/bench/run

coverage: $(STAMP)/setup
	@$(MAKE) -C tests/unit/num O=$(BUILD)/tests/unit/num coverage

kernel-table: firmware
	@$(MAKE) -s -j$(JOBS) -C tests/unit/libsili O=$(BUILD)/kernel-table SAN= $(BUILD)/kernel-table/test_ops
	@scripts/kernel-table

lint: qemu kernel
	@scripts/lint

FUZZ_SECONDS := $(or $(SECONDS),60)
fuzz: guest core lib examples
	$(call part,fuzz-build,tests/fuzz,O=$(BUILD)/tests/fuzz)
	@scripts/step fuzz $(MAKE) -C tests/fuzz O=$(BUILD)/tests/fuzz run SECONDS=$(FUZZ_SECONDS)
	@SILI_FUZZ_SECONDS=$(FUZZ_SECONDS) X1_TEST_TIMEOUT=$$(($(FUZZ_SECONDS) + 600)) \
		X1_TEST_VM_TIMEOUT=$$(($(FUZZ_SECONDS) + 900)) tests/run --vm fuzz

SOAK_SECONDS := $(or $(SECONDS),1800)
soak: guest
	@SILI_SOAK_SECONDS=$(SOAK_SECONDS) X1_TEST_TIMEOUT=$$(($(SOAK_SECONDS) + 600)) \
		X1_TEST_VM_TIMEOUT=$$(($(SOAK_SECONDS) + 900)) tests/run --vm soak

install: lib tools firmware module
	@$(MAKE) -C libsili O=$(BUILD)/lib CORE=$(BUILD)/core/libx1core.a PREFIX=$(PREFIX) install
	@$(MAKE) -C tools O=$(BUILD)/tools PREFIX=$(PREFIX) install
	install -D -m 644 $(BUILD)/firmware/x1-fw.bin $(DESTDIR)$(FIRMWARE_DIR)/siliflow/x1-fw.bin
	install -D -m 644 -t $(DESTDIR)$(RULES_DIR) driver/*.rules
	install -D -m 644 -t $(DESTDIR)$(MODPROBE_DIR) driver/*.conf
	install -D -m 644 $(BUILD)/module/siliflow.ko \
		$(DESTDIR)/lib/modules/$$(cat $(BUILD)/kernel/release)/updates/siliflow.ko
	@[ -n "$(DESTDIR)" ] || depmod $$(cat $(BUILD)/kernel/release)

deb: $(STAMP)/setup
	@scripts/build-deb

clean:
	rm -rf $(filter-out $(addprefix $(BUILD)/,cache kernel image stamp log),$(wildcard $(BUILD)/*))
	rm -f $(addprefix $(STAMP)/,qemu module)

distclean:
	rm -rf $(BUILD)

.PHONY: help all setup qemu kernel image module core firmware lib tools examples guest run vm \
	test debug-kernel test-debug test-7.3 test-packages bench coverage kernel-table lint fuzz soak \
	install deb clean distclean
