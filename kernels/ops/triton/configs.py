"""Launch configurations of the Triton kernels.

One table, no tuning at run time: the same input gives the same bits on every start, and a start
takes no longer. `tests/support/compile_check.py` compiles all of it.
"""

from __future__ import annotations

from dataclasses import dataclass

# Of FMA contraction, whose default differs between versions of Triton.
FUSE_MULTIPLY_ADD = True


@dataclass(frozen=True)
class HeadLaunch:
    """How `head_kernel` is launched."""

    block_t: int
    block_v: int
    block_d: int
    parts: int  # the block is finished in so many parts, each with its own temporaries
    num_warps: int
    num_stages: int
    # Whether as many programs as there are multiprocessors go through all blocks, reading through
    # tensor descriptors where strides admit it; else a program has one block.
    persistent: bool
    group: int = 16  # blocks of tokens side by side: 2048 rows of hidden stay in L2 with the weight


@dataclass(frozen=True)
class RowLaunch:
    """How a kernel is launched that goes over rows that already exist."""

    block_t: int
    block_v: int
    num_warps: int


# Ampere and all that has neither wgmma nor tcgen05. 128 x 128: 64 accumulators a thread; 128 x 256
# spills with this product. 48 KB of shared memory fit the 99 KB of sm_86 and sm_89, too.
_AMPERE = HeadLaunch(128, 128, 32, parts=4, num_warps=8, num_stages=4, persistent=False)
_AMPERE_STATISTICS = HeadLaunch(128, 128, 32, parts=8, num_warps=8, num_stages=4, persistent=False)
# Hopper, measured on an H100 (docs/log.md): the best of 22. 87 operations for each byte out of L2
# against 64 of 128 x 128. 128 accumulators a thread: without parts the epilogue spills. 4 stages
# (192 KB) keep two steps of 48 KB in flight beside the one in use and the one being freed; those of
# the next block are fetched while one is finished, which is worth 10 % at D = 896.
_HOPPER = HeadLaunch(128, 256, 64, parts=4, num_warps=8, num_stages=4, persistent=True)
# Bias, softcap and scale take registers of their own.
_HOPPER_OPTIONS = HeadLaunch(128, 256, 64, parts=8, num_warps=8, num_stages=4, persistent=True)
# Three more sums a row don't fit beside 128 accumulators, or 128 values out of tensor memory.
_HOPPER_STATISTICS = HeadLaunch(128, 128, 64, parts=8, num_warps=8, num_stages=4, persistent=True)
# Data-centre Blackwell accumulates in tensor memory; the epilogue needs what Hopper's needs.
_BLACKWELL = HeadLaunch(128, 256, 64, parts=8, num_warps=8, num_stages=4, persistent=False)
_BLACKWELL_STATISTICS = HeadLaunch(
    128, 128, 64, parts=4, num_warps=8, num_stages=4, persistent=False
)

# (family, what is computed beside exponentials) -> launch
HEAD: dict[tuple[int, str], HeadLaunch] = {
    (80, "plain"): _AMPERE,
    (80, "options"): _AMPERE,
    (80, "statistics"): _AMPERE_STATISTICS,
    (90, "plain"): _HOPPER,
    (90, "options"): _HOPPER_OPTIONS,
    (90, "statistics"): _HOPPER_STATISTICS,
    (100, "plain"): _BLACKWELL,
    (100, "options"): _BLACKWELL,
    (100, "statistics"): _BLACKWELL_STATISTICS,
}

# Bound by L2 or memory: 8 elements a thread are one load of 16 bytes in bfloat16, and leave
# registers for two or more programs on a multiprocessor, each waiting in the other's stead.
PRODUCTS = RowLaunch(4, 512, num_warps=8)
# Rows of D elements: 16 elements a thread. The interpreter takes its time by the program.
ROWS, ROWS_INTERPRETED = RowLaunch(4, 512, num_warps=4), RowLaunch(128, 1024, num_warps=4)
# A row of existing logits to a program. Each block costs two reductions over the program: 4096
# columns make them few (38 at V = 151936). 16 elements a thread take 40 registers, so that 6
# programs on a multiprocessor keep 48 KB (bfloat16) in flight; memory's latency takes about 15.
GATHER = RowLaunch(1, 4096, num_warps=8)

# A pass that writes no tile runs this many programs, about 16 rounds of 132 multiprocessors: the
# last round then wastes 3 % on average, and partial sums stay at a few MB.
PROGRAMS = 2048

# What a tile of exponentials may take. More than L2 (H100: 50 MB), but the second product is faster
# the more columns it sums over, and few tiles take few launches: 1.7 times 32 MB's rate at D = 896.
TILE_BYTES = 128 << 20
# Rows of a tile: each block of rows reads the whole weight once (4096 operations a byte), and has
# a float32 sum [rows, D].
TOKEN_TILE = 4096
# Fewer rows get no more columns than this many would.
LEAST_ROWS = 512
# With all tokens in a tile, columns enough for the weight's part [columns, D] to fill the GPU: 16 x
# 8 blocks of 128 x 256 at D = 2048. Up to so many tokens; 128 MB.
LEAST_COLUMNS, MOST_TOKENS = 2048, 32768
# Without a tile to write, few launches; bounded since a weight of another dtype is converted.
WIDE_COLUMNS = 32768


def head_launch(family: int, *, statistics: bool, options: bool) -> HeadLaunch:
    """Return the launch of `head_kernel`; `options`: whether there is a bias, softcap or scale."""
    return HEAD[family, "statistics" if statistics else "options" if options else "plain"]


def family(capability: tuple[int, int]) -> int:
    """Return the family of configurations, 80, 90 or 100, of a device's compute capability."""
    if capability[0] == 9:
        return 90
    # 12.x (consumer Blackwell) has the instructions and the shared memory of Ampere's kind
    return 100 if capability[0] in (10, 11) else 80
