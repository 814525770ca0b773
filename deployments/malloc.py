"""Settings of glibc's malloc for processes that send and receive large messages."""

MALLOC_KEEPS_PAGES = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
    "MALLOC_ARENA_MAX": "1",
}
"""Environment variables that make malloc keep freed pages: the tensors of the next step reuse them, instead
of new pages that the kernel must clear. For the processes on both sides of a model server's socket."""
