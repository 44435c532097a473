# nnd: one Makefile without recursion; everything built lands in $(BUILD).
#   make            build nndc and the runtime library
#   make deps       install what the build, the tests and the examples need (Debian packages)
#   make deps-all   the same, and what tests programs for other architectures
#   make test       what takes some nine minutes;  make test T=name: only tests whose name contains it
#   make test-all   the rest, too: every example trained to its figure
#   make test BUILD=build-sanitized SANITIZE=-fsanitize=address,undefined KINDS="--kind unit"
#   make examples   train the examples (T=name: those), and print a table: figures, seconds, memory
#   make references compare every definition of the library with an independent framework
#   make check-vmath  errors of exp, sin, ... over all floats (minutes)
#   make bench      step times of tests/bench; make bench PEERS=torch,... BENCH=DIR: beside other tools
#   make bench-gemm matrix products: shares of the machine's limit; ISA=avx2 REAL=f64 T="64x64x64:nt"
#   make bench-conv the same of convolutions, forward and back; T="conv2d:28x28x32:64:3:1:1"
#   make demo       train examples/mnist_mlp and print its test accuracy
BUILD   ?= build
CC      ?= gcc
OPT     ?= -O2
WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
           -Wwrite-strings -Wvla -Wformat=2
CFLAGS  += -std=c11 -g $(OPT) $(WARN) $(SANITIZE)
CPPFLAGS += -D_POSIX_C_SOURCE=200809L -Ilang -Icompiler -Icodegen -Irt -I$(BUILD)
LDLIBS  += -lz -lm
LDFLAGS += $(SANITIZE) -pthread
DEPS    := gcc make flex bison libcunit1-dev zlib1g-dev libopenblas-dev libhdf5-dev libpng-dev \
           libjpeg-dev clang python3

# Readers of data files that need a library of their own are built in where it is installed.
-include $(BUILD)/config.mk
READERS := $(if $(HDF5_LIBS),$(BUILD)/nnd_rt_hdf5.o) $(if $(IMAGES_LIBS),$(BUILD)/nnd_rt_images.o)
LDLIBS  += $(HDF5_LIBS) $(IMAGES_LIBS)

