"""How processes that move large messages treat memory."""

MALLOC_KEEPS_PAGES = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
    "MALLOC_ARENA_MAX": "1",
}
"""Environment in which glibc keeps freed pages: a step's tensors take the same ones again, instead of fresh
ones that the kernel has to clear. For the processes on both sides of a model server's socket."""
