/* Counts the heap of a program that it is preloaded into (LD_PRELOAD), without changing the program.
 * The file that BENCH_HEAP names then holds three numbers of eight bytes, always current: how often
 * memory was allocated, how many bytes live, and how many lived at most. */
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

struct counts {
  atomic_ullong allocations, live, peak;
};

static struct counts before_the_file;
static struct counts *counts = &before_the_file;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("BENCH_HEAP");
  if (!path) return;
  /* A file of its own: whoever started us may be counted as well. */
  unlink(path);
  int file = open(path, O_RDWR | O_CREAT, 0644);
  if (file < 0 || ftruncate(file, sizeof *counts)) return;
  struct counts *shared = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (shared == MAP_FAILED) return;
  atomic_store(&shared->allocations, atomic_load(&before_the_file.allocations));
  atomic_store(&shared->live, atomic_load(&before_the_file.live));
  counts = shared;
}

static void *took(void *memory) {
  if (!memory) return memory;
  size_t size = malloc_usable_size(memory);
  atomic_fetch_add_explicit(&counts->allocations, 1, memory_order_relaxed);
  unsigned long long live =
      atomic_fetch_add_explicit(&counts->live, size, memory_order_relaxed) + size;
  unsigned long long peak = atomic_load_explicit(&counts->peak, memory_order_relaxed);
  while (live > peak && !atomic_compare_exchange_weak(&counts->peak, &peak, live)) {
  }
  return memory;
}

static void gave_back(size_t size) {
  atomic_fetch_sub_explicit(&counts->live, size, memory_order_relaxed);
}

void *malloc(size_t size) { return took(__libc_malloc(size)); }

void *calloc(size_t count, size_t size) { return took(__libc_calloc(count, size)); }

void *memalign(size_t alignment, size_t size) { return took(__libc_memalign(alignment, size)); }

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **memory, size_t alignment, size_t size) {
  *memory = memalign(alignment, size);
  return *memory ? 0 : 12 /* ENOMEM */;
}

void *realloc(void *memory, size_t size) {
  size_t before = memory ? malloc_usable_size(memory) : 0;
  void *moved = __libc_realloc(memory, size);
  if (moved || !size) gave_back(before);
  return took(moved);
}

void free(void *memory) {
  if (!memory) return;
  gave_back(malloc_usable_size(memory));
  __libc_free(memory);
}