LANG_OBJ := $(BUILD)/lang/lexer.o $(BUILD)/lang/parser.o \
            $(patsubst %.c,$(BUILD)/%.o,$(wildcard lang/*.c))
COMPILER := $(patsubst %.c,$(BUILD)/%.o,$(wildcard compiler/*.c codegen/*.c)) \
            $(BUILD)/embedded.o
RT_OBJ   := $(patsubst %.c,$(BUILD)/%.o,$(wildcard rt/*.c))
LIB_OBJ  := $(LANG_OBJ) $(filter-out $(BUILD)/compiler/main.o,$(COMPILER))
UNIT     := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))

all: $(BUILD)/nndc $(BUILD)/libnnd_rt.a $(BUILD)/libnnd_rt_blas.a $(READERS)

$(BUILD)/config.mk: tools/configure.sh
	@mkdir -p $(@D)
	CC="$(CC)" sh tools/configure.sh > $@.new && mv $@.new $@

$(BUILD)/nndc: $(BUILD)/compiler/main.o $(READERS) $(BUILD)/libnnd.a $(BUILD)/libnnd_rt.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/libnnd.a: $(LIB_OBJ)
	rm -f $@ && ar rcs $@ $^

# The runtime, and the same with matrix products by a BLAS (link -lopenblas).
$(BUILD)/libnnd_rt.a: $(RT_OBJ)
	rm -f $@ && ar rcs $@ $^

$(BUILD)/libnnd_rt_blas.a: $(patsubst $(BUILD)/rt/%,$(BUILD)/blas/rt/%,$(RT_OBJ))
	rm -f $@ && ar rcs $@ $^

$(BUILD)/libnnd_rt_blas.a: CPPFLAGS += -DNND_BLAS

$(BUILD)/nnd_rt_hdf5.o: CPPFLAGS += -DNND_HDF5 $(HDF5_CFLAGS)
$(BUILD)/nnd_rt_images.o: CPPFLAGS += -DNND_IMAGES
$(BUILD)/codegen/libraries.o: $(BUILD)/config.mk
$(BUILD)/codegen/libraries.o: CPPFLAGS += -DNND_HDF5_CFLAGS='"$(HDF5_CFLAGS)"' \
    -DNND_HDF5_LIBS='"$(HDF5_LIBS)"' -DNND_IMAGES_LIBS='"$(IMAGES_LIBS)"'
$(BUILD)/nnd_rt_%.o: rt/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/blas/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The generated scanner and parser are not held to our warnings.
$(BUILD)/lang/%.o: $(BUILD)/lang/%.c
	$(CC) $(CPPFLAGS) -std=c11 -g $(OPT) $(SANITIZE) -MMD -MP -c -o $@ $<

$(BUILD)/lang/lexer.c: lang/lexer.l $(BUILD)/lang/parser.c
	@mkdir -p $(@D)
	flex -o $@ --header-file=$(BUILD)/lang/lexer.h $<

$(BUILD)/lang/parser.c: lang/parser.y
	@mkdir -p $(@D)
	bison -Werror -o $@ --defines=$(BUILD)/lang/parser.h $<

$(LANG_OBJ): $(BUILD)/lang/lexer.c $(BUILD)/lang/parser.c

# The library and the runtime's sources travel inside the compiler.
$(BUILD)/embedded.c: tools/embed.sh $(wildcard lang/std/*.nnd rt/*.c rt/*.h)
	@mkdir -p $(@D)
	sh tools/embed.sh $(wordlist 2,99,$^) > $@.new && mv $@.new $@

$(BUILD)/tests/%: tests/unit/%.c $(READERS) $(BUILD)/libnnd.a $(BUILD)/libnnd_rt.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -Itests/unit -DNND_ROOT='"$(CURDIR)"' \
	    -DNND_BUILD='"$(abspath $(BUILD))"' -MMD -MP -o $@ $< $(READERS) $(BUILD)/libnnd.a \
	    $(BUILD)/libnnd_rt.a $(LDFLAGS) -lcunit $(LDLIBS)

# Products are tested twice, with our own kernels and by a BLAS.
UNIT += $(BUILD)/tests/test_rt_gemm_blas
$(BUILD)/tests/test_rt_gemm_blas: private CPPFLAGS += -DNND_BLAS
$(BUILD)/tests/test_rt_gemm_blas: tests/unit/test_rt_gemm.c $(BUILD)/libnnd_rt_blas.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -Itests/unit -MMD -MP -o $@ $< $(BUILD)/libnnd_rt_blas.a \
	    $(LDFLAGS) -lcunit -lopenblas $(LDLIBS)

# Vector mathematics, too: as every machine has it and with what this one has.
UNIT += $(BUILD)/tests/test_vmath_native
$(BUILD)/tests/test_vmath_native: tests/unit/test_vmath.c rt/vmath.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -march=native -ffp-contract=off -Itests/unit -DNND_ROOT='"$(CURDIR)"' \
	    -MMD -MP -o $@ $< $(LDFLAGS) -lcunit $(LDLIBS)

unit: $(UNIT)

# Programs that the tests compile use the same compiler and sanitizers.
test: all unit
	CC="$(CC) $(SANITIZE)" tests/run --build $(BUILD) $(KINDS) $(T)

test-all: all unit
	CC="$(CC) $(SANITIZE)" tests/run --build $(BUILD) --all

# RUNS: a folder where what the trainings leave is kept.
examples: all
	tests/examples --build $(BUILD) $(if $(RUNS),--runs $(RUNS)) $(T)

# Largest errors of rt/vmath.h over all floats.
check-vmath: $(BUILD)/tests/check_vmath
	$< $(T)

$(BUILD)/tests/check_vmath: tests/check_vmath.c $(wildcard tests/unit/vmath*.h rt/vmath*.h)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=c11 -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math \
	    -march=native $(WARN) -Itests/unit -o $@ $< -pthread -lm

# The library against independent frameworks: definition, reference, largest deviation.
references: all
	tests/references --build $(BUILD)

# BENCH: a folder with run.py, which knows the peers and how to alternate with them.
bench: all
	tests/bench/run --build $(BUILD) $(if $(PEERS),--peers $(PEERS) --bench "$(BENCH)") $(T)

# OpenBLAS is measured beside the runtime's own kernels, which libnnd_rt.a has without it.
ISA    ?= native
REAL   ?= f32
ROUNDS ?= 5
$(BUILD)/bench_gemm: tests/bench/gemm.c $(BUILD)/libnnd_rt.a
	$(CC) $(CPPFLAGS) $(CFLAGS) -march=native -mprefer-vector-width=512 -ffp-contract=off -o $@ \
	    $^ $(LDFLAGS) -lopenblas $(LDLIBS)

bench-gemm: $(BUILD)/bench_gemm
	$(BUILD)/bench_gemm $(ISA) $(ROUNDS) $(REAL) $(T)

bench-conv: all
	tests/bench/conv --build $(BUILD) --isa $(ISA) $(T)

demo: all
	$(BUILD)/nndc train examples/mnist_mlp/model.nnd

deps:
	tools/deps.sh $(DEPS)
	rm -f $(BUILD)/config.mk

deps-all: DEPS += gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
deps-all: deps

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.PHONY: all unit test test-all examples references check-vmath bench bench-gemm bench-conv demo deps deps-all clean
.SECONDARY:
